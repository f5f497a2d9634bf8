//! The value of each part of a round: records of rounds in which every member wrote and judged, reduced
//! to fewer writers, fewer judges or other ballots, and ranked again.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shoal_consensus::{
    Ask, MemberView, Mode,
    ask::{Effort, Limits, Target},
    reputation::{Standing, calibration::sigmoid},
    select::{self, Panel},
    settings::SelectSettings,
};
use shoal_proto::{
    generate::{ChatMessage, Sampling},
    hello::Model,
};

use crate::{
    record::{Ballot, Candidate, Pair, QuestionRecord, Round, Score, node_id},
    replay::{self, Gold, GoldHistory, Pooling, Settings},
    stats,
};

/// Nats that make a difference of likelihoods a clear verdict.
const TEMPERATURE: f64 = 5.0;

/// A reduction of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Number of writers; a number above the number of members means all.
    pub writers: usize,
    pub selection: Selection,
    /// Number of judges; a number above the number of members means all.
    pub judges: usize,
    pub ballots: Ballots,
    pub pooling: Pooling,
    /// Ballots are counted one after the other until P(best) is high enough.
    pub adaptive: bool,
}

/// The choice of the writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// At random.
    Uniform,
    /// By the gateway's rules, for judges too.
    Routing,
}

/// The form of the ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ballots {
    /// As the judges cast them.
    AsCast,
    /// Likelihoods converted to verdicts on pairs.
    Pairs,
}

impl Cut {
    /// The complete round.
    pub const WHOLE: Self = Self {
        writers: usize::MAX,
        selection: Selection::Uniform,
        judges: usize::MAX,
        ballots: Ballots::AsCast,
        pooling: Pooling::Equal,
        adaptive: false,
    };
}

/// The results of a cut on the records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Whether each question's winner is right, in their order.
    #[serde(skip)]
    pub right: Vec<bool>,
    pub accuracy: stats::Estimate,
    /// Mean tokens for an answer, read and written by all members.
    pub tokens: f64,
    /// Mean number of counted ballots.
    pub ballots: f64,
    /// Median time of the slowest writer plus, if a ballot counted, the round's judging.
    pub seconds: f64,
    pub calibration_error: f64,
}

/// The standing for the questions of each fold, learned from the other folds.
#[derive(Debug)]
pub struct FoldStandings {
    standings: Vec<Standing>,
    settings: Settings,
}

/// The record of each member in a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Its own record.
    Individual,
    /// The same record for all members.
    Uniform,
}

impl FoldStandings {
    /// Learns the standing for each fold.
    pub fn learn(
        records: &[QuestionRecord],
        gold: Gold,
        settings: &Settings,
        trust: Trust,
    ) -> Self {
        let folds = gold.folds.max(2);
        let standings = (0..folds).map(|fold| {
            let history = GoldHistory::outside_fold(records, fold, folds, gold.per_family);
            let history = match trust {
                Trust::Individual => history,
                Trust::Uniform => history.equalize(),
            };
            history.standing(settings)
        });
        Self { standings: standings.collect(), settings: settings.clone() }
    }

    /// The standing for this question.
    pub(crate) fn for_question(&self, question: usize) -> Option<&Standing> {
        self.standings.get(question % self.standings.len().max(1))
    }
}

/// Ranks every round again after the cut.
pub fn row(records: &[QuestionRecord], cut: Cut, standings: &FoldStandings) -> Row {
    let mut claims = Vec::with_capacity(records.len());
    let (mut tokens, mut ballots, mut seconds) = (0.0, 0.0, Vec::new());
    for (at, record) in records.iter().enumerate() {
        let Some(standing) = standings.for_question(at) else { continue };
        let remainder = reduce(record, cut, standing, at as u64);
        let (record, claim) = decide(&remainder, cut, standing, &standings.settings);
        claims.push(claim);
        let Some(round) = &record.round else { continue };
        tokens += round.tokens() as f64;
        ballots += round.ballots.len() as f64;
        seconds.push(duration(round));
    }
    let count = claims.len().max(1) as f64;
    let right: Vec<bool> = claims.iter().map(|(_, right)| *right).collect();
    Row {
        accuracy: stats::share(&right),
        right,
        tokens: tokens / count,
        ballots: ballots / count,
        seconds: stats::median(seconds),
        calibration_error: stats::calibration_error(&claims),
    }
}

/// The round with the ballots that were necessary, and (P(best), whether the winner is right).
fn decide(
    record: &QuestionRecord,
    cut: Cut,
    standing: &Standing,
    settings: &Settings,
) -> (QuestionRecord, (f64, bool)) {
    let ballots = record.round.as_ref().map_or(0, |round| round.ballots.len());
    let start = if cut.adaptive { 0 } else { ballots };
    for count in start..=ballots {
        let mut partial = record.clone();
        if let Some(round) = &mut partial.round {
            round.ballots.truncate(count);
        }
        let Some(pick) = replay::pick(&partial, standing, settings, cut.pooling) else { break };
        if count == ballots || pick.p_best >= settings.rank.tau {
            let right = partial.rights.get(pick.winner).copied().unwrap_or(false);
            return (partial, (pick.p_best, right));
        }
    }
    (record.clone(), (0.0, false))
}

/// The record with fewer writers and judges, or other ballots; `seed` is for random choices.
pub(crate) fn reduce(
    record: &QuestionRecord,
    cut: Cut,
    standing: &Standing,
    seed: u64,
) -> QuestionRecord {
    let Some(round) = &record.round else { return record.clone() };
    let (mut writers, mut ballots) = match cut.selection {
        Selection::Uniform => random_panel(round, cut, seed),
        Selection::Routing => routed_panel(record, round, cut, standing, seed),
    };
    // In the order in which they finished.
    writers.sort_unstable();
    if cut.adaptive {
        // Highest weight first, in the order of the gateway.
        ballots.sort_by(|x, y| {
            let (x, y) = (node_id(&x.judge), node_id(&y.judge));
            standing.judge_weight(&y).total_cmp(&standing.judge_weight(&x))
        });
    }
    ballots.truncate(cut.judges);
    for ballot in &mut ballots {
        restrict(ballot, &writers);
        if cut.ballots == Ballots::Pairs {
            ballot.pairs = pairs_from_scores(&ballot.scores);
            ballot.scores.clear();
        }
    }
    ballots.retain(|ballot| !ballot.scores.is_empty() || !ballot.pairs.is_empty());
    let candidates = writers.iter().filter_map(|at| round.candidates.get(*at).cloned()).collect();
    QuestionRecord {
        rights: writers.iter().filter_map(|at| record.rights.get(*at).copied()).collect(),
        round: Some(Round { candidates, ballots, ..round.clone() }),
        ..record.clone()
    }
}

/// Random writers, and all ballots in random order.
fn random_panel(round: &Round, cut: Cut, seed: u64) -> (Vec<usize>, Vec<Ballot>) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut writers: Vec<usize> = (0..round.candidates.len()).collect();
    writers.shuffle(&mut rng);
    writers.truncate(cut.writers);
    let mut ballots = round.ballots.clone();
    ballots.shuffle(&mut rng);
    (writers, ballots)
}

/// The writers that the gateway would choose, and the ballots of its judges in their order.
fn routed_panel(
    record: &QuestionRecord,
    round: &Round,
    cut: Cut,
    standing: &Standing,
    seed: u64,
) -> (Vec<usize>, Vec<Ballot>) {
    let panel = panel(record, round, cut, standing, seed);
    let ballots = panel.judges.iter().flat_map(|judge| {
        round.ballots.iter().filter(move |ballot| node_id(&ballot.judge) == *judge)
    });
    let writers = (0..round.candidates.len()).filter(|at| {
        round
            .candidates
            .get(*at)
            .is_some_and(|candidate| panel.writers.contains(&node_id(&candidate.writer)))
    });
    (writers.collect(), ballots.cloned().collect())
}

/// The panel that the gateway would choose among the members of the round; empty if it has none.
fn panel(
    record: &QuestionRecord,
    round: &Round,
    cut: Cut,
    standing: &Standing,
    seed: u64,
) -> Panel {
    let members: Vec<MemberView> =
        round.candidates.iter().map(|candidate| member_view(record, candidate)).collect();
    let default = Limits::default().effort(Mode::Balanced);
    let effort = Effort { writers: cut.writers, judges: cut.judges, ..default };
    let messages = vec![ChatMessage::new("user", record.question.clone())];
    let ask = Ask::plain(Target::Swarm, messages, Sampling::default(), effort);
    select::panel(&ask, &members, standing, &SelectSettings::default(), seed).unwrap_or_default()
}

fn member_view(record: &QuestionRecord, candidate: &Candidate) -> MemberView {
    MemberView {
        id: node_id(&candidate.writer),
        model: Model {
            name: candidate.model.clone(),
            digest: record.digests.get(&candidate.writer).cloned().unwrap_or_default(),
            context: u32::MAX,
            likelihood: true,
            ..Model::default()
        },
        operator: String::new(),
        slots: 1,
        running: 0,
        tokens_per_second: 0.0,
        bytes_per_second: 0.0,
        first_token_seconds: 0.0,
        first_token_late: 0.0,
        is_silent: false,
        probation: false,
        is_proven: true,
        owns_name: true,
    }
}

/// Limits a ballot to the candidates at `indices`, and renumbers them.
pub(crate) fn restrict(ballot: &mut Ballot, indices: &[usize]) {
    ballot.scores = ballot
        .scores
        .iter()
        .filter_map(|score| {
            Some(Score { candidate: position(indices, score.candidate)?, ..*score })
        })
        .collect();
    ballot.pairs = ballot
        .pairs
        .iter()
        .filter_map(|pair| {
            Some(Pair { a: position(indices, pair.a)?, b: position(indices, pair.b)?, ..*pair })
        })
        .collect();
}

fn position(indices: &[usize], candidate: usize) -> Option<usize> {
    indices.iter().position(|index| *index == candidate)
}

/// A judge's likelihoods as verdicts on pairs.
fn pairs_from_scores(scores: &[Score]) -> Vec<Pair> {
    let mut pairs = Vec::new();
    for (at, a) in scores.iter().enumerate() {
        for b in scores.iter().skip(at + 1) {
            let p = sigmoid((a.logprob - b.logprob) / TEMPERATURE);
            pairs.push(Pair { a: a.candidate, b: b.candidate, p, flip: false });
        }
    }
    pairs
}

/// Seconds of the slowest writer and, if there are ballots, of the judging.
fn duration(round: &Round) -> f64 {
    let slowest = round.candidates.iter().map(|candidate| candidate.took_ms).fold(0.0, f64::max);
    let judging = if round.ballots.is_empty() { 0.0 } else { round.timings_ms.judge };
    (slowest + judging) / 1e3
}

#[cfg(test)]
mod tests;
