//! What members' words weigh beside each other in one round.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::reputation::{KindPosterior, Member, Record, Standing, Way, judges, operators};

/// Log-odds of .88: a judge of the strength that the ranking's starting values were chosen for.
const GOOD: f64 = 2.0;

/// How a judge's pair verdicts count in a round: r of the ranking, and what its γ is made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Voice {
    /// r: 0 on probation, 1 afterwards.
    pub weight: f64,
    /// Log-odds of being right beside the others, over those of a good judge (.88); negative
    /// for one that gold shows to be systematically wrong.
    pub discrimination: f64,
}

impl Voice {
    /// Log-odds that a verdict of it is right, beside the others.
    pub fn log_odds(&self) -> f64 {
        GOOD * self.discrimination
    }
}

/// The judges of a round.
#[derive(Clone, Debug)]
pub struct Panel {
    /// Those whose ballots weigh something, by their places in the company.
    places: BTreeMap<NodeId, usize>,
    company: judges::Company,
}

impl Panel {
    /// How the verdicts of those who spoke about the same pair count, in their order. Judges that
    /// make the same mistakes share one voice.
    pub fn voices(&self, ids: &[NodeId]) -> Vec<Voice> {
        // In an order of their own, so that the order of the ballots cannot matter.
        let mut spoke: Vec<usize> =
            ids.iter().filter_map(|id| self.places.get(id).copied()).collect();
        spoke.sort_unstable();
        spoke.dedup();
        let together: BTreeMap<usize, f64> =
            spoke.iter().copied().zip(self.company.weigh(&spoke)).collect();
        let voice = |id: &NodeId| match self.places.get(id).and_then(|at| together.get(at)) {
            Some(log_odds) => Voice { weight: 1.0, discrimination: log_odds / GOOD },
            None => Voice { weight: 0.0, discrimination: 1.0 },
        };
        ids.iter().map(voice).collect()
    }
}

impl Standing {
    /// γ_k: how sharply a judge's pair verdicts of this way follow the strengths, were it alone;
    /// negative for one that gold shows to be systematically wrong.
    pub fn discrimination(&self, id: &NodeId, way: Way, kind: &KindPosterior) -> f64 {
        let unknown = Record::default();
        let record = self.record(id).unwrap_or(&unknown);
        judges::log_odds(record, kind, way, &self.all.settings) / GOOD
    }

    /// How the pair verdicts of these judges count beside each other, in their order.
    pub fn voices(&self, judges: &[(NodeId, Way)], kind: &KindPosterior) -> Vec<Voice> {
        let ids: Vec<NodeId> = judges.iter().map(|(id, _)| *id).collect();
        self.panel(judges, kind).voices(&ids)
    }

    /// The judges of a round, ready to be weighed pair by pair: some microseconds for each two.
    pub fn panel(&self, judges: &[(NodeId, Way)], kind: &KindPosterior) -> Panel {
        let heard: BTreeMap<NodeId, (&Member, Way)> =
            judges.iter().filter_map(|(id, way)| Some((*id, (self.heard(id)?, *way)))).collect();
        let judges: Vec<judges::Judge<'_>> = heard
            .values()
            .map(|(member, way)| judges::Judge {
                log_odds: judges::log_odds(&member.record, kind, *way, &self.all.settings),
                errors: &member.errors,
                kin: &member.record.kin,
            })
            .collect();
        let company = judges::Company::of(&judges, &self.all.settings);
        Panel { places: heard.into_keys().zip(0..).collect(), company }
    }

    /// A member whose ballots weigh something.
    fn heard(&self, id: &NodeId) -> Option<&Member> {
        self.member(id).filter(|member| !member.record.on_probation(&self.all.settings))
    }

    /// What the voices of these count beside each other in a round, in their order, each in
    /// [0, 1]: one operator speaks once, and newcomers never outvote the rest.
    pub fn shares(&self, ids: &[NodeId]) -> Vec<f64> {
        let settings = &self.all.settings;
        let speaker = |id: &NodeId| match self.record(id) {
            Some(record) => operators::Speaker {
                operator: &record.kin.operator,
                newcomer: record.is_newcomer(settings),
            },
            None => operators::Speaker { operator: "", newcomer: true },
        };
        let speakers: Vec<_> = ids.iter().map(speaker).collect();
        operators::shares(&speakers, &settings.operators)
    }

    /// As [`Self::shares`], for members that score candidates: those of the same weights find
    /// everything equally likely, so that together they are one voice, whoever they belong to.
    pub fn scoring_shares(&self, ids: &[NodeId]) -> Vec<f64> {
        let mut shares = self.shares(ids);
        let weights = |id| self.record(id).map_or("", |record| record.kin.digest.as_str());
        let of: Vec<&str> = ids.iter().map(weights).collect();
        operators::once_each(&mut shares, &of);
        shares
    }
}
