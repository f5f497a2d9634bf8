//! The weights of the members' verdicts and answers in one round.

use std::collections::{BTreeMap, BTreeSet};

use shoal_proto::NodeId;

use crate::reputation::{
    ComparisonMode, KindPosterior, Member, Record, Settings, Standing, judges, operators,
};

/// Log-odds of .88: a judge of the strength that the ranking's starting values were chosen for.
const GOOD: f64 = 2.0;

/// How a judge's pair verdicts count in a round: r of the ranking, and what its γ is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voice {
    /// r: 1 after probation, less on probation, 0 for a member that was caught.
    pub weight: f64,
    /// Log-odds of being right beside the other judges, relative to a good judge (.88); negative
    /// for a judge that gold shows to be systematically wrong.
    pub discrimination: f64,
}

impl Voice {
    /// Log-odds that its verdict is right, beside the other judges.
    pub fn log_odds(&self) -> f64 {
        GOOD * self.discrimination
    }
}

/// The judges of a round.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Places of the judges whose ballots have weight.
    places: BTreeMap<NodeId, usize>,
    /// r of each judge, by place.
    weights: Vec<f64>,
    /// Judges on probation, by place.
    is_unknown: Vec<bool>,
    judges: judges::CorrelatedJudges,
}

impl Panel {
    /// The voices of the judges of one pair, in the order of `ids`. Judges that make the same
    /// mistakes share one voice.
    pub fn voices(&self, ids: &[NodeId]) -> Vec<Voice> {
        // Sorted, so that the order of the ballots does not change the result.
        let mut places: Vec<usize> =
            ids.iter().filter_map(|id| self.places.get(id).copied()).collect();
        places.sort_unstable();
        places.dedup();
        let mut log_odds: BTreeMap<usize, f64> =
            places.iter().copied().zip(self.judges.weights(&places)).collect();
        // A judge on probation adds to the others and takes nothing from them, whatever provenance it
        // states.
        places.retain(|at| !self.is_unknown.get(*at).copied().unwrap_or(true));
        log_odds.extend(places.iter().copied().zip(self.judges.weights(&places)));
        let voice = |id: &NodeId| {
            let at = self.places.get(id)?;
            Some((*self.weights.get(*at)?, *log_odds.get(at)?))
        };
        ids.iter()
            .map(|id| match voice(id) {
                Some((weight, log_odds)) => Voice { weight, discrimination: log_odds / GOOD },
                None => Voice { weight: 0.0, discrimination: 1.0 },
            })
            .collect()
    }
}

impl Standing {
    /// γ_k: how closely the pair verdicts of a judge alone follow the strengths, in this mode;
    /// negative for a judge that gold shows to be systematically wrong.
    pub fn discrimination(&self, id: &NodeId, mode: ComparisonMode, kind: &KindPosterior) -> f64 {
        let unknown = Record::default();
        let record = self.record(id).unwrap_or(&unknown);
        judges::log_odds(record, kind, mode, &self.snapshot.settings) / GOOD
    }

    /// The voices of these judges as the judges of one pair, in their order.
    pub fn voices(&self, judges: &[(NodeId, ComparisonMode)], kind: &KindPosterior) -> Vec<Voice> {
        let ids: Vec<NodeId> = judges.iter().map(|(id, _)| *id).collect();
        self.panel(judges, kind).voices(&ids)
    }

    /// The judges of a round with the correlations of their errors. Takes some microseconds for each
    /// two judges.
    pub fn panel(&self, judges: &[(NodeId, ComparisonMode)], kind: &KindPosterior) -> Panel {
        let settings = &self.snapshot.settings;
        let unknown = Member::unknown();
        let members: BTreeMap<NodeId, (&Member, ComparisonMode)> = judges
            .iter()
            .map(|(id, mode)| (*id, (self.member(id).unwrap_or(&unknown), *mode)))
            .collect();
        let weights = members.values().map(|(member, _)| voice_weight(&member.record, settings));
        let weights: Vec<f64> = weights.collect();
        let is_unknown = members.values().map(|(member, _)| member.record.on_probation(settings));
        let is_unknown: Vec<bool> = is_unknown.collect();
        let judges: Vec<judges::Judge<'_>> = members
            .values()
            .map(|(member, mode)| judges::Judge {
                log_odds: judges::log_odds(&member.record, kind, *mode, settings),
                errors: &member.errors,
                provenance: &member.record.provenance,
            })
            .collect();
        let judges = judges::CorrelatedJudges::new(&judges, settings);
        Panel { places: members.into_keys().zip(0..).collect(), weights, is_unknown, judges }
    }

    /// How much a member's ballots count before its gold says anything: 1 after probation, 0 for a member
    /// that was caught, and a setting on probation, where [`Self::shares`] bounds them too.
    pub fn voice_weight(&self, id: &NodeId) -> f64 {
        let settings = &self.snapshot.settings;
        self.record(id).map_or(settings.probation_voice, |record| voice_weight(record, settings))
    }

    /// The voice of each of these members in a round, in their order, in [0, 1]. The members of an
    /// operator have one voice in sum, and newcomers never outvote the rest.
    pub fn shares(&self, ids: &[NodeId]) -> Vec<f64> {
        let settings = &self.snapshot.settings;
        let speakers: Vec<_> = ids
            .iter()
            .map(|id| match self.record(id) {
                Some(record) => operators::Speaker {
                    operator: &record.provenance.operator,
                    newcomer: record.is_newcomer(settings),
                    probation: record.on_probation(settings),
                    competence: self.writer_weight(id),
                },
                None => operators::Speaker {
                    operator: "",
                    newcomer: true,
                    probation: true,
                    competence: 0.0,
                },
            })
            .collect();
        operators::shares(&speakers, &settings.operators)
    }

    /// As [`Self::shares`], for members that score candidates. Members with the same weights give the
    /// same likelihoods, so together they have one voice, whoever their operators are.
    pub fn scoring_shares(&self, ids: &[NodeId]) -> Vec<f64> {
        let mut shares = self.shares(ids);
        let digests: Vec<&str> = ids
            .iter()
            .map(|id| self.record(id).map_or("", |record| record.provenance.digest.as_str()))
            .collect();
        // A digest is stated, not shown: on probation it takes nothing from members that passed their exam.
        let unknown: Vec<bool> = ids.iter().map(|id| self.on_probation(id)).collect();
        let examined_digests: BTreeSet<&str> = (digests.iter().zip(&unknown))
            .filter(|(digest, unknown)| !**unknown && !digest.is_empty())
            .map(|(digest, _)| *digest)
            .collect();
        for ((share, digest), unknown) in shares.iter_mut().zip(&digests).zip(&unknown) {
            if *unknown && examined_digests.contains(digest) {
                *share = 0.0;
            }
        }
        operators::limit_to_one_voice(&mut shares, &digests);
        shares
    }
}

fn voice_weight(record: &Record, settings: &Settings) -> f64 {
    match (record.on_probation(settings), record.caught) {
        (false, _) => 1.0,
        (true, 0) => settings.probation_voice,
        (true, _) => 0.0,
    }
}
