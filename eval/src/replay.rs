//! The gateway's own ranking over records: the result of other settings.
//!
//! Standing is learned from some of the questions as if they were gold, and the others are ranked
//! with it. The questions take turns, so that every question is ranked by a standing without it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shoal_consensus::{
    Candidate, RoundSettings, agree,
    reputation::{
        self, GoldObservation, KindId, KindModel, Likelihood, Observation, Provenance, Record,
        Standing, judges, learn,
    },
    settings::{AgreeSettings, EvidenceSettings, RankSettings},
    tally::Tally,
};

use crate::{
    record::{Ballot, QuestionRecord, node_id},
    stats,
};

/// Settings that a replay can change, with the gateway's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    pub reputation: reputation::Settings,
    pub agree: AgreeSettings,
    pub evidence: EvidenceSettings,
    pub rank: RankSettings,
}

impl Settings {
    fn round(&self) -> RoundSettings {
        RoundSettings {
            agree: self.agree.clone(),
            evidence: self.evidence.clone(),
            rank: self.rank.clone(),
            ..RoundSettings::default()
        }
    }

    /// These settings with a change such as `rank.lambda=0.5`.
    ///
    /// # Errors
    /// If there is no such setting, or the value does not fit it.
    pub fn with(&self, change: &str) -> Result<Self> {
        let (path, value) = change.split_once('=').context("a setting is name=value")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut settings = serde_json::to_value(self)?;
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(slot) = settings.pointer_mut(&pointer) else {
            bail!("there is no setting {path}")
        };
        *slot = value;
        serde_json::from_value(settings).with_context(|| format!("{change} does not fit"))
    }
}

/// The choice of gold questions.
#[derive(Clone, Copy, Debug)]
pub struct Gold {
    /// Parts of the questions; each part is ranked with what the others taught.
    pub folds: usize,
    /// Maximum number of questions of each family for learning, as in the gateway's exam.
    pub per_family: usize,
}

impl Default for Gold {
    /// As many gold questions as a newcomer gets.
    fn default() -> Self {
        Self { folds: 5, per_family: 6 }
    }
}

/// Accuracy and calibration of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReplaySummary {
    pub accuracy: stats::Estimate,
    pub calibration_error: f64,
    /// Share of rounds that agreement would have ended.
    pub agreement: f64,
    /// Share of these that are right.
    pub agreement_right: f64,
}

/// Ranks every round again.
pub fn replay(records: &[QuestionRecord], gold: Gold, settings: &Settings) -> ReplaySummary {
    let folds = gold.folds.max(2);
    let mut claims = Vec::with_capacity(records.len());
    let (mut agreements, mut agreements_right) = (0usize, 0usize);
    for fold in 0..folds {
        let history = GoldHistory::outside_fold(records, fold, folds, gold.per_family);
        let standing = history.standing(settings);
        for record in records.iter().skip(fold).step_by(folds) {
            let Some(pick) = pick(record, &standing, settings, Pooling::Equal) else {
                claims.push((0.0, false));
                continue;
            };
            let right = record.rights.get(pick.winner).copied().unwrap_or(false);
            claims.push((pick.p_best, right));
            agreements += usize::from(pick.by_agreement);
            agreements_right += usize::from(pick.by_agreement && right);
        }
    }
    ReplaySummary {
        accuracy: stats::wilson(claims.iter().filter(|(_, right)| *right).count(), claims.len()),
        calibration_error: stats::calibration_error(&claims),
        agreement: agreements as f64 / claims.len().max(1) as f64,
        agreement_right: agreements_right as f64 / agreements.max(1) as f64,
    }
}

/// Which candidates share a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Equal answers, as in the gateway.
    Equal,
    /// Every candidate has a pool of its own.
    Separate,
}

/// The decision of a round.
pub(crate) struct Pick {
    pub(crate) winner: usize,
    pub(crate) p_best: f64,
    by_agreement: bool,
}

/// The winner of one round by the gateway's rules.
pub(crate) fn pick(
    record: &QuestionRecord,
    standing: &Standing,
    settings: &Settings,
    pooling: Pooling,
) -> Option<Pick> {
    let round = record.round.as_ref()?;
    let mut candidates: Vec<Candidate> =
        round.candidates.iter().map(|candidate| candidate.to_gateway()).collect();
    let pools = match pooling {
        Pooling::Equal => {
            agree::pools(round.candidates.iter().map(|candidate| candidate.text.as_str()))
        }
        Pooling::Separate => (0..candidates.len()).collect(),
    };
    for (candidate, pool) in candidates.iter_mut().zip(pools) {
        candidate.pool = pool;
    }
    let kind = standing.kind_of(&record.question);
    let ballots: Vec<_> = round.ballots.iter().map(Ballot::to_gateway).collect();
    let config = settings.round();
    let tally = Tally {
        candidates: &candidates,
        ballots: &ballots,
        standing,
        kind: &kind,
        config: &config,
    };
    let agreement = tally.agreed_pool(candidates.len());
    let tally = if agreement.is_some() { Tally { ballots: &[], ..tally } } else { tally };
    let ranking = tally.ranking();
    let winner = *ranking.order.iter().find(|index| {
        agreement.is_none_or(|pool| {
            candidates.get(**index).is_some_and(|candidate| candidate.pool == pool)
        })
    })?;
    let p_best = ranking.p_best.get(winner).copied().unwrap_or(0.0);
    Some(Pick { winner, p_best, by_agreement: agreement.is_some() })
}

/// Observations of members on some questions, as if those were gold.
#[derive(Debug, Default)]
pub(crate) struct GoldHistory {
    kinds: KindModel,
    members: BTreeMap<String, Vec<Observation>>,
    digests: BTreeMap<String, String>,
}

impl GoldHistory {
    /// Observations on the questions outside `fold`.
    pub(crate) fn outside_fold(
        records: &[QuestionRecord],
        fold: usize,
        folds: usize,
        per_family: usize,
    ) -> Self {
        let mut history = Self::default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, record) in records.iter().enumerate().filter(|(at, _)| at % folds != fold) {
            let count = counts.entry(&record.family).or_default();
            *count += 1;
            // The gateway learns kinds from more questions than it asks members.
            if *count > per_family.max(LESSONS) {
                continue;
            }
            let kind = KindId::new(&record.family);
            history.kinds.learn(&record.question, &kind);
            if *count <= per_family {
                history.observe(record, &kind);
            }
        }
        history
    }

    /// Every member has a random share of all observations, as many as one member has.
    pub(crate) fn equalize(self) -> Self {
        let members = self.members.len().max(1);
        let mut observations: Vec<Observation> = self.members.values().flatten().cloned().collect();
        observations.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        observations.truncate(observations.len() / members);
        let members =
            self.members.into_keys().map(|member| (member, observations.clone())).collect();
        Self { members, ..self }
    }

    pub(crate) fn standing(self, settings: &Settings) -> Standing {
        let Self { kinds, members, digests } = self;
        let records = members.into_iter().map(|(member, observations)| {
            let record = learn(&Record::default(), &observations, 1, &settings.reputation);
            let digest = digests.get(&member).cloned().unwrap_or_default();
            let provenance = Provenance { digest, ..Provenance::default() };
            (node_id(&member), Record { claims_count: true, provenance, ..record })
        });
        Standing::new(records.collect(), kinds, settings.reputation.clone())
    }

    fn observe(&mut self, record: &QuestionRecord, kind: &KindId) {
        self.digests.extend(record.digests.clone());
        let item = judges::item([record.question.as_str()]);
        for answer in record.answers() {
            let right = answer.right;
            let writer = &answer.candidate.writer;
            self.push(writer, kind, GoldObservation::Answered { right });
            if let Some(claim) = answer.candidate.to_gateway().claim() {
                self.push(writer, kind, GoldObservation::Certainty { claim, right, item });
            }
        }
        for ballot in record.round.iter().flat_map(|round| &round.ballots) {
            self.observe_ballot(record, ballot, kind, item);
        }
    }

    fn observe_ballot(
        &mut self,
        record: &QuestionRecord,
        ballot: &Ballot,
        kind: &KindId,
        item: u64,
    ) {
        let candidates = record.round.iter().flat_map(|round| &round.candidates);
        let texts: Vec<&str> = candidates.map(|candidate| candidate.text.as_str()).collect();
        // A judge without any usable verdict still has a record.
        self.members.entry(ballot.judge.clone()).or_default();
        for score in &ballot.scores {
            if let Some(right) = record.rights.get(score.candidate).copied() {
                let text = texts.get(score.candidate).copied().unwrap_or_default();
                let text = Likelihood::new(score.logprob, text);
                self.push(&ballot.judge, kind, GoldObservation::Score { text, right, item });
            }
        }
        for pair in &ballot.pairs {
            let a_right = record.rights.get(pair.a) == Some(&true);
            let b_right = record.rights.get(pair.b) == Some(&true);
            let p = match (a_right, b_right) {
                (true, false) => pair.p,
                (false, true) => 1.0 - pair.p,
                _ => continue,
            };
            let (flipped, mode) = (pair.flip, ballot.to_gateway().mode());
            self.push(&ballot.judge, kind, GoldObservation::Pairwise { p, flipped, item, mode });
        }
    }

    fn push(&mut self, member: &str, kind: &KindId, observation: GoldObservation) {
        let observation = Observation::Gold { kind: Some(kind.clone()), observation };
        self.members.entry(member.to_owned()).or_default().push(observation);
    }
}

/// Questions of each family for the kind model.
const LESSONS: usize = 40;

#[cfg(test)]
pub(crate) mod tests;
