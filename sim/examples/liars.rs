//! What dishonest members cost, as tables for eval/results/consensus-liars.md:
//!
//! ```sh
//! cargo run -p shoal-sim --example liars > eval/results/consensus-liars.md
//! ```
#![expect(clippy::print_stdout, reason = "a program that writes a page")]

use std::{ops::AddAssign, time::Duration};

use shoal_sim::{Behaviour, Sim};

/// Swarms for each story.
const SEEDS: u64 = 6;

/// Rounds before the liars turn, and after the last of them was caught.
const ROUNDS: usize = 25;

/// Rounds after which one counts as never caught.
const LIMIT: usize = 200;

/// Swarms for each place of a curve, and rounds of each.
const CURVE_SEEDS: u64 = 2;
const CURVE_ROUNDS: usize = 20;

/// What an honest member knows.
const SKILL: f64 = 0.7;

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    rounds: usize,
    right: usize,
    lies: usize,
}

impl AddAssign for Tally {
    fn add_assign(&mut self, rhs: Self) {
        self.rounds += rhs.rounds;
        self.right += rhs.right;
        self.lies += rhs.lies;
    }
}

impl Tally {
    /// Share right and its 95 % interval (Wilson).
    fn right(&self) -> String {
        let (n, z) = (self.rounds.max(1) as f64, 1.96_f64);
        let p = self.right as f64 / n;
        let middle = (p + z * z / (2.0 * n)) / (1.0 + z * z / n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / (1.0 + z * z / n);
        format!("{p:.3} ({:.3} to {:.3})", middle - half, middle + half)
    }

    fn lies(&self) -> String {
        format!("{:.3}", self.lies as f64 / self.rounds.max(1) as f64)
    }
}

/// One round more, and a pause in which it is settled.
async fn round(sim: &Sim, n: &mut usize) -> Tally {
    let question = format!("How many lamps burn in house {n}?");
    *n += 1;
    let Ok(outcome) = sim.ask(&question).await else { return Tally::default() };
    tokio::time::sleep(Duration::from_secs(2)).await;
    let lied = outcome.winner().is_some_and(|winner| winner.text.ends_with("666"));
    Tally {
        rounds: 1,
        right: usize::from(sim.is_right(&question, &outcome)),
        lies: usize::from(lied),
    }
}

/// `liars` of five turn after they were trusted.
async fn story(liars: usize, auditor: bool) {
    let [mut before, mut betrayals, mut after] = [Tally::default(); 3];
    let mut delays: Vec<usize> = Vec::new();
    for seed in 0..SEEDS {
        let honest = Sim::builder(seed).nodes(5 - liars, Behaviour::honest(SKILL));
        let builder = honest.nodes(liars, Behaviour::turncoat(SKILL)).exam(3).panel(5, 5);
        let sim = if auditor { builder.with_auditors() } else { builder }.start().await;
        let mut n = 0;
        let mut betrayal = Tally::default();
        for _ in 0..ROUNDS {
            before += round(&sim, &mut n).await;
        }
        sim.betray();
        let mut free: Vec<usize> = (5 - liars..5).collect();
        while !free.is_empty() && betrayal.rounds < LIMIT {
            betrayal += round(&sim, &mut n).await;
            delays.extend(
                free.iter().filter(|number| is_caught(&sim, **number)).map(|_| betrayal.rounds),
            );
            free.retain(|number| !is_caught(&sim, *number));
        }
        delays.extend(free.iter().map(|_| LIMIT));
        betrayals += betrayal;
        for _ in 0..ROUNDS {
            after += round(&sim, &mut n).await;
        }
    }
    delays.sort_unstable();
    let median = delays.get(delays.len() / 2).copied().unwrap_or(0);
    let most = delays.last().copied().unwrap_or(0);
    println!(
        "| {liars} of 5 | {} | {} | {} | {} | {} | {median} | {most} |",
        if auditor { "yes" } else { "no" },
        before.right(),
        betrayals.right(),
        betrayals.lies(),
        after.right(),
    );
}

fn is_caught(sim: &Sim, number: usize) -> bool {
    sim.times_caught(number) > 0
}

/// Accuracy with 1 to 5 of 10 members like `cheat`, beside the `baseline` with no cheat.
async fn curve(name: &str, cheat: &Behaviour, baseline: f64) {
    let mut row = format!("| {name} | {baseline:.3} |");
    for cheats in 1..=5 {
        row.push_str(&format!(" {:.3} |", ten(cheats, cheat).await));
    }
    println!("{row}");
}

/// Accuracy of ten members of which so many cheat, right after their exam.
async fn ten(cheats: usize, cheat: &Behaviour) -> f64 {
    let mut tally = Tally::default();
    for seed in 0..CURVE_SEEDS {
        let honest = Sim::builder(seed).nodes(10 - cheats, Behaviour::honest(SKILL));
        let builder = honest.nodes(cheats, cheat.clone()).exam(2).panel(10, 10).with_auditors();
        let sim = builder.start().await;
        let mut n = 0;
        for _ in 0..CURVE_ROUNDS {
            tally += round(&sim, &mut n).await;
        }
    }
    tally.right as f64 / tally.rounds.max(1) as f64
}

async fn stories() {
    println!("## Members that are honest until they are trusted\n");
    println!(
        "{SEEDS} swarms a row. For {ROUNDS} rounds all five are honest, to hidden questions and in their claims. Then"
    );
    println!(
        "the liars give the same wrong answer to everything, claim full certainty, and vote for each other."
    );
    println!(
        "Accuracy with its 95 % interval; rounds until each liar was caught. Without an auditor no claim"
    );
    println!("counts, and liars are found by hidden questions alone.\n");
    println!(
        "| liars | auditor | accuracy while honest | lying, not all caught | the lie won | all caught | rounds to be caught: median | most |"
    );
    println!("|---|---|---:|---:|---:|---:|---:|---:|");
    for auditor in [true, false] {
        for liars in [1, 2] {
            story(liars, auditor).await;
        }
    }
}

async fn curves() {
    let rounds = CURVE_ROUNDS * CURVE_SEEDS as usize;
    println!("## Cheats from the start, 0 to 5 of 10\n");
    println!(
        "Accuracy over {rounds} rounds right after the exam, audits included: {:.3} is one round.\n",
        1.0 / rounds as f64
    );
    println!("| cheat | 0 | 1 | 2 | 3 | 4 | 5 |\n|---|---:|---:|---:|---:|---:|---:|");
    let baseline = ten(0, &Behaviour::liar()).await;
    for (name, cheat) in [
        ("constant answer, colluding votes", Behaviour::liar()),
        ("passes the exam, then the same", Behaviour::sleeper(SKILL)),
        ("inverted ballots", Behaviour::honest(SKILL).with_inverted_judging()),
        ("prefers what is shown first", Behaviour::honest(SKILL).with_first_preference()),
        ("copies of one member", Behaviour::honest(SKILL).copy_of(0)),
        ("null model", Behaviour::null()),
        ("orders to judges", Behaviour::injector()),
    ] {
        curve(name, &cheat, baseline).await;
    }
}

#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() {
    println!("# What liars cost\n");
    println!(
        "Simulated members (`sim/`) that each know {SKILL} of all answers and judge by what they believe; made by"
    );
    println!(
        "`cargo run -p shoal-sim --example liars > eval/results/consensus-liars.md` (`stories` or `curves` for a part).\n"
    );
    let part = std::env::args().nth(1).unwrap_or_default();
    if part != "curves" {
        stories().await;
    }
    if part != "stories" {
        curves().await;
    }
}
