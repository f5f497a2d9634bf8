//! The ranking on recorded rounds, beside simple rules on the same information.
//!
//! ```text
//! python3 gateway/consensus/examples/ranking/rounds.py ../shared/data/judgments /tmp/rounds
//! cargo run --release -p shoal-consensus --example ranking -- /tmp/rounds [test|dev] [seeds] [NAME=VALUE ...]
//! ```
//!
//! Half of each set (`dev`, by the hash of the question's id) is for development; the other half
//! (`test`) is what results are reported on. Each seed draws an order of the rounds and, in the second
//! table, twenty gold rounds. Gold rounds do not count.

#![expect(clippy::print_stdout, reason = "the tables are what this program writes")]

mod baselines;

use std::{collections::BTreeMap, fs, path::Path};

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_consensus::{
    replay::{self, Gold, Plan, Round, Settings},
    reputation::judges,
    stats::{self, Estimate},
};

/// Gold rounds of the second table.
const GOLD: usize = 20;

/// The results of one rule: for each question the mean over its rounds and seeds.
type ByQuestion = BTreeMap<String, (f64, f64)>;

#[derive(Default)]
struct Rules {
    by_rule: BTreeMap<&'static str, ByQuestion>,
    /// P(right) of the winner and whether it was right.
    claims: Vec<(f64, bool)>,
    /// The same with P(best).
    best_claims: Vec<(f64, bool)>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let folder = arguments.first().ok_or("ranking FOLDER [test|dev] [seeds] [NAME=VALUE ...]")?;
    let half = u64::from(arguments.get(1).is_none_or(|half| half != "dev"));
    let seeds: u64 = arguments.get(2).and_then(|seeds| seeds.parse().ok()).unwrap_or(5);
    let mut settings = Settings::default();
    for change in arguments.iter().skip(3) {
        settings = settings.with(change)?;
    }
    let sets = read(Path::new(folder))?;
    for gold in [0, GOLD] {
        println!("gold {gold}");
        let rules: Vec<(String, Rules)> = sets
            .iter()
            .map(|(name, rounds)| (name.clone(), measure(rounds, half, gold, seeds, &settings)))
            .collect();
        print_table(&rules);
    }
    Ok(())
}

/// Sets of rounds by name.
type Sets = Vec<(String, Vec<Round>)>;

fn read(folder: &Path) -> Result<Sets, Box<dyn std::error::Error>> {
    let mut paths: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    paths.sort_by_key(fs::DirEntry::path);
    let mut sets = Vec::new();
    for path in paths {
        let name = path.file_name().to_string_lossy().trim_end_matches(".jsonl").to_owned();
        sets.push((name, replay::read(&fs::read_to_string(path.path())?)?));
    }
    Ok(sets)
}

/// The question of a round: its id without the number of a draw.
fn question(round: &Round) -> String {
    round.id.split(" / ").next().unwrap_or_default().to_owned()
}

fn measure(rounds: &[Round], half: u64, gold: usize, seeds: u64, settings: &Settings) -> Rules {
    let is_in = |round: &&Round| judges::item([question(round).as_str()]) % 2 == half;
    let (half, other_half): (Vec<Round>, Vec<Round>) = (
        rounds.iter().filter(is_in).cloned().collect(),
        rounds.iter().filter(|round| !is_in(round)).cloned().collect(),
    );
    let mut rules = Rules::default();
    for seed in 0..seeds {
        let mut order = half.clone();
        order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        let plan = Plan { gold: Gold::Count(gold), seed, gold_first: true };
        let results = replay::run(&order, &plan, settings);
        let is_gold = plan.gold(&order);
        let memory_rounds: Vec<Round> =
            order.iter().zip(&is_gold).filter(|(_, gold)| **gold).map(|(r, _)| r.clone()).collect();
        let swarm: Vec<f64> =
            results.iter().map(|r| f64::from(u8::from(r.right == Some(true)))).collect();
        for result in results.iter().filter(|result| !result.gold) {
            let right = result.right == Some(true);
            rules.claims.push((result.p_right, right));
            rules.best_claims.push((result.p, right));
        }
        let mut columns = vec![
            ("swarm", swarm),
            ("best single", baselines::best_single(&order, &other_half)),
            ("plurality", baselines::plurality(&order)),
            ("mean verdict", baselines::mean_verdict(&order)),
            ("agreement", baselines::agreement_weighted(&order)),
            ("Dawid-Skene", baselines::dawid_skene(&order, 8.0)),
            ("oracle", baselines::oracle(&order)),
        ];
        if gold > 0 {
            columns.push(("gold single", baselines::best_single(&order, &memory_rounds)));
        }
        for (rule, values) in columns {
            let by_question = rules.by_rule.entry(rule).or_default();
            for ((round, value), gold) in order.iter().zip(values).zip(&is_gold) {
                if !gold {
                    let entry = by_question.entry(question(round)).or_default();
                    *entry = (entry.0 + value, entry.1 + 1.0);
                }
            }
        }
    }
    rules
}

const RULES: [&str; 8] = [
    "swarm",
    "best single",
    "gold single",
    "plurality",
    "mean verdict",
    "agreement",
    "Dawid-Skene",
    "oracle",
];

fn print_table(sets: &[(String, Rules)]) {
    println!(
        "| set | n | {} | swarm - best single | swarm - plurality | ECE right | ECE best |",
        RULES.join(" | ")
    );
    println!("|---|{}", "---|".repeat(RULES.len() + 5));
    let mut pool_mean: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let mut peers: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let (mut claims, mut best_claims) = (Vec::new(), Vec::new());
    let (mut peer_claims, mut peer_best_claims) = (Vec::new(), Vec::new());
    for (name, rules) in sets {
        let values: BTreeMap<&str, Vec<f64>> = rules
            .by_rule
            .iter()
            .map(|(rule, questions)| (*rule, questions.values().map(|(sum, n)| sum / n).collect()))
            .collect();
        print_row(name, &values, &rules.claims, &rules.best_claims);
        // Sets count alike in the pooled row, as 200 questions each.
        for (rule, values) in values {
            let values = resample(&values, 200);
            if is_peers(name) {
                peers.entry(rule).or_default().extend(&values);
            }
            pool_mean.entry(rule).or_default().extend(values);
        }
        if is_peers(name) {
            peer_claims.extend(resample_claims(&rules.claims, 400));
            peer_best_claims.extend(resample_claims(&rules.best_claims, 400));
        }
        claims.extend(resample_claims(&rules.claims, 400));
        best_claims.extend(resample_claims(&rules.best_claims, 400));
    }
    print_row("**real peers alike**", &peers, &peer_claims, &peer_best_claims);
    print_row("**all sets alike**", &pool_mean, &claims, &best_claims);
}

/// Sets in which different real models write and judge each other.
fn is_peers(name: &str) -> bool {
    name.starts_with("peer-") || name == "prd"
}

/// `count` values with the mean of all: every set weighs the same in the pooled row.
fn resample(values: &[f64], count: usize) -> Vec<f64> {
    (0..count).filter_map(|at| values.get(at * values.len() / count).copied()).collect()
}

fn resample_claims(claims: &[(f64, bool)], count: usize) -> Vec<(f64, bool)> {
    (0..count).filter_map(|at| claims.get(at * claims.len() / count).copied()).collect()
}

fn print_row(
    name: &str,
    values: &BTreeMap<&str, Vec<f64>>,
    claims: &[(f64, bool)],
    best: &[(f64, bool)],
) {
    let mean = |rule: &str| {
        values.get(rule).map_or("".to_owned(), |v| {
            format!("{:.3}", v.iter().sum::<f64>() / v.len().max(1) as f64)
        })
    };
    let cells: Vec<String> = RULES.iter().map(|rule| mean(rule)).collect();
    let count = values.get("swarm").map_or(0, Vec::len);
    println!(
        "| {name} | {count} | {} | {} | {} | {:.3} | {:.3} |",
        cells.join(" | "),
        difference(values, "best single"),
        difference(values, "plurality"),
        stats::calibration_error(claims, &stats::TENTHS),
        stats::calibration_error(best, &stats::TENTHS),
    );
}

/// The mean difference over the same questions, with a 95 % bootstrap interval.
fn difference(values: &BTreeMap<&str, Vec<f64>>, rule: &str) -> String {
    let (Some(swarm), Some(baseline)) = (values.get("swarm"), values.get(rule)) else {
        return String::new();
    };
    let leads: Vec<f64> = swarm.iter().zip(baseline).map(|(x, y)| x - y).collect();
    let Estimate { value, low, high, .. } = stats::mean(&leads, 1);
    format!("{value:+.3} ({low:+.3} to {high:+.3})")
}
