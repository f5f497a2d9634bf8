//! What each part of the round is worth: kept records of rounds in which everybody wrote and
//! judged, cut down to fewer writers, fewer judges, other ballots, and ranked again.

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shoal_consensus::{settings::SelectSettings, Ask, ask::{Effort, Limits, Target}, Mode, reputation::Standing, select::{self, Panel}, MemberView};
use shoal_proto::{
    generate::{ChatMessage, Sampling},
    hello::Model,
};

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
    /// As the gateway chooses, and judges too.
    Routed,
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
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Whether each question's winner is right, in their order.
    #[serde(skip)]
    pub right: Vec<bool>,
    pub accuracy: stats::Estimate,
    /// Tokens read and written by all members for an answer: mean.
    pub tokens: f64,
    /// Ballots that were heard: mean.
    pub ballots: f64,
    /// The slowest writer's time and, where a ballot was heard, the round's judging: median.
    pub seconds: f64,
    pub calibration_error: f64,
}

/// What is known of the members when a question is ranked: learned from questions of other folds.
#[derive(Debug)]
pub struct Learned {
    standings: Vec<Standing>,
    settings: Settings,
}

impl Learned {
    /// `alike`: everybody is believed what all of them together have earned.
    pub fn of(asked: &[Asked], gold: Gold, settings: &Settings, alike: bool) -> Self {
        let folds = gold.folds.max(2);
        let standings = (0..folds).map(|fold| {
            let seen = replay::Seen::of(asked, fold, folds, gold.per_family);
            let seen = if alike { seen.alike() } else { seen };
            seen.standing(settings)
        });
        Self { standings: standings.collect(), settings: settings.clone() }
    }

    pub(crate) fn on(&self, question: usize) -> Option<&Standing> {
        self.standings.get(question % self.standings.len().max(1))
    }
}

/// Ranks every round again after the cut.
pub fn row(asked: &[Asked], cut: Cut, learned: &Learned) -> Row {
    let mut claims = Vec::with_capacity(asked.len());
    let (mut tokens, mut ballots, mut seconds) = (0.0, 0.0, Vec::new());
    for (at, one) in asked.iter().enumerate() {
        let Some(standing) = learned.on(at) else { continue };
        let whole = cut_down(one, cut, standing, at as u64);
        let (heard, claim) = hear(&whole, cut, standing, &learned.settings);
        claims.push(claim);
        let Some(round) = &heard.round else { continue };
        tokens += spent(round) as f64;
        ballots += round.ballots.len() as f64;
        seconds.push(took(round));
    }
    let all = claims.len().max(1) as f64;
    let right: Vec<bool> = claims.iter().map(|(_, right)| *right).collect();
    Row {
        accuracy: stats::wilson(right.iter().filter(|right| **right).count(), right.len()),
        right,
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
pub(crate) fn cut_down(asked: &Asked, cut: Cut, standing: &Standing, seed: u64) -> Asked {
    let Some(round) = &asked.round else { return asked.clone() };
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut ballots: Vec<Ballot> = round.ballots.clone();
    let kept = match cut.chosen {
        Chosen::Uniformly => {
            let mut order: Vec<usize> = (0..round.candidates.len()).collect();
            order.shuffle(&mut rng);
            order.truncate(cut.writers);
            ballots.shuffle(&mut rng);
            order
        }
        Chosen::Routed => {
            let panel = panel(asked, round, cut, standing, seed);
            let place = |judge: &str| panel.judges.iter().position(|one| *one == node(judge));
            ballots.retain(|ballot| place(&ballot.judge).is_some());
            ballots.sort_by_key(|ballot| place(&ballot.judge));
            let writes = |at: &usize| {
                let writer = round.candidates.get(*at).map(|one| node(&one.writer));
                writer.is_some_and(|writer| panel.writers.contains(&writer))
            };
            (0..round.candidates.len()).filter(writes).collect()
        }
    };
    let mut kept = kept;
    // In the order in which they finished.
    kept.sort_unstable();
    let place = |candidate: usize| kept.iter().position(|kept| *kept == candidate);
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

/// Who writes and judges by the gateway's own choice among those who did; nobody where it has none.
fn panel(asked: &Asked, round: &Round, cut: Cut, standing: &Standing, seed: u64) -> Panel {
    let members: Vec<MemberView> = round
        .candidates
        .iter()
        .map(|one| MemberView {
            id: node(&one.writer),
            model: Model {
                name: one.model.clone(),
                digest: asked.kin.get(&one.writer).cloned().unwrap_or_default(),
                context: u32::MAX,
                likelihood: true,
                ..Model::default()
            },
            operator: String::new(),
            slots: 1,
            running: 0,
            tokens_per_second: 0.0,
            first_token_seconds: 0.0,
            probation: false,
        })
        .collect();
    let usual = Limits::default().effort(Mode::Balanced);
    let effort = Effort { writers: cut.writers, judges: cut.judges, ..usual };
    let messages = vec![ChatMessage::new("user", asked.question.clone())];
    let ask = Ask::plain(Target::Swarm, messages, Sampling::default(), effort);
    select::panel(&ask, &members, standing, &SelectSettings::default(), seed).unwrap_or_default()
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
