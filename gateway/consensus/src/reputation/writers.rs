//! How likely a writer's answer is right before anybody judges it.
//!
//! ```text
//! prior     the swarm's accuracy on such questions, the model's size and its family
//! peers     how often the member's answers are the answers of others: needs no known answer
//! general   its gold on questions of kinds named `general/...`, for kinds that are not known
//! overall   its gold on other kinds, worth a few answers at most
//! kind      its gold on this kind of question
//! ```
//!
//! Each line is the prior of the next. Accuracy on one kind says little about other kinds: an arithmetic exam
//! must not make a member trusted on history.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::stats;

use super::{
    Beta, KindId, KindPosterior, Provenance, Record, Settings, Standing,
    calibration::{logit, sigmoid},
};

/// Log-odds for a model that is e times as large as the median of the general models. Published accuracies of
/// language models of one family rise by .4 to .6 for each factor of e.
const SIZE: f64 = 0.4;

/// Bound of what size and family can say together, in log-odds: nodes state both themselves.
const DESCENT_MAX: f64 = 1.0;

/// Bound of the log-odds from agreement with other members: colluders agree.
const PEERS_MAX: f64 = 1.5;

/// The statistics of all records, which the prior of each member is made of.
#[derive(Clone, Debug, Default)]
pub(super) struct Swarm {
    /// Gold answers of all members, by kind.
    kinds: BTreeMap<KindId, Beta>,
    /// Gold answers of all members on general kinds.
    general: Beta,
    /// Gold answers of all members without regard to kinds, each member counted once.
    mean_accuracy: f64,
    /// ln of the median number of parameters of general models; None where nobody states one.
    size: Option<f64>,
    /// Gold answers of all members of a family, beyond the mean of their kinds.
    families: BTreeMap<String, Beta>,
    /// How often answers are those of others, by kind.
    peers: BTreeMap<KindId, Beta>,
    /// At least one member is not on probation.
    is_established: bool,
    /// Gold answers on a kind after which a member's own accuracy weighs half: few where members are
    /// experts or know nothing, many where they are alike.
    strength: f64,
}

impl Swarm {
    pub(super) fn new<'a>(
        records: impl Iterator<Item = &'a Record> + Clone,
        settings: &Settings,
    ) -> Self {
        let mut swarm = Self { mean_accuracy: 0.5, ..Self::default() };
        let (mut sum, mut count) = (0.5, 1.0);
        swarm.is_established = records.clone().any(|record| !record.on_probation(settings));
        swarm.size = reference_size(records.clone(), settings);
        let is_established = swarm.is_established;
        // Members on probation say nothing about those that passed their exam.
        let records =
            records.filter(move |record| !is_established || !record.on_probation(settings));
        for record in records.clone() {
            if is_established {
                sum += record.writer.mean();
                count += 1.0;
            }
            for (kind, accuracy) in &record.kinds {
                swarm.kinds.entry(kind.clone()).or_default().add(accuracy);
                if kind.is_general() {
                    swarm.general.add(accuracy);
                }
            }
            for (kind, agreement) in &record.peers {
                swarm.peers.entry(kind.clone()).or_default().add(agreement);
            }
            let provenance = &record.provenance;
            if !provenance.family.is_empty() {
                swarm.families.entry(provenance.family.clone()).or_default().add(&record.writer);
            }
        }
        swarm.strength = strength(records.clone(), &swarm.kinds, settings);
        swarm.mean_accuracy = sum / count;
        swarm
    }

    /// Log-odds of a member from the size and the family of its model, relative to the other members.
    fn descent(&self, provenance: &Provenance, settings: &Settings) -> f64 {
        let size = ln_parameters(provenance)
            .zip(self.size)
            .map_or(0.0, |(own, crowd)| SIZE * (own - crowd));
        let strength = 4.0 * settings.writer_shrinkage * settings.gold_weight;
        let family = self.families.get(&provenance.family).map_or(0.0, |family| {
            logit(family.shrunk_mean(self.mean_accuracy, strength)) - logit(self.mean_accuracy)
        });
        (size + 0.5 * family).clamp(-DESCENT_MAX, DESCENT_MAX)
    }

    /// Mean accuracy on a kind; on unknown kinds that on general kinds.
    fn accuracy(&self, kind: Option<&KindId>, settings: &Settings) -> f64 {
        let unknown = self.general.shrunk_mean(self.mean_accuracy, settings.kind_shrinkage);
        match kind.and_then(|kind| self.kinds.get(kind)) {
            Some(accuracy) => accuracy.shrunk_mean(unknown, settings.kind_shrinkage),
            None => unknown,
        }
    }
}

/// The strength of a beta prior with the variance of the members' accuracies on the same kind (K. Kleinman,
/// 1973), shrunk to the setting: `E[(r - n p)²] = p (1 - p) n (1 + (n - 1) ρ)`, and `ρ = 1 / (strength + 1)`.
fn strength<'a>(
    records: impl Iterator<Item = &'a Record>,
    kinds: &BTreeMap<KindId, Beta>,
    settings: &Settings,
) -> f64 {
    /// Information of the setting, in gold answers squared: that of ten members with six answers each.
    const PRIOR: f64 = 60.0;
    /// Between members that are nearly alike and members that know everything or nothing.
    const CORRELATIONS: (f64, f64) = (0.01, 0.5);
    let expectation = 1.0 / (settings.writer_shrinkage + 1.0);
    let (mut excess, mut information) = (PRIOR * expectation, PRIOR);
    for (kind, own) in records.flat_map(|record| &record.kinds) {
        let n = own.observations();
        let rest = kinds.get(kind).map_or(0.0, |crowd| crowd.observations() - n);
        if rest < 1.0 {
            continue;
        }
        let p = kinds.get(kind).map_or(0.5, Beta::mean);
        let variance = p * (1.0 - p);
        // The mean of all contains the member's own answers, so it is closer to them than the true mean.
        let share = rest / (rest + n);
        excess += (own.a - 1.0 - n * p).powi(2) / share - variance * n;
        information += variance * n * (n - 1.0).max(0.0);
    }
    let correlation = (excess / information).clamp(CORRELATIONS.0, CORRELATIONS.1);
    1.0 / correlation - 1.0
}

/// ln of the median size of the general models: of those that passed their exam, or of all where none
/// has.
fn reference_size<'a>(
    records: impl Iterator<Item = &'a Record> + Clone,
    settings: &Settings,
) -> Option<f64> {
    let graduates = records.clone().filter(|record| !record.on_probation(settings));
    let sizes = graduates.filter_map(|record| ln_parameters(&record.provenance)).collect();
    stats::median(sizes).or_else(|| {
        stats::median(records.filter_map(|record| ln_parameters(&record.provenance)).collect())
    })
}

/// None for a specialist, and where no size is stated.
fn ln_parameters(provenance: &Provenance) -> Option<f64> {
    let count = provenance.parameters.filter(|count| *count > 0 && !provenance.specialist);
    count.map(|count| (count as f64).ln())
}

/// The accuracy of a member whose answer is that of another with probability `agreement`, among peers of
/// accuracy `mean`: two right answers are alike, and two wrong ones in one of `wrong` cases.
fn accuracy_from_agreement(agreement: f64, mean: f64, wrong: f64) -> f64 {
    let by_chance = (1.0 - mean) / wrong;
    ((agreement - by_chance) / (mean - by_chance)).clamp(0.02, 0.98)
}

/// The mean accuracy m of a crowd in which two answers are alike with probability `agreement`:
/// `m² + (1 - m)² / wrong = agreement`, the root above chance.
fn crowd_accuracy(agreement: f64, wrong: f64) -> f64 {
    let root = (1.0 - (wrong + 1.0) * (1.0 - wrong * agreement)).max(0.0).sqrt();
    ((1.0 + root) / (wrong + 1.0)).clamp(2.0 / (wrong + 1.0), 0.98)
}

impl Standing {
    /// Log-odds that an answer of this member to this kind of question is right, before anybody
    /// judges it. Its gold on the kind is shrunk to its other observations, and these to the swarm, because
    /// extreme rates from few observations are mostly luck. The part of the question that is of no known kind
    /// is estimated from general gold.
    pub fn writer_log_odds(&self, id: &NodeId, kind: &KindPosterior) -> f64 {
        let Some(record) = self.record(id) else { return 0.0 };
        let unknown = self.accuracy(record, None);
        let mean = kind.mean(unknown, |kind| self.accuracy(record, Some(kind)));
        logit(mean).clamp(-self.clip(), self.clip())
    }

    /// What the size and the family of a member's model say of it, in log-odds.
    pub(super) fn descent(&self, id: &NodeId) -> f64 {
        self.record(id)
            .map_or(0.0, |record| self.snapshot.swarm.descent(&record.provenance, self.settings()))
    }

    /// P(an answer of this member to a question of this kind is right); None: of no known kind.
    fn accuracy(&self, record: &Record, kind: Option<&KindId>) -> f64 {
        /// The share of what a member showed on general questions that it shows on a known kind too.
        const COMMON: f64 = 0.5;
        let strength = self.snapshot.swarm.strength;
        let prior = self.prior(record, None);
        // Accuracy on one kind says little about other kinds.
        let cautious = strength.max(self.settings().writer_shrinkage);
        let unknown = self.general_record(record).shrunk_mean(prior, cautious);
        // A kind that nobody has gold on is as good as unknown.
        let kind = kind.filter(|kind| self.snapshot.swarm.kinds.contains_key(kind));
        let Some(kind) = kind else { return unknown };
        let lead = logit(unknown) - logit(prior);
        let prior = sigmoid(logit(self.prior(record, Some(kind))) + COMMON * lead);
        let kind_gold = record.kinds.get(kind).copied().unwrap_or_default();
        kind_gold.shrunk_mean(prior, strength)
    }

    /// The gold that applies to questions of no known kind.
    fn general_record(&self, record: &Record) -> Beta {
        let settings = self.settings();
        let gold_count = record.kinds.values().map(Beta::observations).sum::<f64>();
        // One gold answer counts `gold_weight` in the record of all kinds.
        let overall = record.writer.scale(1.0 / settings.gold_weight.max(1.0));
        if gold_count < 1.0 {
            // Nothing was said about kinds: all gold is alike.
            return overall;
        }
        let overall = overall.scale(settings.travel / overall.observations().max(1e-9));
        let general = record.kinds.iter().filter(|(kind, _)| kind.is_general());
        general.fold(overall, |sum, (_, accuracy)| sum.plus(accuracy))
    }

    /// The accuracy that is expected of a member without its own gold.
    fn prior(&self, record: &Record, kind: Option<&KindId>) -> f64 {
        let (settings, swarm) = (self.settings(), &self.snapshot.swarm);
        let mut level = logit(swarm.accuracy(kind, settings));
        // A new member does not begin with the accuracy that others have shown.
        let is_examined = match kind {
            Some(kind) => record.kinds.contains_key(kind),
            None => record.kinds.is_empty() || record.kinds.keys().any(KindId::is_general),
        };
        let is_newcomer = record.on_probation(settings) && swarm.is_established;
        if is_newcomer || !is_examined {
            level = level.min(0.0);
        }
        sigmoid(
            level + swarm.descent(&record.provenance, settings) + self.peers_log_odds(record, kind),
        )
    }

    /// Log-odds of being right from how often the member's answer is that of others, relative to the swarm.
    fn peers_log_odds(&self, record: &Record, kind: Option<&KindId>) -> f64 {
        let settings = self.settings();
        let no_kind = KindId::new("");
        let kind = kind.filter(|kind| record.peers.contains_key(kind)).unwrap_or(&no_kind);
        let (Some(agreements), Some(crowd)) =
            (record.peers.get(kind), self.snapshot.swarm.peers.get(kind))
        else {
            return 0.0;
        };
        let wrong = settings.wrong_answers;
        let agreement = crowd.shrunk_mean(0.5, 1.0);
        let mean = crowd_accuracy(agreement, wrong);
        let agreement_rate = agreements.shrunk_mean(agreement, settings.peers_shrinkage);
        let odds = logit(accuracy_from_agreement(agreement_rate, mean, wrong)) - logit(mean);
        odds.clamp(-PEERS_MAX, PEERS_MAX)
    }
}

#[cfg(test)]
mod tests;
