//! What dishonest members can do to a swarm, and what it costs.

use shoal_sim::{Builder, Character, Sim};

/// Of `asked` rounds, in how many the truth won, and the lie.
struct Tally {
    right: usize,
    lies: usize,
}

async fn tally(swarm: impl Fn(u64) -> Builder, seeds: u64, asked: usize) -> Tally {
    let mut tally = Tally { right: 0, lies: 0 };
    for seed in 0..seeds {
        let sim = swarm(seed).start().await;
        for n in 0..asked {
            let question = format!("How many knots are in rope {n}?");
            let outcome = sim.ask(&question).await.expect("an answer");
            tally.right += usize::from(sim.is_right(&question, &outcome));
            let winner = outcome.winner().expect("a winner");
            tally.lies += usize::from(winner.text.ends_with("666"));
        }
    }
    tally
}

/// Nine members, of which three are like `other`.
fn a_third(other: Character) -> impl Fn(u64) -> Builder {
    move |seed| {
        let honest = Sim::builder(seed).nodes(6, Character::honest(0.7));
        honest.nodes(3, other.clone()).exam(2).panel(9, 9).audited()
    }
}

/// What six honest members come to by themselves, of 40.
async fn alone() -> usize {
    let six =
        |seed| Sim::builder(seed).nodes(6, Character::honest(0.7)).exam(2).panel(9, 9).audited();
    tally(six, 2, 20).await.right
}

#[tokio::test(start_paused = true)]
async fn a_third_that_cheats_costs_at_most_a_few_points() {
    let alone = alone().await;
    let cheats = [
        ("constant answer", Character::liar()),
        ("inverted ballots", Character::honest(0.7).inverted()),
        ("sleeping colluders", Character::sleeper(0.7)),
        ("position only", Character::honest(0.7).preferring_the_first()),
        ("null model", Character::null()),
        ("injection", Character::injecting()),
        ("copies of one", Character::honest(0.7).copy_of(0)),
    ];
    for (name, cheat) in cheats {
        let with = tally(a_third(cheat), 2, 20).await;
        println!("{name}: {} of 40 right, {} lies; alone {alone}", with.right, with.lies);
        // Two of 40 are five points.
        assert!(with.right + 2 >= alone, "{name}: {} of 40 against {alone}", with.right);
    }
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_obeys_a_candidate_is_outvoted() {
    let swarm = |seed| {
        Sim::builder(seed)
            .nodes(5, Character::honest(0.7).comparing())
            .node(Character::honest(0.7).comparing().gullible(1.0))
            .node(Character::injecting())
            .exam(2)
            .panel(7, 7)
    };
    let with = tally(swarm, 3, 20).await;
    assert_eq!(with.lies, 0);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_keys_of_one_operator_weigh_like_one() {
    let fleet = |keys: usize| {
        move |seed| {
            let honest = Sim::builder(seed).nodes(7, Character::honest(0.8));
            honest.nodes(keys, Character::liar().of("ada")).panel(12, 7)
        }
    };
    let (one, hundred) = (tally(fleet(1), 2, 10).await, tally(fleet(100), 2, 10).await);
    assert!(hundred.right + 1 >= one.right, "{} against {} of 20", hundred.right, one.right);
    assert_eq!(hundred.lies, 0);
}
