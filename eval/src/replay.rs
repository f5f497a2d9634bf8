//! The gateway's own ranking over kept records: what other settings would have made of them.
//!
//! Standing is learned from some of the questions as if they were gold, and the others are ranked
//! with it: round about, so that every question is ranked by a standing that never saw it.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shoal_consensus::{
    RoundSettings, agree,
    reputation::{
        self, GoldObservation, Kin, KindId, KindModel, Likelihood, Observation, Record, Standing,
        judges, learn,
    },
    settings::{AgreeSettings, EvidenceSettings, RankSettings},
    tally::Tally,
};

use crate::{
    record::{Asked, node},
    stats,
};

/// What a replay may change, with the gateway's own defaults.
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

    /// With `rank.lambda=0.5` and the like.
    ///
    /// # Errors
    /// When there is no such setting, or the value does not fit it.
    pub fn with(&self, change: &str) -> Result<Self> {
        let (path, value) = change.split_once('=').context("a setting is name=value")?;
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut all = serde_json::to_value(self)?;
        let pointer = format!("/{}", path.replace('.', "/"));
        let Some(slot) = all.pointer_mut(&pointer) else { bail!("there is no setting {path}") };
        *slot = value;
        serde_json::from_value(all).with_context(|| format!("{change} does not fit"))
    }
}

/// How gold is set apart.
#[derive(Clone, Copy, Debug)]
pub struct Gold {
    /// Parts that the questions are cut into; each is ranked by what the others taught.
    pub folds: usize,
    /// Questions of each family that are learned from at most, as in the gateway's examination.
    pub per_family: usize,
}

impl Default for Gold {
    /// As many gold questions as a newcomer is asked.
    fn default() -> Self {
        Self { folds: 5, per_family: 6 }
    }
}

/// What a replay found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Replayed {
    pub accuracy: stats::Estimate,
    pub calibration_error: f64,
    /// Share of rounds that agreement would have ended, and how often that was right.
    pub agreed: f64,
    pub agreed_right: f64,
}

/// Ranks every round again.
pub fn replay(asked: &[Asked], gold: Gold, settings: &Settings) -> Replayed {
    let folds = gold.folds.max(2);
    let mut claims = Vec::with_capacity(asked.len());
    let (mut agreed, mut agreed_right) = (0usize, 0usize);
    for fold in 0..folds {
        let standing = standing(asked, fold, folds, gold.per_family, settings);
        for one in asked.iter().skip(fold).step_by(folds) {
            let Some(pick) = pick(one, &standing, settings, true) else {
                claims.push((0.0, false));
                continue;
            };
            let right = one.rights.get(pick.winner).copied().unwrap_or(false);
            claims.push((pick.p_best, right));
            agreed += usize::from(pick.agreed);
            agreed_right += usize::from(pick.agreed && right);
        }
    }
    Replayed {
        accuracy: stats::wilson(claims.iter().filter(|(_, right)| *right).count(), claims.len()),
        calibration_error: stats::calibration_error(&claims),
        agreed: agreed as f64 / claims.len().max(1) as f64,
        agreed_right: agreed_right as f64 / agreed.max(1) as f64,
    }
}

/// How a round was decided.
pub(crate) struct Pick {
    pub(crate) winner: usize,
    pub(crate) p_best: f64,
    agreed: bool,
}

/// One round, as the gateway decides it; unless `pooled`, equal answers do not know each other.
pub(crate) fn pick(
    asked: &Asked,
    standing: &Standing,
    settings: &Settings,
    pooled: bool,
) -> Option<Pick> {
    let round = asked.round.as_ref()?;
    let mut candidates: Vec<shoal_consensus::Candidate> =
        round.candidates.iter().map(|candidate| candidate.to_gateway()).collect();
    let mut pools = agree::pools(round.candidates.iter().map(|candidate| candidate.text.as_str()));
    if !pooled {
        pools = (0..pools.len()).collect();
    }
    candidates.iter_mut().zip(pools).for_each(|(one, pool)| one.pool = pool);
    let kind = standing.kind_of(&asked.question);
    let ballots: Vec<_> = round.ballots.iter().map(|ballot| ballot.to_gateway()).collect();
    let config = settings.round();
    let tally = Tally {
        candidates: &candidates,
        ballots: &ballots,
        standing,
        kind: &kind,
        config: &config,
    };
    let enough = tally.agreed_pool(candidates.len());
    let tally = if enough.is_some() { Tally { ballots: &[], ..tally } } else { tally };
    let ranking = tally.ranking();
    let in_pool = |at: &&usize| {
        enough.is_none_or(|pool| candidates.get(**at).is_some_and(|one| one.pool == pool))
    };
    let winner = *ranking.order.iter().find(in_pool)?;
    let p_best = ranking.p_best.get(winner).copied().unwrap_or(0.0);
    Some(Pick { winner, p_best, agreed: enough.is_some() })
}

/// What the questions outside of `fold` teach.
fn standing(
    asked: &[Asked],
    fold: usize,
    folds: usize,
    per_family: usize,
    settings: &Settings,
) -> Standing {
    Seen::of(asked, fold, folds, per_family).standing(settings)
}

/// What was seen of members on some questions, as if those were gold.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    kinds: KindModel,
    members: BTreeMap<String, Vec<Observation>>,
    kin: BTreeMap<String, String>,
}

impl Seen {
    /// On the questions outside of `fold`.
    pub(crate) fn of(asked: &[Asked], fold: usize, folds: usize, per_family: usize) -> Self {
        let mut seen = Self::default();
        let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, one) in asked.iter().enumerate().filter(|(at, _)| at % folds != fold) {
            let taken = taken.entry(&one.family).or_default();
            *taken += 1;
            // The gateway teaches itself kinds from more questions than it asks members.
            if *taken > per_family.max(LESSONS) {
                continue;
            }
            let kind = KindId::new(&one.family);
            seen.kinds.learn(&one.question, &kind);
            if *taken <= per_family {
                observe(one, &kind, &mut seen.members);
                seen.kin.extend(one.kin.clone());
            }
        }
        seen
    }

    /// Everybody has been seen to do what all of them did: as much as one of them, drawn by lot.
    pub(crate) fn alike(self) -> Self {
        let each = self.members.len().max(1);
        let mut all: Vec<Observation> = self.members.values().flatten().cloned().collect();
        all.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
        all.truncate(all.len() / each);
        let members = self.members.into_keys().map(|member| (member, all.clone())).collect();
        Self { members, ..self }
    }

    pub(crate) fn standing(self, settings: &Settings) -> Standing {
        let Self { kinds, members, kin } = self;
        let learned = members.into_iter().map(|(member, seen)| {
            let record = learn(&Record::default(), &seen, 1, &settings.reputation);
            let digest = kin.get(&member).cloned().unwrap_or_default();
            let kin = Kin { digest, ..Kin::default() };
            (node(&member), Record { claims_count: true, kin, ..record })
        });
        Standing::new(learned.collect(), kinds, settings.reputation.clone())
    }
}

/// Questions of each family that kinds are learned from.
const LESSONS: usize = 40;

fn observe(asked: &Asked, kind: &KindId, seen: &mut BTreeMap<String, Vec<Observation>>) {
    let gold = |seen| Observation::Gold { kind: Some(kind.clone()), seen };
    let item = judges::item([asked.question.as_str()]);
    for answer in asked.answers() {
        let (right, of) = (answer.right, seen.entry(answer.candidate.writer.clone()).or_default());
        of.push(gold(GoldObservation::Answered { right }));
        if let Some(claim) = answer.candidate.to_gateway().claim() {
            of.push(gold(GoldObservation::Certainty { claim, right, item }));
        }
    }
    let texts = asked.round.as_ref();
    let text_of = |at: usize| Some(texts?.candidates.get(at)?.text.as_str());
    for ballot in asked.round.iter().flat_map(|round| &round.ballots) {
        let of = seen.entry(ballot.judge.clone()).or_default();
        for score in &ballot.scores {
            if let Some(right) = asked.rights.get(score.candidate).copied() {
                let text = text_of(score.candidate).unwrap_or_default();
                let text = Likelihood::of(score.logprob, text);
                of.push(gold(GoldObservation::Score { text, right, item }));
            }
        }
        for pair in &ballot.pairs {
            let right = |at: usize| asked.rights.get(at).copied().unwrap_or(false);
            let p = match (right(pair.a), right(pair.b)) {
                (true, false) => pair.p,
                (false, true) => 1.0 - pair.p,
                _ => continue,
            };
            let (flipped, way) = (pair.flipped, ballot.to_gateway().way());
            of.push(gold(GoldObservation::Pairwise { p, flipped, item, way }));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
