//! How much the gateway trusts each member: pure functions of the earlier record, the observations
//! and the time.
//!
//! A [`Record`] holds the observations of one member; the store keeps it. A [`Standing`] is a
//! snapshot of all records at one moment with all fits made. It is cheap to clone: a round takes
//! one, and what is learned during the round does not change it.
//!
//! Trust rests on gold (questions whose answer the gateway knows). If only agreement with the crowd
//! counted, colluders that are half of the swarm would get all of the weight.

pub mod audit;
mod beta;
pub mod calibration;
mod confidence;
mod kinds;
pub mod judges;
mod learn;
mod operators;
mod features;
mod routing;
mod scores;
mod tags;
pub mod history;
mod settings;
mod voices;
mod writers;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

pub use audit::{AuditResult, Audits};
pub use beta::Beta;
pub use calibration::{Likelihood, Line, Sample};
pub use confidence::{Confidence, LabelledPools, Rivals};
pub use features::Features;
pub use history::History;
pub use judges::{ComparisonMode, GoldPair, Provenance};
pub use kinds::{KindId, KindModel, KindPosterior};
pub use learn::{CrowdObservation, GoldObservation, Observation, learn};
pub use routing::Lesson;
pub use scores::Opinion;
pub use settings::Settings;
pub use tags::Claims;
pub use voices::Voice;

/// The observations of one member. Serialises to JSON; absent fields read as those of a newcomer,
/// so that old records stay readable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    pub pairs: VecDeque<GoldPair>,
    /// How often its verdicts on the two orders of a pair contradicted each other (`a`) or agreed
    /// (`b`) in direct comparisons.
    pub flips: Beta,
    /// As [`Self::flips`], for comparisons after written reasons.
    pub flips_reasoned: Beta,
    /// What rounds have shown of its knowledge, by the words of the ask.
    pub routing: routing::Skill,
    /// How often its first choice was also first in the ranking computed without its ballots.
    pub agreed: Beta,
    /// How often its answer was that of another writer, by kind of question, and over all under an empty
    /// name.
    pub peers: BTreeMap<KindId, Beta>,
    /// How often other judges preferred its answer in a comparison; counted in rounds.
    pub preferred: Beta,
    /// Its operator, model family and weights; set on admission.
    #[serde(rename = "kin")]
    pub provenance: Provenance,
    /// Its certainty counts, because audits have recomputed it often enough. An upstream's certainty
    /// cannot be recomputed.
    pub claims_count: bool,
    /// Results of audits since it joined or was last caught.
    pub audits: Audits,
    /// Gold answers and verdicts since it joined or was last caught.
    pub gold_seen: u32,
    /// How often it was caught; each time makes its probation ten times longer.
    pub caught: u32,
    /// Unix time of the last change, seconds; 0: never.
    pub updated_seconds: u64,
    /// Recent changes of these numbers, with their causes.
    pub history: History,
}

impl Record {
    /// True while its ballots have less weight ([`Settings::probation_voice`]): too little gold, or hardly
    /// ever right.
    pub fn on_probation(&self, settings: &Settings) -> bool {
        self.gold_seen < self.gold_needed(settings) || self.writer.mean() < settings.probation_right
    }

    /// Whether its answers so far, on gold or beside others, have shown that it can do something, or that it
    /// cheats. Only such a record is worth a place in the store: a key costs nothing.
    pub fn is_worth_storing(&self, settings: &Settings) -> bool {
        self.caught > 0 || self.has_shown_ability(settings)
    }

    /// Whether enough answers were seen and enough of them were right. A specialist answers few questions,
    /// so that this comes before the end of its probation.
    pub fn has_shown_ability(&self, settings: &Settings) -> bool {
        self.has_answered_enough(settings) && self.writer.mean() >= settings.probation_right
    }

    /// Whether enough answers were seen and hardly any was right.
    pub(crate) fn has_shown_inability(&self, settings: &Settings) -> bool {
        self.has_answered_enough(settings) && self.writer.mean() < settings.probation_right
    }

    fn has_answered_enough(&self, settings: &Settings) -> bool {
        self.writer.observations() >= f64::from(settings.probation_items)
    }

    /// Gold observations that end its probation.
    pub fn gold_needed(&self, settings: &Settings) -> u32 {
        settings.probation_items.saturating_mul(10u32.saturating_pow(self.caught))
    }

    /// How often its verdicts on two orders contradicted each other in this mode.
    pub(crate) fn flips_when(&self, mode: ComparisonMode) -> Beta {
        match mode {
            ComparisonMode::Direct => self.flips,
            ComparisonMode::Reasoned => self.flips_reasoned,
        }
    }

    fn flips_when_mut(&mut self, mode: ComparisonMode) -> &mut Beta {
        match mode {
            ComparisonMode::Direct => &mut self.flips,
            ComparisonMode::Reasoned => &mut self.flips_reasoned,
        }
    }

    /// Recent gold pairs that it compared in this mode.
    pub fn pairs_when(&self, mode: ComparisonMode) -> impl Iterator<Item = &GoldPair> {
        self.pairs.iter().filter(move |pair| pair.mode == mode)
    }

    /// The record of a member that was caught cheating: a new record with a longer probation.
    #[must_use]
    pub fn caught(&self) -> Self {
        Self {
            caught: self.caught.saturating_add(1),
            provenance: self.provenance.clone(),
            ..Self::default()
        }
    }

    /// True until it has passed enough audits to outvote other members.
    pub(crate) fn is_newcomer(&self, settings: &Settings) -> bool {
        self.on_probation(settings) || self.audits.pass_count() < settings.operators.newcomer_audits
    }
}

/// The reputation of all members at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    snapshot: Arc<Snapshot>,
}

#[derive(Clone, Debug)]
struct Snapshot {
    members: BTreeMap<NodeId, Member>,
    kinds: KindModel,
    confidence: Confidence,
    /// What all records together say.
    swarm: writers::Swarm,
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
    /// The fit of scores within questions; only its slope and its correction for length count.
    score_within: Line,
    errors: judges::Errors,
}

impl Standing {
    /// Fits every member. This takes some 10 microseconds for each recent observation, a few
    /// milliseconds for a hundred members: create one after learning, not for each round.
    pub fn new(records: BTreeMap<NodeId, Record>, kinds: KindModel, settings: Settings) -> Self {
        let precision = settings.pool_shrinkage;
        // A member that has shown that it knows nothing must not shape what is expected of others.
        let able = || records.values().filter(|record| !record.has_shown_inability(&settings));
        let claims = able().flat_map(|record| &record.certainty);
        let groups = std::iter::once(claims.clone());
        let start = calibration::fit_length(groups, Line::CERTAINTY, precision);
        let certainty = calibration::fit(claims, start, precision);
        let scores = able().map(|record| record.scores.iter());
        let within = calibration::fit_within(scores.clone(), Line::UNSEEN, precision);
        let start = calibration::fit_length(scores.clone(), Line::SCORE, precision);
        let score = calibration::fit(scores.flatten(), start, precision);
        let swarm = writers::Swarm::new(records.values(), &settings);
        let members = records
            .into_iter()
            .map(|(id, record)| (id, Member::fit(record, certainty, (score, within), &settings)))
            .collect();
        let confidence = Confidence::default();
        Self { snapshot: Arc::new(Snapshot { members, kinds, confidence, swarm, settings }) }
    }

    /// A copy in which these members have no record. It copies all records, so it is only for the
    /// rare round in which a member is caught.
    #[must_use]
    pub fn without(&self, strangers: &BTreeSet<NodeId>) -> Self {
        let members = self.snapshot.members.iter().filter(|(id, _)| !strangers.contains(id));
        let snapshot = Snapshot {
            members: members.map(|(id, member)| (*id, member.clone())).collect(),
            ..(*self.snapshot).clone()
        };
        Self { snapshot: Arc::new(snapshot) }
    }

    /// The same standing with these rounds behind P(right).
    #[must_use]
    pub fn with_confidence(self, confidence: Confidence) -> Self {
        let snapshot =
            Arc::try_unwrap(self.snapshot).unwrap_or_else(|snapshot| (*snapshot).clone());
        Self { snapshot: Arc::new(Snapshot { confidence, ..snapshot }) }
    }

    /// What P(right) is computed from.
    pub fn confidence(&self) -> &Confidence {
        &self.snapshot.confidence
    }

    /// A standing without records and with the default settings.
    pub fn empty() -> Self {
        Self::new(BTreeMap::new(), KindModel::default(), Settings::default())
    }

    /// The settings that the records were fitted with.
    pub fn settings(&self) -> &Settings {
        &self.snapshot.settings
    }

    /// The record of a member, if it has one.
    pub fn record(&self, id: &NodeId) -> Option<&Record> {
        self.member(id).map(|member| &member.record)
    }

    /// All records, by node.
    pub fn records(&self) -> impl Iterator<Item = (&NodeId, &Record)> {
        self.snapshot.members.iter().map(|(id, member)| (id, &member.record))
    }

    /// The model that guesses the kind of a question.
    pub fn kinds(&self) -> &KindModel {
        &self.snapshot.kinds
    }

    /// P(kind) of this question; empty when kinds are switched off.
    pub fn kind_of(&self, question: &str) -> KindPosterior {
        if self.snapshot.settings.kinds {
            self.snapshot.kinds.posterior(question)
        } else {
            KindPosterior::default()
        }
    }

    /// True while its ballots have less weight. Members without a record are on probation.
    pub fn on_probation(&self, id: &NodeId) -> bool {
        self.record(id).is_none_or(|record| record.on_probation(&self.snapshot.settings))
    }

    /// Whether a member has shown that it can do something: its probation is over, or it was never caught and
    /// enough of its answers were right. Others without that take nothing from it.
    pub fn is_proven(&self, id: &NodeId) -> bool {
        let settings = &self.snapshot.settings;
        self.record(id).is_some_and(|record| {
            !record.on_probation(settings)
                || (record.caught == 0 && record.has_shown_ability(settings))
        })
    }

    /// Standing as a writer in [0, 1]: the lower 20 % quantile of its accuracy, rescaled so that a
    /// member without observations has 0.
    pub fn writer_weight(&self, id: &NodeId) -> f64 {
        let quantile = self.snapshot.settings.quantile;
        self.record(id).map_or(0.0, |record| {
            let unknown = Beta::UNIFORM.quantile(quantile);
            ((record.writer.quantile(quantile) - unknown) / (1.0 - unknown)).clamp(0.0, 1.0)
        })
    }

    /// How informative a judge is, in [0, 1], for the selection of judges: 0 on probation. The weight of its
    /// ballots is [`Self::voice_weight`], and [`Self::discrimination`] has the sign.
    pub fn judge_weight(&self, id: &NodeId) -> f64 {
        if self.on_probation(id) {
            return 0.0;
        }
        self.record(id).map_or(0.0, |record| {
            // A judge that is nearly always wrong is as informative as one that is nearly always right.
            let accuracy =
                if record.judge.mean() < 0.5 { record.judge.mirror() } else { record.judge };
            (accuracy.quantile(self.snapshot.settings.quantile) * 2.0 - 1.0).clamp(0.0, 1.0)
        })
    }

    /// Log-odds that earlier comparisons of a member's answers add to those of its next answer,
    /// beside gold. A member that is preferred twice as often as not has twice the odds. Gold
    /// outweighs this as it outweighs the swarm's mean accuracy. 0 on probation.
    pub(crate) fn preferred_log_odds(&self, id: &NodeId) -> f64 {
        /// Bound of what preferences can say: judges err, and colluders prefer each other.
        const PREFERENCE_MAX: f64 = 1.0;
        let settings = &self.snapshot.settings;
        let record = self.record(id).filter(|record| !record.on_probation(settings));
        let Some(record) = record else { return 0.0 };
        let preference = record.preferred.shrunk_mean(0.5, settings.preferred_shrinkage);
        let strength = settings.writer_shrinkage * settings.gold_weight;
        let share = strength / (strength + record.writer.observations()).max(f64::MIN_POSITIVE);
        share * calibration::logit(preference).clamp(-PREFERENCE_MAX, PREFERENCE_MAX)
    }

    /// Gold answers of this member to this kind of question.
    pub(crate) fn seen_on(&self, id: &NodeId, kind: &KindPosterior) -> f64 {
        let Some(record) = self.record(id) else { return 0.0 };
        kind.iter().filter_map(|(kind, p)| Some(p * record.kinds.get(kind)?.observations())).sum()
    }

    /// Which of a member's tags fit the ask, and how much they count beside its gold answers.
    pub fn claims(
        &self,
        id: &NodeId,
        tags: &[String],
        ask: &Features,
        kind: &KindPosterior,
    ) -> Claims {
        let worth = self.snapshot.settings.routing.tag_lessons;
        Claims::new(tags, ask).beside(self.seen_on(id, kind), worth)
    }

    /// What the writer's own certainty adds to the log-odds that it is right; None when its claim
    /// does not count (an upstream, a newcomer, a member without gold answers).
    pub fn certainty_log_odds(&self, id: &NodeId, claim: Likelihood) -> Option<f64> {
        let member = self.member(id)?;
        let counts = member.record.claims_count
            && !member.record.on_probation(&self.snapshot.settings)
            && member.record.certainty.len() >= self.snapshot.settings.claims_needed;
        let odds = member.certainty.log_odds(claim) - member.certainty_base;
        counts.then(|| odds.clamp(-self.clip(), self.clip()))
    }

    /// The fits behind [`Self::certainty_log_odds`] and [`Self::opinions`].
    pub fn lines(&self, id: &NodeId) -> Option<(Line, Line)> {
        self.member(id).map(|member| (member.certainty, member.score))
    }

    fn member(&self, id: &NodeId) -> Option<&Member> {
        self.snapshot.members.get(id)
    }

    fn clip(&self) -> f64 {
        self.snapshot.settings.clip
    }
}

impl Member {
    /// A member without a record.
    fn unknown(settings: &Settings) -> Self {
        Self::fit(Record::default(), Line::CERTAINTY, (Line::SCORE, Line::UNSEEN), settings)
    }

    /// Fits a record, starting from the fits over all members.
    fn fit(
        record: Record,
        certainty: Line,
        (score, within): (Line, Line),
        settings: &Settings,
    ) -> Self {
        let precision = settings.member_shrinkage;
        let scores = std::iter::once(record.scores.iter());
        let score_within = calibration::fit_within(scores.clone(), within, precision);
        let score = calibration::fit_length(scores, score, precision);
        Self {
            certainty: calibration::fit(record.certainty.iter(), certainty, precision),
            certainty_base: calibration::base_log_odds(&record.certainty),
            score: calibration::fit(record.scores.iter(), score, precision),
            score_base: calibration::base_log_odds(&record.scores),
            score_within,
            errors: judges::Errors::new(&record.pairs),
            record,
        }
    }
}

#[cfg(test)]
mod tests;
