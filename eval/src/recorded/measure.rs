//! Many draws of gold and of order over the same rounds: accuracies with intervals.

use std::collections::BTreeMap;

use anyhow::Result;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_consensus::replay::{self, Gold, Plan, Round, Settings};

use super::{
    Row,
    prd::Peers,
    round::{self, Line, half, majority_vote, uniform_vote},
};
use crate::stats;

/// The draws behind a figure.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    pub count: u64,
    /// Gold rounds of each draw. The order of the rounds is drawn too.
    pub gold: Gold,
    pub settings: &'a Settings,
}

/// The swarm and its baseline, over the same questions.
#[derive(Clone, Debug)]
pub struct Measurement {
    baseline: &'static str,
    /// Mean score of the swarm for each question.
    swarm: Vec<f64>,
    /// Mean score of the baseline for each question.
    baseline_scores: Vec<f64>,
    /// P(best) of every winner, and whether it is right.
    claims: Vec<(f64, bool)>,
}

/// Seed of every bootstrap.
const SEED: u64 = 6;

impl Measurement {
    /// The measurement as a line of the table.
    pub fn row(self, set: String, setup: &str, gold: usize, target: Option<f64>) -> Row {
        let lead: Vec<f64> =
            self.swarm.iter().zip(&self.baseline_scores).map(|(a, b)| a - b).collect();
        Row {
            set,
            setup: setup.to_owned(),
            gold,
            swarm: stats::mean(&self.swarm, SEED),
            baseline: self.baseline,
            baseline_accuracy: stats::mean(&self.baseline_scores, SEED),
            lead: stats::mean(&lead, SEED),
            calibration_error: stats::calibration_error(&self.claims),
            best_weights: None,
            target,
        }
    }
}

/// Compares with the uniform vote of all judges in both orders, over two candidates.
///
/// # Errors
/// If a round cannot be read.
pub fn votes(lines: &[Line], draws: Draws<'_>) -> Result<Measurement> {
    compare(lines, draws, "uniform vote, both orders", uniform_vote)
}

/// Compares with the majority of the writers.
///
/// # Errors
/// If a round cannot be read.
pub fn majority(lines: &[Line], draws: Draws<'_>) -> Result<Measurement> {
    compare(lines, draws, "majority vote", majority_vote)
}

/// Share of pairs whose order is the one that people prefer, compared with the order by the mean of all
/// recorded votes of other members on the pair.
///
/// # Errors
/// If a round cannot be read.
pub fn human_preference(peers: &Peers, draws: u64, settings: &Settings) -> Result<Measurement> {
    let mut scores: BTreeMap<(String, usize, usize), (f64, f64)> = BTreeMap::new();
    for draw in 0..draws.max(1) {
        let rounds = shuffle(&round::read(&peers.rounds)?, draw);
        for round in replay::run(&rounds, &Plan::default(), settings) {
            for (better, worse) in peers.preferences.get(&round.id).into_iter().flatten() {
                let [better_strength, worse_strength] = [better, worse].map(|at| {
                    round.candidates.get(*at).map_or(0.0, |candidate| candidate.strength)
                });
                let score = scores.entry((round.id.clone(), *better, *worse)).or_default();
                score.0 += half(better_strength - worse_strength);
                score.1 += 1.0;
            }
        }
    }
    let lines: BTreeMap<&str, &Line> =
        peers.rounds.iter().map(|line| (line.id.as_str(), line)).collect();
    Ok(Measurement {
        baseline: "mean of the other peers' votes",
        baseline_scores: scores
            .keys()
            .map(|(id, better, worse)| {
                lines.get(id.as_str()).map_or(0.5, |line| vote_of_others(line, *better, *worse))
            })
            .collect(),
        swarm: scores.values().map(|(sum, count)| sum / count).collect(),
        claims: Vec::new(),
    })
}

/// 1 if the votes of judges that wrote neither of the two prefer `better`, 0 if they prefer `worse`.
fn vote_of_others(line: &Line, better: usize, worse: usize) -> f64 {
    let writers: Vec<&String> =
        [better, worse].iter().filter_map(|at| line.candidates.get(*at)?.writer.as_ref()).collect();
    let lead = line
        .ballots
        .iter()
        .filter(|ballot| !writers.contains(&&ballot.judge))
        .map(|ballot| match (ballot.first, ballot.second) {
            pair if pair == (better, worse) => ballot.p - 0.5,
            pair if pair == (worse, better) => 0.5 - ballot.p,
            _ => 0.0,
        })
        .sum();
    half(lead)
}

/// Mean score of each question over the draws in which it is not gold.
fn compare(
    lines: &[Line],
    draws: Draws<'_>,
    baseline: &'static str,
    baseline_score: fn(&Round) -> f64,
) -> Result<Measurement> {
    let all_rounds = round::read(lines)?;
    let mut scores: BTreeMap<String, (f64, f64, f64)> = BTreeMap::new();
    let mut claims = Vec::new();
    for draw in 0..draws.count.max(1) {
        let rounds = shuffle(&all_rounds, draw);
        let plan = Plan { gold: draws.gold, seed: draw, gold_first: true };
        let results = replay::run(&rounds, &plan, draws.settings);
        for (round, result) in rounds.iter().zip(&results).filter(|(_, result)| !result.gold) {
            let Some(right) = result.right else { continue };
            claims.push((result.p, right));
            // Several rounds about one question count as one question: the interval is over questions.
            let question = round.id.split(" / ").next().unwrap_or_default();
            let (swarm, baseline, count) = scores.entry(question.to_owned()).or_default();
            *swarm += f64::from(u8::from(right));
            *baseline += baseline_score(round);
            *count += 1.0;
        }
    }
    Ok(Measurement {
        baseline,
        swarm: scores.values().map(|(swarm, _, count)| swarm / count).collect(),
        baseline_scores: scores.values().map(|(_, sum, count)| sum / count).collect(),
        claims,
    })
}

/// The rounds in another order: results must not depend on the order of the file.
fn shuffle(rounds: &[Round], seed: u64) -> Vec<Round> {
    let mut rounds = rounds.to_vec();
    rounds.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    rounds
}
