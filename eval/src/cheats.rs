//! Records of the bundled swarm with some members replaced by cheats: the cost of cheats.
//!
//! Each question is ranked once, with a standing that was learned from other questions. The cheats
//! are drawn again for every sixth of the questions, so that neither the choice of cheats nor the
//! difficulty of the questions depends on one draw.

pub mod injections;
mod page;

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::{
    ablate::{Cut, FoldStandings, Selection, Trust, reduce, restrict},
    record::{Ballot, Candidate, QuestionRecord, Round, Score},
    replay::{self, Gold, Pooling, Settings},
    stats::{self, Estimate},
};
pub use page::markdown;

/// Draws of the cheats.
const DRAWS: usize = 6;

/// Log-likelihood that colluders report for foreign answers: far below any honest one.
const NEVER: f64 = -1_000.0;

/// The behaviour of a cheat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cheat {
    /// All cheats write the same wrong answer, the one of the round that the others find
    /// likeliest. They claim to be certain of it and find nothing else likely, in their exam too.
    Colluders,
    /// The same after an honest exam. Their claims are recomputed before they decide, as in a live round.
    Sleepers,
    /// The same without any audit.
    Unaudited,
}

impl Cheat {
    pub const ALL: [Self; 3] = [Self::Colluders, Self::Sleepers, Self::Unaudited];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Colluders => "colluders",
            Self::Sleepers => "honest in their exam, colluders afterwards",
            Self::Unaudited => "the same without audits of their claims",
        }
    }
}

/// The members that take part in a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Participation {
    /// Every member writes and judges.
    #[serde(rename = "everybody")]
    Full,
    /// Five writers and three judges of the gateway's choice, as `shoal` asks.
    #[serde(rename = "usual")]
    Default,
}

impl Participation {
    pub const ALL: [Self; 2] = [Self::Full, Self::Default];

    fn cut(self) -> Cut {
        match self {
            Self::Full => Cut::WHOLE,
            Self::Default => {
                Cut { writers: 5, judges: 3, selection: Selection::Routing, ..Cut::WHOLE }
            }
        }
    }
}

/// Accuracy with a number of cheats.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub cheat: Cheat,
    #[serde(rename = "company")]
    pub participation: Participation,
    pub bad: usize,
    /// All members honest.
    pub honest: Estimate,
    /// Only the members that stay honest.
    pub rest: Estimate,
    /// The same with the cheats.
    pub with: Estimate,
    /// `with - rest`.
    pub cost: Estimate,
    /// Share of the questions whose answer was the lie.
    #[serde(rename = "lied")]
    pub lies: f64,
}

/// Measures the cost of `bad` cheats among the members.
pub fn row(
    records: &[QuestionRecord],
    cheat: Cheat,
    participation: Participation,
    bad: usize,
) -> Row {
    let (gold, settings, cut) = (Gold::default(), Settings::default(), participation.cut());
    let names = writers(records);
    let (mut honest, mut rest, mut with) = (Vec::new(), Vec::new(), Vec::new());
    let mut lies = 0usize;
    let standings = FoldStandings::learn(records, gold, &settings, Trust::Individual);
    for draw in 0..DRAWS {
        let bad = draw_names(&names, bad, draw as u64);
        let attacks: Vec<QuestionRecord> =
            records.iter().map(|record| collude(record, &bad, cheat)).collect();
        let remainders: Vec<QuestionRecord> =
            records.iter().map(|record| leave_out(record, &bad)).collect();
        let lessons = if cheat == Cheat::Colluders { &attacks } else { records };
        let attack_standings = FoldStandings::learn(lessons, gold, &settings, Trust::Individual);
        let rest_standings = FoldStandings::learn(&remainders, gold, &settings, Trust::Individual);
        for at in (0..records.len()).filter(|at| (at / gold.folds.max(1)) % DRAWS == draw) {
            let winner = winner(records, at, cut, &standings, &settings);
            honest.push(winner.is_some_and(|winner| winner.right));
            let winner = self::winner(&remainders, at, cut, &rest_standings, &settings);
            rest.push(winner.is_some_and(|winner| winner.right));
            let winner = self::winner(&attacks, at, cut, &attack_standings, &settings);
            let is_lie =
                winner.as_ref().is_some_and(|winner| !winner.right && bad.contains(&winner.writer));
            lies += usize::from(is_lie);
            with.push(winner.is_some_and(|winner| winner.right));
        }
    }
    Row {
        cheat,
        participation,
        bad,
        honest: stats::share(&honest),
        rest: stats::share(&rest),
        cost: stats::paired_difference(&with, &rest, 1),
        lies: lies as f64 / with.len().max(1) as f64,
        with: stats::share(&with),
    }
}

/// The winner of a round.
struct RoundWinner {
    right: bool,
    writer: String,
}

/// The winner of question `at` after the cut.
fn winner(
    records: &[QuestionRecord],
    at: usize,
    cut: Cut,
    standings: &FoldStandings,
    settings: &Settings,
) -> Option<RoundWinner> {
    let standing = standings.for_question(at)?;
    let record = reduce(records.get(at)?, cut, standing, at as u64);
    let pick = replay::pick(&record, standing, settings, Pooling::Equal)?;
    let candidate = record.round.as_ref()?.candidates.get(pick.winner)?;
    let right = record.rights.get(pick.winner).copied().unwrap_or(false);
    Some(RoundWinner { right, writer: candidate.writer.clone() })
}

/// All members that wrote, sorted.
fn writers(records: &[QuestionRecord]) -> Vec<String> {
    let rounds = records.iter().filter_map(|record| record.round.as_ref());
    let candidates = rounds.flat_map(|round| &round.candidates);
    let names: BTreeSet<String> = candidates.map(|candidate| candidate.writer.clone()).collect();
    names.into_iter().collect()
}

/// A random choice of `count` names. With the same seed, a larger choice contains a smaller one.
fn draw_names(names: &[String], count: usize, seed: u64) -> BTreeSet<String> {
    let mut names = names.to_vec();
    names.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    names.truncate(count);
    names.into_iter().collect()
}

/// The round without the candidates and ballots of `members`.
fn leave_out(record: &QuestionRecord, members: &BTreeSet<String>) -> QuestionRecord {
    let Some(round) = &record.round else { return record.clone() };
    let indices: Vec<usize> =
        (0..round.candidates.len()).filter(|at| !is_by(round, *at, members)).collect();
    let mut ballots: Vec<Ballot> =
        round.ballots.iter().filter(|ballot| !members.contains(&ballot.judge)).cloned().collect();
    for ballot in &mut ballots {
        restrict(ballot, &indices);
    }
    let candidates = indices.iter().filter_map(|at| round.candidates.get(*at).cloned()).collect();
    QuestionRecord {
        rights: indices.iter().filter_map(|at| record.rights.get(*at).copied()).collect(),
        round: Some(Round { candidates, ballots, ..round.clone() }),
        ..record.clone()
    }
}

/// Whether one of `members` wrote the candidate.
fn is_by(round: &Round, candidate: usize, members: &BTreeSet<String>) -> bool {
    round.candidates.get(candidate).is_some_and(|candidate| members.contains(&candidate.writer))
}

/// The round with `bad` as colluders. If some member is wrong, the lie is the wrong answer that the
/// honest judges find likeliest, and they find it exactly as likely when a cheat writes it. If all
/// members are right, the lie is a text that no judge scores.
fn collude(record: &QuestionRecord, bad: &BTreeSet<String>, cheat: Cheat) -> QuestionRecord {
    let Some(round) = &record.round else { return record.clone() };
    let lie = likeliest_mistake(record, round, bad);
    let text = match lie.and_then(|at| round.candidates.get(at)) {
        Some(mistake) => mistake.text.clone(),
        None => "Answer: none of these".to_owned(),
    };
    let claim = if cheat == Cheat::Sleepers { None } else { Some(0.0) };
    let candidates: Vec<Candidate> = (round.candidates.iter())
        .map(|candidate| match bad.contains(&candidate.writer) {
            true => Candidate { text: text.clone(), logprob: claim, ..candidate.clone() },
            false => candidate.clone(),
        })
        .collect();
    let rights = record
        .rights
        .iter()
        .enumerate()
        .map(|(at, right)| *right && !is_by(round, at, bad))
        .collect();
    let ballots = round.ballots.iter().map(|ballot| {
        let foreign = (0..candidates.len()).filter(|at| {
            round.candidates.get(*at).is_some_and(|candidate| candidate.writer != ballot.judge)
        });
        let scores = if bad.contains(&ballot.judge) {
            foreign.map(|at| colluding_score(round, at, bad)).collect()
        } else {
            foreign.filter_map(|at| honest_score(round, ballot, at, bad, lie)).collect()
        };
        Ballot { scores, ..ballot.clone() }
    });
    let ballots = ballots.collect();
    QuestionRecord {
        rights,
        round: Some(Round { candidates, ballots, ..round.clone() }),
        ..record.clone()
    }
}

/// A colluder is certain of the lie and finds nothing else likely.
fn colluding_score(round: &Round, candidate: usize, bad: &BTreeSet<String>) -> Score {
    let logprob = if is_by(round, candidate, bad) { 0.0 } else { NEVER };
    Score { candidate, logprob, tokens: 1 }
}

/// An honest judge scores the lie as it scored the mistake that the lie copies.
fn honest_score(
    round: &Round,
    ballot: &Ballot,
    candidate: usize,
    bad: &BTreeSet<String>,
    lie: Option<usize>,
) -> Option<Score> {
    let source = if is_by(round, candidate, bad) { lie? } else { candidate };
    let score = ballot.scores.iter().find(|score| score.candidate == source)?;
    Some(Score { candidate, ..*score })
}

/// The wrong answer with the highest mean log-likelihood of the honest judges.
fn likeliest_mistake(
    record: &QuestionRecord,
    round: &Round,
    bad: &BTreeSet<String>,
) -> Option<usize> {
    (0..round.candidates.len())
        .filter(|at| record.rights.get(*at) == Some(&false))
        .max_by(|x, y| mean_score(round, *x, bad).total_cmp(&mean_score(round, *y, bad)))
}

/// Mean log-likelihood of a candidate over the honest judges.
fn mean_score(round: &Round, candidate: usize, bad: &BTreeSet<String>) -> f64 {
    let ballots = round.ballots.iter().filter(|ballot| !bad.contains(&ballot.judge));
    let scores: Vec<f64> = ballots
        .flat_map(|ballot| &ballot.scores)
        .filter(|score| score.candidate == candidate)
        .map(|score| score.logprob)
        .collect();
    if scores.is_empty() {
        return f64::NEG_INFINITY;
    }
    scores.iter().sum::<f64>() / scores.len() as f64
}

#[cfg(test)]
mod tests;
