//! Audits: what members claim is recomputed, and what they do in their exam they are seen to do in
//! secret as well. Off the road, a few at a time, and never in the way of a round.

mod hidden;

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use shoal_proto::{NodeId, generate::Sampling, hello::audit_proof};

pub use super::claim::Claim;

use super::{
    Audit, Metrics, Swarm, claim,
    roster::{MemberHandle, NoPlace},
};
use shoal_consensus::{
    CastBallot, Verdicts,
    reputation::{
        Audited, Way,
        audit::{Auditor, Finding},
    },
};

/// Auditors at most: one for each model of a large swarm, and some to spare.
const AUDITORS_MAX: usize = 256;

/// Whether `shown` makes `node` an auditor here.
pub(super) fn is_proof(shown: &[u8], settings: &Audit, gateway: NodeId, node: NodeId) -> bool {
    let Some(token) = settings.token.expose() else { return false };
    let expected = audit_proof(token, gateway, node);
    // All bytes are looked at, so that the time taken tells nobody how many were right.
    let differing = expected.iter().zip(shown).fold(0, |all, (a, b)| all | (a ^ b));
    shown.len() == expected.len() && differing == 0
}

/// The gateway's own auditors. They take part in no round and are in no list of models.
#[derive(Debug)]
pub(super) struct Auditors {
    seats: Mutex<BTreeMap<NodeId, Arc<MemberHandle>>>,
    metrics: Metrics,
}

/// An auditor's place; dropping it is leaving.
#[derive(Debug)]
pub(super) struct Auditing {
    auditors: Arc<Auditors>,
    id: NodeId,
}

impl Auditors {
    pub(super) fn new(metrics: Metrics) -> Arc<Self> {
        Arc::new(Self { seats: Mutex::default(), metrics })
    }

    pub(super) fn seat(self: &Arc<Self>, seat: Arc<MemberHandle>) -> Result<Auditing, NoPlace> {
        let mut seats = self.seats();
        let full = seats.len() >= AUDITORS_MAX;
        let id = seat.id;
        match seats.entry(id) {
            Entry::Occupied(_) => return Err(NoPlace::AlreadyHere),
            Entry::Vacant(_) if full => return Err(NoPlace::Full),
            Entry::Vacant(place) => place.insert(seat),
        };
        self.metrics.members("auditing", seats.len());
        Ok(Auditing { auditors: self.clone(), id })
    }

    pub(super) fn with(&self, digest: &str) -> Option<Arc<MemberHandle>> {
        self.seats().values().find(|seat| seat.model.digest == digest).cloned()
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<MemberHandle>>> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Auditing {
    fn drop(&mut self) {
        let mut seats = self.auditors.seats();
        seats.remove(&self.id);
        self.auditors.metrics.members("auditing", seats.len());
    }
}

/// An audit to be made.
#[derive(Clone, Debug)]
pub enum Task {
    /// Recompute what a member claimed in a round.
    Claim(Claim),
    /// Ask these writers a gold question as if a client had, sampled as a client did.
    Writers { members: Vec<NodeId>, sampling: Sampling },
    /// Show this judge gold candidates as if a round had, for a ballot like the one that it cast
    /// there. `draw` decides which.
    Judge { member: NodeId, cast: Cast, draw: u64 },
}

/// A kind of ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    Scores,
    Pairs(Way),
}

impl Cast {
    /// That of this ballot.
    pub fn of(ballot: &CastBallot) -> Self {
        match ballot.verdicts {
            Verdicts::Scores(_) => Self::Scores,
            Verdicts::Pairs(_) => Self::Pairs(ballot.way()),
        }
    }
}

impl Task {
    fn label(&self) -> &'static str {
        match self {
            Self::Claim(_) => "claim",
            Self::Writers { .. } => "writer",
            Self::Judge { .. } => "judge",
        }
    }
}

/// Audits that wait and audits that run, both bounded. Dropping it drops them all.
#[derive(Debug)]
pub struct Audits {
    swarm: Swarm,
    waiting: VecDeque<Task>,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl Audits {
    pub fn new(swarm: Swarm) -> Self {
        Self { swarm, waiting: VecDeque::new(), running: FuturesUnordered::new() }
    }

    /// Takes an audit on, unless too many wait already.
    pub fn offer(&mut self, task: Task) {
        let shared = &self.swarm.0;
        if self.waiting.len() >= shared.config.audit.waiting_max {
            shared.metrics.audit(task.label(), "dropped");
            return;
        }
        self.waiting.push_back(task);
        self.begin();
    }

    /// Goes on until one more audit is over; without any, for ever.
    pub async fn work(&mut self) {
        match self.running.next().await {
            Some(()) => self.begin(),
            None => std::future::pending().await,
        }
    }

    fn begin(&mut self) {
        while self.running.len() < self.swarm.0.config.audit.at_once.max(1) {
            let Some(task) = self.waiting.pop_front() else { return };
            let swarm = self.swarm.clone();
            self.running.push(async move { swarm.audit(task).await }.boxed());
        }
    }
}

impl Swarm {
    /// Recomputes a claim before it counts. None when nobody here can; Some(true) when the
    /// gateway's own auditor came to less certainty: then its member was caught.
    pub async fn is_lie(&self, claim: &Claim) -> Option<bool> {
        let (finding, whose) = claim::in_round(self, claim).await?;
        // A member's word against another's strikes nobody out.
        Some(finding == Finding::Refuted && whose != Auditor::Member)
    }

    async fn audit(&self, task: Task) {
        match task {
            Task::Claim(claim) => {
                let _ = claim::in_round(self, &claim).await;
            }
            Task::Writers { members, sampling } => hidden::writers(self, members, sampling).await,
            Task::Judge { member, cast, draw } => hidden::judge(self, member, cast, draw).await,
        }
    }

    /// Learns from an audit, and says so when a member was caught.
    pub(super) fn learn_audit(&self, member: NodeId, kind: &str, audited: &Audited) {
        if self.0.book.audited(member, audited) {
            tracing::warn!(node.id = %member.short(), kind, "caught by an audit: it starts over");
        }
    }
}
