//! How far each member is believed: pure functions of (before, what was seen, now).
//!
//! A [`Record`] is what is remembered of one member and what the store keeps. A [`Standing`] is a
//! snapshot of everybody's record at one moment with all fits made, cheap to clone: a round takes
//! one and is not disturbed by what is learned meanwhile.
//!
//! Gold (questions whose answer the gateway knows) is what holds all of this up: from agreement
//! with the crowd alone half a swarm of colluders would win every weight there is.

pub mod audit;
pub mod beta;
pub mod calibration;
pub mod kinds;
pub mod judges;
pub mod learn;
pub mod operators;
pub mod features;
pub mod routing;
pub mod tags;
pub mod history;
pub mod settings;
pub mod voices;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

pub use audit::{Audited, Audits};
pub use beta::Beta;
pub use calibration::{Likelihood, Line, Sample};
pub use features::Features;
pub use history::History;
pub use judges::{Compared, Kin, Way};
pub use kinds::{KindId, KindModel, KindPosterior};
pub use learn::{CrowdObservation, GoldObservation, Observation, learn};
pub use settings::Settings;
pub use tags::Claims;
pub use voices::{Panel, Voice};

/// What is remembered of one member. Serialises to JSON; absent fields read as those of a
/// newcomer, so that old records stay readable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Right and wrong answers as a writer.
    pub writer: Beta,
    /// Right and wrong verdicts as a judge.
    pub judge: Beta,
    /// Right and wrong gold answers as a writer, by kind of question.
    pub kinds: BTreeMap<KindId, Beta>,
    /// Recent gold answers with the certainty claimed for them, oldest first.
    pub certainty: VecDeque<Sample>,
    /// Recent gold candidates with the likelihood that this member gave them, oldest first.
    pub scores: VecDeque<Sample>,
    /// Recent gold pairs, oldest first.
    pub pairs: VecDeque<Compared>,
    /// How often its two orders of a pair contradicted each other (`a`) or agreed (`b`) when it
    /// compared at once.
    pub flips: Beta,
    /// The same of pairs that it compared after saying why.
    pub flips_reasoned: Beta,
    /// What rounds have shown it to know, by the words of the ask.
    pub routing: routing::Skill,
    /// How often the ranking made without it put first what it put first.
    pub agreed: Beta,
    /// How often others, comparing its answer with somebody else's, found its better; counted in
    /// rounds.
    pub preferred: Beta,
    /// Whose mistakes it is likely to share, and to whom it says to belong; set on admission.
    pub kin: Kin,
    /// Its certainty counts: audits have recomputed it often enough, which no one can for an
    /// upstream.
    pub claims_count: bool,
    /// What audits have come to since it came or was last caught.
    pub audits: Audits,
    /// Gold answers and verdicts seen since it came or was last caught.
    pub gold_seen: u32,
    /// How often it was caught; each time makes the way out of probation ten times longer.
    pub caught: u32,
    /// Unix time of the last change, seconds; 0: never.
    pub updated_seconds: u64,
    /// What moved these numbers lately.
    pub history: History,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            writer: Beta::UNIFORM,
            judge: Beta::UNIFORM,
            kinds: BTreeMap::new(),
            certainty: VecDeque::new(),
            scores: VecDeque::new(),
            pairs: VecDeque::new(),
            flips: Beta::UNIFORM,
            flips_reasoned: Beta::UNIFORM,
            agreed: Beta::UNIFORM,
            preferred: Beta::UNIFORM,
            kin: Kin::default(),
            routing: routing::Skill::default(),
            claims_count: false,
            audits: Audits::default(),
            gold_seen: 0,
            caught: 0,
            updated_seconds: 0,
            history: History::default(),
        }
    }
}

impl Record {
    /// It writes, but its ballots weigh nothing yet: too little gold seen, or hardly ever right.
    pub fn on_probation(&self, settings: &Settings) -> bool {
        self.gold_seen < self.gold_needed(settings) || self.writer.mean() < settings.probation_right
    }

    /// Gold that must be seen of it before its ballots weigh anything.
    pub fn gold_needed(&self, settings: &Settings) -> u32 {
        settings.probation_items.saturating_mul(10u32.saturating_pow(self.caught))
    }

    /// How often its two orders contradicted each other when it compared in this way.
    pub fn flips_when(&self, way: Way) -> Beta {
        match way {
            Way::AtOnce => self.flips,
            Way::Reasoned => self.flips_reasoned,
        }
    }

    fn flips_when_mut(&mut self, way: Way) -> &mut Beta {
        match way {
            Way::AtOnce => &mut self.flips,
            Way::Reasoned => &mut self.flips_reasoned,
        }
    }

    /// Gold pairs remembered that it compared in this way.
    pub fn pairs_when(&self, way: Way) -> impl Iterator<Item = &Compared> {
        self.pairs.iter().filter(move |pair| pair.way == way)
    }

    /// The record of a member that was caught cheating: all over again, and longer.
    pub fn caught(&self) -> Self {
        let caught = self.caught.saturating_add(1);
        Self { caught, kin: self.kin.clone(), ..Self::default() }
    }

    /// It has not been here for long enough to outvote others.
    pub fn is_newcomer(&self, settings: &Settings) -> bool {
        self.on_probation(settings) || self.audits.passed() < settings.operators.newcomer_audits
    }
}

/// Everybody's reputation at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    all: Arc<Snapshot>,
}

#[derive(Debug)]
struct Snapshot {
    members: BTreeMap<NodeId, Member>,
    kinds: KindModel,
    /// How often an answer of the swarm is right.
    usual: f64,
    settings: Settings,
}

/// A record with what was fitted from it.
#[derive(Clone, Debug)]
struct Member {
    record: Record,
    certainty: Line,
    certainty_base: f64,
    score: Line,
    score_base: f64,
    errors: judges::Errors,
}

impl Standing {
    /// Fits every member: some 10 microseconds for each remembered observation, so for a hundred
    /// members a few milliseconds. Make one after learning, not for each round.
    pub fn new(records: BTreeMap<NodeId, Record>, kinds: KindModel, settings: Settings) -> Self {
        let precision = settings.pool_shrinkage;
        let claims = || records.values().flat_map(|record| &record.certainty);
        let start = calibration::fit_length(std::iter::once(claims()), Line::CERTAINTY, precision);
        let certainty = calibration::fit(claims(), start, precision);
        let read = records.values().map(|record| record.scores.iter());
        let start = calibration::fit_length(read.clone(), Line::SCORE, precision);
        let score = calibration::fit(read.flatten(), start, precision);
        let usual = usual(records.values(), &settings);
        let members = records
            .into_iter()
            .map(|(id, record)| {
                let own = |samples: &VecDeque<Sample>, pool| {
                    calibration::fit(samples.iter(), pool, settings.member_shrinkage)
                };
                let read = std::iter::once(record.scores.iter());
                let score = calibration::fit_length(read, score, settings.member_shrinkage);
                let member = Member {
                    certainty: own(&record.certainty, certainty),
                    certainty_base: calibration::base_log_odds(&record.certainty),
                    score: own(&record.scores, score),
                    score_base: calibration::base_log_odds(&record.scores),
                    errors: judges::Errors::of(&record.pairs),
                    record,
                };
                (id, member)
            })
            .collect();
        let all = Arc::new(Snapshot { members, kinds, usual, settings });
        Self { all }
    }

    /// The same, in which these are strangers. Copies everybody: for the rare round in which
    /// somebody is caught.
    #[must_use]
    pub fn without(&self, strangers: &BTreeSet<NodeId>) -> Self {
        let others = self.all.members.iter().filter(|(id, _)| !strangers.contains(id));
        let all = Snapshot {
            members: others.map(|(id, member)| (*id, member.clone())).collect(),
            kinds: self.all.kinds.clone(),
            usual: self.all.usual,
            settings: self.all.settings.clone(),
        };
        Self { all: Arc::new(all) }
    }

    /// Nobody is known, nothing was learned.
    pub fn empty() -> Self {
        Self::new(BTreeMap::new(), KindModel::default(), Settings::default())
    }

    pub fn settings(&self) -> &Settings {
        &self.all.settings
    }

    pub fn record(&self, id: &NodeId) -> Option<&Record> {
        self.member(id).map(|member| &member.record)
    }

    /// All records, by node.
    pub fn records(&self) -> impl Iterator<Item = (&NodeId, &Record)> {
        self.all.members.iter().map(|(id, member)| (id, &member.record))
    }

    pub fn kinds(&self) -> &KindModel {
        &self.all.kinds
    }

    /// What kind of question this seems to be; says nothing when kinds are switched off.
    pub fn kind_of(&self, question: &str) -> KindPosterior {
        if self.all.settings.kinds {
            self.all.kinds.posterior(question)
        } else {
            KindPosterior::default()
        }
    }

    /// Its ballots weigh nothing yet. The unknown are on probation.
    pub fn on_probation(&self, id: &NodeId) -> bool {
        self.record(id).is_none_or(|record| record.on_probation(&self.all.settings))
    }

    /// Standing as a writer in [0, 1]: the lower 20 % quantile of its accuracy, rescaled so that
    /// the unknown have 0.
    pub fn writer_weight(&self, id: &NodeId) -> f64 {
        let quantile = self.all.settings.quantile;
        self.record(id).map_or(0.0, |record| {
            let unknown = Beta::UNIFORM.quantile(quantile);
            ((record.writer.quantile(quantile) - unknown) / (1.0 - unknown)).clamp(0.0, 1.0)
        })
    }

    /// r_k in [0, 1]: how much a judge tells, in whichever direction ([`Self::discrimination`]
    /// has the sign). 0 on probation.
    pub fn judge_weight(&self, id: &NodeId) -> f64 {
        if self.on_probation(id) {
            return 0.0;
        }
        self.record(id).map_or(0.0, |record| {
            // A judge that is nearly always wrong tells as much as one that is nearly always right.
            let telling =
                if record.judge.mean() < 0.5 { record.judge.mirrored() } else { record.judge };
            (telling.quantile(self.all.settings.quantile) * 2.0 - 1.0).clamp(0.0, 1.0)
        })
    }

    /// Log-odds that an answer of this member to this kind of question is right, before it is
    /// read. Shrunk to its accuracy over all kinds, and that to the swarm's: of few observations
    /// the extreme ones are mostly luck. Nothing is taken for granted of one on probation.
    pub fn writer_log_odds(&self, id: &NodeId, kind: &KindPosterior) -> f64 {
        let Some(record) = self.record(id) else { return 0.0 };
        let settings = &self.all.settings;
        let overall = if record.on_probation(settings) {
            record.writer.mean()
        } else {
            record
                .writer
                .shrunk_mean(self.all.usual, settings.writer_shrinkage * settings.gold_weight)
        };
        let on_kind = |kind: &KindId| {
            record
                .kinds
                .get(kind)
                .map_or(overall, |seen| seen.shrunk_mean(overall, self.all.settings.kind_shrinkage))
        };
        let known: f64 = kind.iter().map(|(kind, p)| p * on_kind(kind)).sum();
        let unknown = (1.0 - kind.iter().map(|(_, p)| p).sum::<f64>()).max(0.0);
        calibration::logit(known + unknown * overall).clamp(-self.clip(), self.clip())
    }

    /// Log-odds by which comparisons of a member's answers speak for its next one, beside what gold
    /// says. Whoever is preferred to others twice as often as not has twice the odds; gold outweighs
    /// it as it outweighs what is usual in the swarm. 0 on probation.
    pub fn preferred_log_odds(&self, id: &NodeId) -> f64 {
        /// No preference says more: judges err, and colluders prefer each other.
        const SAYS_MOST: f64 = 1.0;
        let settings = &self.all.settings;
        let known = self.record(id).filter(|record| !record.on_probation(settings));
        let Some(record) = known else { return 0.0 };
        let preferred = record.preferred.shrunk_mean(0.5, settings.preferred_shrinkage);
        let strength = settings.writer_shrinkage * settings.gold_weight;
        let left = strength / (strength + record.writer.seen()).max(f64::MIN_POSITIVE);
        left * calibration::logit(preferred).clamp(-SAYS_MOST, SAYS_MOST)
    }

    /// Gold answers seen of this member to this kind of question.
    pub fn seen_on(&self, id: &NodeId, kind: &KindPosterior) -> f64 {
        let Some(record) = self.record(id) else { return 0.0 };
        kind.iter().filter_map(|(kind, p)| record.kinds.get(kind).map(|seen| p * seen.seen())).sum()
    }

    /// Which of a member's tags fit the ask, and how much they still count for it.
    pub fn claims(
        &self,
        id: &NodeId,
        tags: &[String],
        ask: &Features,
        kind: &KindPosterior,
    ) -> Claims {
        let worth = self.all.settings.routing.tag_lessons;
        Claims::of(tags, ask).beside(self.seen_on(id, kind), worth)
    }

    /// What the writer's own certainty adds to the log-odds that it is right; None when its claim
    /// does not count (an upstream, a newcomer, nothing seen on gold).
    pub fn certainty_log_odds(&self, id: &NodeId, claim: Likelihood) -> Option<f64> {
        let member = self.member(id)?;
        let counts = member.record.claims_count
            && !member.record.on_probation(&self.all.settings)
            && member.record.certainty.len() >= self.all.settings.claims_needed;
        let odds = member.certainty.log_odds(claim) - member.certainty_base;
        counts.then(|| odds.clamp(-self.clip(), self.clip()))
    }

    /// What this judge's log-likelihood of a candidate adds to the log-odds that the candidate is
    /// right. Weighs little while few gold candidates were seen, 0 on probation.
    pub fn score_log_odds(&self, id: &NodeId, text: Likelihood) -> f64 {
        let Some(member) = self.member(id) else { return 0.0 };
        if member.record.on_probation(&self.all.settings) {
            return 0.0;
        }
        let seen = member.record.scores.len() as f64;
        let weight = seen / (seen + self.all.settings.score_shrinkage);
        let odds = member.score.log_odds(text) - member.score_base;
        (weight * odds).clamp(-self.clip(), self.clip())
    }

    /// The fit behind [`Self::score_log_odds`]; of one that is not known the documented default.
    pub fn score_line(&self, id: &NodeId) -> Line {
        self.member(id).map_or(Line::SCORE, |member| member.score)
    }

    /// The fits behind [`Self::certainty_log_odds`] and [`Self::score_log_odds`].
    pub fn lines(&self, id: &NodeId) -> Option<(Line, Line)> {
        self.member(id).map(|member| (member.certainty, member.score))
    }

    fn member(&self, id: &NodeId) -> Option<&Member> {
        self.all.members.get(id)
    }

    fn clip(&self) -> f64 {
        self.all.settings.clip
    }
}

/// How often an answer of those who are heard is right: the mean over members, who are
/// observations of the swarm, each of its own record; one half while nobody is known.
fn usual<'a>(records: impl Iterator<Item = &'a Record>, settings: &Settings) -> f64 {
    let known = records.filter(|record| !record.on_probation(settings));
    let (sum, count) =
        known.fold((0.5, 1.0), |(sum, count), record| (sum + record.writer.mean(), count + 1.0));
    sum / count
}

#[cfg(test)]
mod tests;
