//! Many draws of gold and of order, over the same rounds: accuracies with intervals.

use std::collections::BTreeMap;

use anyhow::Result;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_consensus::replay::{self, Gold, Plan, Ranked, Round, Settings, interval};

use super::{
    Row,
    prd::Peers,
    round::{self, Line, half, majority_vote, uniform_vote},
};
use crate::stats;

/// What is drawn anew, how often.
#[derive(Clone, Copy, Debug)]
pub struct Draws<'a> {
    pub count: u64,
    /// Drawn anew each time; the order in which rounds come as well.
    pub gold: Gold,
    pub settings: &'a Settings,
}

/// Two ways to pick, over the same questions.
#[derive(Clone, Debug)]
pub struct Measured {
    baseline: &'static str,
    ours: Vec<f64>,
    theirs: Vec<f64>,
    /// P(best) of every winner, and whether it was right.
    claims: Vec<(f64, bool)>,
}

/// Draws every bootstrap.
const SEED: u64 = 6;

impl Measured {
    /// As a line of the table.
    pub fn row(self, set: String, setup: &str, gold: usize, wanted: Option<f64>) -> Row {
        let lead: Vec<f64> = self.ours.iter().zip(&self.theirs).map(|(a, b)| a - b).collect();
        Row {
            set,
            setup: setup.to_owned(),
            gold,
            ours: interval::mean(&self.ours, SEED),
            baseline: self.baseline,
            theirs: interval::mean(&self.theirs, SEED),
            lead: interval::mean(&lead, SEED),
            calibration_error: stats::calibration_error(&self.claims),
            fitted: None,
            wanted,
        }
    }
}

/// Beside the uniform vote of all judges in both orders, over two candidates.
///
/// # Errors
/// When a round does not read.
pub fn votes(lines: &[Line], draws: Draws<'_>) -> Result<Measured> {
    let score = |_: &Round, one: &Ranked| Some(f64::from(u8::from(one.right?)));
    measured(lines, draws, "uniform vote, both orders", score, uniform_vote)
}

/// Beside the majority of the writers.
///
/// # Errors
/// When a round does not read.
pub fn majority(lines: &[Line], draws: Draws<'_>) -> Result<Measured> {
    let score = |_: &Round, one: &Ranked| Some(f64::from(u8::from(one.right?)));
    measured(lines, draws, "majority vote", score, majority_vote)
}

/// How often the order of two candidates is the one that people prefer, beside the order by the
/// mean of all recorded votes of other members on the two.
///
/// # Errors
/// When a round does not read.
pub fn people(peers: &Peers, draws: u64, settings: &Settings) -> Result<Measured> {
    let mut ours: BTreeMap<(String, usize, usize), (f64, f64)> = BTreeMap::new();
    for draw in 0..draws.max(1) {
        let rounds = shuffled(&round::read(&peers.rounds)?, draw);
        for one in replay::run(&rounds, &Plan::default(), settings) {
            for (better, worse) in peers.people.get(&one.id).into_iter().flatten() {
                let strength = |at: &usize| one.candidates.get(*at).map_or(0.0, |one| one.strength);
                let of = ours.entry((one.id.clone(), *better, *worse)).or_default();
                of.0 += half(strength(better) - strength(worse));
                of.1 += 1.0;
            }
        }
    }
    let lines: BTreeMap<&str, &Line> =
        peers.rounds.iter().map(|line| (line.id.as_str(), line)).collect();
    let plain = |id: &str, better: usize, worse: usize| -> f64 {
        let ballots = lines.get(id).into_iter().flat_map(|line| &line.ballots);
        let writer = |at: usize| lines.get(id)?.candidates.get(at)?.writer.as_ref();
        let own = |judge: &String| writer(better) == Some(judge) || writer(worse) == Some(judge);
        let lead =
            ballots.filter(|one| !own(&one.judge)).map(|one| match (one.first, one.second) {
                pair if pair == (better, worse) => one.p - 0.5,
                pair if pair == (worse, better) => 0.5 - one.p,
                _ => 0.0,
            });
        half(lead.sum())
    };
    Ok(Measured {
        baseline: "mean of the other peers' votes",
        theirs: ours.keys().map(|(id, better, worse)| plain(id, *better, *worse)).collect(),
        ours: ours.values().map(|(sum, count)| sum / count).collect(),
        claims: Vec::new(),
    })
}

/// Mean score of each question over the draws in which it was not gold.
fn measured(
    lines: &[Line],
    draws: Draws<'_>,
    baseline: &'static str,
    ours: impl Fn(&Round, &Ranked) -> Option<f64>,
    theirs: impl Fn(&Round) -> f64,
) -> Result<Measured> {
    let all = round::read(lines)?;
    let mut scores: BTreeMap<String, (f64, f64, f64)> = BTreeMap::new();
    let mut claims = Vec::new();
    for draw in 0..draws.count.max(1) {
        let rounds = shuffled(&all, draw);
        let plan = Plan { gold: draws.gold, seed: draw, gold_first: true };
        let ranked = replay::run(&rounds, &plan, draws.settings);
        for (round, one) in rounds.iter().zip(&ranked).filter(|(_, one)| !one.gold) {
            let Some(score) = ours(round, one) else { continue };
            claims.push((one.p, one.right == Some(true)));
            // Several rounds about one question are one question: its interval is over questions.
            let question = round.id.split(" / ").next().unwrap_or_default();
            let of = scores.entry(question.to_owned()).or_default();
            *of = (of.0 + score, of.1 + theirs(round), of.2 + 1.0);
        }
    }
    Ok(Measured {
        baseline,
        ours: scores.values().map(|(ours, _, count)| ours / count).collect(),
        theirs: scores.values().map(|(_, theirs, count)| theirs / count).collect(),
        claims,
    })
}

/// The rounds in another order: what is learned by when must not hang on the file's.
fn shuffled(rounds: &[Round], seed: u64) -> Vec<Round> {
    let mut rounds = rounds.to_vec();
    rounds.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    rounds
}
