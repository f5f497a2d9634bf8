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
pub(crate) struct Panel {
    judges: BTreeMap<NodeId, PanelJudge>,
    correlations: judges::CorrelatedJudges,
}

#[derive(Clone, Copy, Debug)]
struct PanelJudge {
    /// Its number among the correlated judges.
    place: usize,
    /// r.
    weight: f64,
    on_probation: bool,
}

impl Panel {
    /// The voices of the judges of one pair, in the order of `ids`, which are all judges of this panel. Judges
    /// that make the same mistakes share one voice.
    #[expect(clippy::indexing_slicing, reason = "`ids` are judges of this panel")]
    pub(crate) fn voices(&self, ids: &[NodeId]) -> Vec<Voice> {
        // Sorted, so that the order of the ballots does not change the result.
        let mut judges: BTreeMap<NodeId, PanelJudge> =
            ids.iter().map(|id| (*id, self.judges[id])).collect();
        let mut log_odds = self.log_odds(&judges);
        // A judge on probation adds to the others and takes nothing from them, whatever provenance it
        // states.
        judges.retain(|_, judge| !judge.on_probation);
        log_odds.extend(self.log_odds(&judges));
        ids.iter()
            .map(|id| Voice { weight: self.judges[id].weight, discrimination: log_odds[id] / GOOD })
            .collect()
    }

    /// The log-odds that each of these judges adds to the rest of them.
    fn log_odds(&self, judges: &BTreeMap<NodeId, PanelJudge>) -> BTreeMap<NodeId, f64> {
        let places: Vec<usize> = judges.values().map(|judge| judge.place).collect();
        judges.keys().copied().zip(self.correlations.weights(&places)).collect()
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
    pub(crate) fn voices(
        &self,
        judges: &[(NodeId, ComparisonMode)],
        kind: &KindPosterior,
    ) -> Vec<Voice> {
        let ids: Vec<NodeId> = judges.iter().map(|(id, _)| *id).collect();
        self.panel(judges, kind).voices(&ids)
    }

    /// The judges of a round with the correlations of their errors. Takes some microseconds for each
    /// two judges.
    pub(crate) fn panel(&self, judges: &[(NodeId, ComparisonMode)], kind: &KindPosterior) -> Panel {
        let settings = &self.snapshot.settings;
        let unknown = Member::unknown(settings);
        let members: BTreeMap<NodeId, (&Member, ComparisonMode)> = judges
            .iter()
            .map(|(id, mode)| (*id, (self.member(id).unwrap_or(&unknown), *mode)))
            .collect();
        let panel: Vec<judges::Judge<'_>> = members
            .values()
            .map(|(member, mode)| judges::Judge {
                log_odds: judges::log_odds(&member.record, kind, *mode, settings),
                errors: &member.errors,
                provenance: &member.record.provenance,
            })
            .collect();
        let correlations = judges::CorrelatedJudges::new(&panel, settings);
        let judges = members.into_iter().enumerate().map(|(place, (id, (member, _)))| {
            let weight = voice_weight(&member.record, settings);
            let on_probation = member.record.on_probation(settings);
            (id, PanelJudge { place, weight, on_probation })
        });
        Panel { judges: judges.collect(), correlations }
    }

    /// The factor on all ballots of a member: 1 after probation, a setting on probation (where [`Self::shares`]
    /// bounds them too), and 0 for a member that was caught.
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
                    probation: !self.is_proven(id),
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
    pub(crate) fn scoring_shares(&self, ids: &[NodeId]) -> Vec<f64> {
        let mut shares = self.shares(ids);
        let digests: Vec<&str> = ids
            .iter()
            .map(|id| self.record(id).map_or("", |record| record.provenance.digest.as_str()))
            .collect();
        // A node states its digest without proof: until it has shown something, it takes nothing from members
        // that have. One that has shown that it knows nothing is not heard beside them.
        let proven: Vec<bool> = ids.iter().map(|id| self.is_proven(id)).collect();
        let proven_digests: BTreeSet<&str> = (digests.iter().zip(&proven))
            .filter(|(digest, proven)| **proven && !digest.is_empty())
            .map(|(digest, _)| *digest)
            .collect();
        let has_proven = proven.contains(&true);
        for (((share, digest), proven), id) in shares.iter_mut().zip(&digests).zip(&proven).zip(ids)
        {
            let is_borrowed = proven_digests.contains(digest);
            if !*proven && (is_borrowed || (has_proven && self.has_shown_inability(id))) {
                *share = 0.0;
            }
        }
        operators::limit_to_one_voice(&mut shares, &digests);
        shares
    }
}

impl Standing {
    /// Whether many of a member's answers were seen and hardly any was right.
    pub fn has_shown_inability(&self, id: &NodeId) -> bool {
        self.record(id).is_some_and(|record| record.has_shown_inability(&self.snapshot.settings))
    }
}

fn voice_weight(record: &Record, settings: &Settings) -> f64 {
    match (record.on_probation(settings), record.caught) {
        (false, _) => 1.0,
        (true, 0) => settings.probation_voice,
        (true, _) => 0.0,
    }
}
