//! What each part of the round is worth: kept records of rounds in which everybody wrote and
//! judged, cut down to fewer writers, fewer judges, other ballots, and ranked again.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shoal_gateway::reputation::Standing;

use crate::{
    record::{Asked, Ballot, Pair, Round, Score, node},
    replay::{self, Gold, Settings},
    stats,
};

/// Nats that make a difference of likelihoods a clear verdict.
const TEMPERATURE: f64 = 5.0;

/// How a round is cut down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Writers kept; more than there are: all.
    pub writers: usize,
    pub chosen: Chosen,
    /// Judges heard; more than there are: all.
    pub judges: usize,
    pub ballots: Ballots,
    /// Equal answers add up.
    pub pooled: bool,
    /// Judges are heard one after the other, until P(best) is high enough.
    pub adaptive: bool,
}

/// Which writers are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chosen {
    /// By lot.
    Uniformly,
    /// The likeliest to be right on this kind of question.
    ByStanding,
}

/// What judges say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballots {
    /// As they were cast.
    AsCast,
    /// Likelihoods turned into verdicts on pairs.
    Pairs,
}

impl Cut {
    /// Everything as it was.
    pub const WHOLE: Self = Self {
        writers: usize::MAX,
        chosen: Chosen::Uniformly,
        judges: usize::MAX,
        ballots: Ballots::AsCast,
        pooled: true,
        adaptive: false,
    };
}

/// What a cut makes of the records.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Row {
    pub accuracy: stats::Estimate,
    /// Tokens read and written by all members for an answer: mean.
    pub tokens: f64,
    /// Ballots that were heard: mean.
    pub ballots: f64,
    /// The slowest writer's time and, where a ballot was heard, the round's judging: median.
    pub seconds: f64,
    pub calibration_error: f64,
}

/// Ranks every round again after the cut; round about, as [`replay::replay`] does.
pub fn row(asked: &[Asked], cut: Cut, gold: Gold, settings: &Settings) -> Row {
    let folds = gold.folds.max(2);
    let mut claims = Vec::with_capacity(asked.len());
    let (mut tokens, mut ballots, mut seconds) = (0.0, 0.0, Vec::new());
    for fold in 0..folds {
        let standing = replay::standing(asked, fold, folds, gold.per_family, settings);
        for (at, one) in asked.iter().enumerate().skip(fold).step_by(folds) {
            let whole = cut_down(one, cut, &standing, at as u64);
            let (heard, claim) = hear(&whole, cut, &standing, settings);
            claims.push(claim);
            let Some(round) = &heard.round else { continue };
            tokens += spent(round) as f64;
            ballots += round.ballots.len() as f64;
            seconds.push(took(round));
        }
    }
    let all = claims.len().max(1) as f64;
    Row {
        accuracy: stats::wilson(claims.iter().filter(|(_, right)| *right).count(), claims.len()),
        tokens: tokens / all,
        ballots: ballots / all,
        seconds: stats::median(seconds),
        calibration_error: stats::calibration_error(&claims),
    }
}

/// The round with the ballots that were needed, and (P(best), whether the winner is right).
fn hear(whole: &Asked, cut: Cut, standing: &Standing, settings: &Settings) -> (Asked, (f64, bool)) {
    let all = whole.round.as_ref().map_or(0, |round| round.ballots.len());
    let first = if cut.adaptive { 0 } else { all };
    for count in first..=all {
        let mut heard = whole.clone();
        if let Some(round) = &mut heard.round {
            round.ballots.truncate(count);
        }
        let Some(picked) = replay::pick(&heard, standing, settings, cut.pooled) else { break };
        if count == all || picked.p_best >= settings.rank.tau {
            let right = heard.rights.get(picked.winner).copied().unwrap_or(false);
            return (heard, (picked.p_best, right));
        }
    }
    (whole.clone(), (0.0, false))
}

/// Fewer writers and judges, other ballots; `seed` for the lot.
fn cut_down(asked: &Asked, cut: Cut, standing: &Standing, seed: u64) -> Asked {
    let Some(round) = &asked.round else { return asked.clone() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kept = writers(asked, round, cut, standing, &mut rng);
    let place = |candidate: usize| kept.iter().position(|kept| *kept == candidate);
    let mut ballots: Vec<Ballot> = round.ballots.clone();
    ballots.shuffle(&mut rng);
    if cut.adaptive {
        // The weightiest first, as the gateway asks them.
        ballots.sort_by(|x, y| {
            let weight = |ballot: &Ballot| standing.judge_weight(&node(&ballot.judge));
            weight(y).total_cmp(&weight(x))
        });
    }
    ballots.truncate(cut.judges);
    for ballot in &mut ballots {
        let scores = ballot.scores.iter();
        ballot.scores = scores
            .filter_map(|score| Some(Score { candidate: place(score.candidate)?, ..*score }))
            .collect();
        let pairs = ballot.pairs.iter();
        ballot.pairs = pairs
            .filter_map(|pair| Some(Pair { a: place(pair.a)?, b: place(pair.b)?, ..*pair }))
            .collect();
        if cut.ballots == Ballots::Pairs {
            ballot.pairs = compared(&ballot.scores);
            ballot.scores.clear();
        }
    }
    ballots.retain(|ballot| !ballot.scores.is_empty() || !ballot.pairs.is_empty());
    let candidates = kept.iter().filter_map(|at| round.candidates.get(*at).cloned()).collect();
    Asked {
        rights: kept.iter().filter_map(|at| asked.rights.get(*at).copied()).collect(),
        round: Some(Round { candidates, ballots, ..round.clone() }),
        ..asked.clone()
    }
}

/// Indices of the writers that are kept, in the order in which they finished.
fn writers(
    asked: &Asked,
    round: &Round,
    cut: Cut,
    standing: &Standing,
    rng: &mut ChaCha8Rng,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..round.candidates.len()).collect();
    order.shuffle(rng);
    if cut.chosen == Chosen::ByStanding {
        let kind = standing.kind_of(&asked.question);
        let odds = |at: &usize| {
            let writer = round.candidates.get(*at).map(|one| node(&one.writer));
            writer.map_or(0.0, |writer| standing.writer_log_odds(&writer, &kind))
        };
        order.sort_by(|x, y| odds(y).total_cmp(&odds(x)));
    }
    order.truncate(cut.writers);
    order.sort_unstable();
    order
}

/// A judge's likelihoods as verdicts on pairs.
fn compared(scores: &[Score]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, a) in scores.iter().enumerate() {
        for b in scores.iter().skip(at + 1) {
            let p = 1.0 / (1.0 + (-(a.logprob - b.logprob) / TEMPERATURE).exp());
            pairs.push(Pair { a: a.candidate, b: b.candidate, p, flipped: false });
        }
    }
    pairs
}

/// Tokens of all candidates and ballots.
fn spent(round: &Round) -> u64 {
    let judged = round.ballots.iter().map(|ballot| u64::from(ballot.prompt_tokens));
    round.candidates.iter().map(crate::record::Candidate::tokens).chain(judged).sum()
}

fn took(round: &Round) -> f64 {
    let slowest = round.candidates.iter().map(|one| one.took_ms).fold(0.0, f64::max);
    let judging = if round.ballots.is_empty() { 0.0 } else { round.timings_ms.judge };
    (slowest + judging) / 1e3
}

#[cfg(test)]
mod tests;
