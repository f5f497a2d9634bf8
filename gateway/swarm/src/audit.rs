//! Audits. The gateway recomputes what members claim, and tests in secret whether they do the same
//! as in their exam. Audits run outside of rounds, a few at a time, and delay none.

pub(super) mod claim;
mod secret;

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::FuturesUnordered};
use shoal_proto::{NodeId, generate::Sampling, hello::audit_proof};
use tracing::{Instrument as _, Span};

pub use claim::Claim;

use super::{
    AuditConfig, Swarm, SwarmMetrics,
    roster::{MemberHandle, NoPlace},
};
use shoal_consensus::{
    CastBallot, Verdicts,
    reputation::{
        AuditResult, ComparisonMode,
        audit::{Auditor, Finding},
    },
};

/// Auditors at most: more than a large swarm has models.
const AUDITORS_MAX: usize = 256;

/// Whether `proof` makes `node` an auditor of this gateway.
pub(super) fn is_proof(proof: &[u8], config: &AuditConfig, gateway: NodeId, node: NodeId) -> bool {
    let Some(token) = config.token.expose() else { return false };
    let expectation = audit_proof(token, gateway, node);
    // Every byte is compared, so that the time does not reveal how many bytes were right.
    let difference = expectation.iter().zip(proof).fold(0, |bits, (a, b)| bits | (a ^ b));
    proof.len() == expectation.len() && difference == 0
}

/// The gateway's own auditors. They take part in no round and are in no list of models.
#[derive(Debug)]
pub(super) struct Auditors {
    members: Mutex<BTreeMap<NodeId, Arc<MemberHandle>>>,
    metrics: SwarmMetrics,
}

/// The place of an auditor. Dropping it removes the auditor.
#[derive(Debug)]
pub(super) struct AuditorPlace {
    auditors: Arc<Auditors>,
    id: NodeId,
}

impl Auditors {
    pub(super) fn new(metrics: SwarmMetrics) -> Arc<Self> {
        Arc::new(Self { members: Mutex::default(), metrics })
    }

    /// Gives an auditor a place.
    pub(super) fn seat(
        self: &Arc<Self>,
        auditor: Arc<MemberHandle>,
    ) -> Result<AuditorPlace, NoPlace> {
        let mut members = self.members();
        let full = members.len() >= AUDITORS_MAX;
        let id = auditor.id;
        match members.entry(id) {
            Entry::Occupied(place) => return Err(NoPlace::AlreadyHere(place.get().clone())),
            Entry::Vacant(_) if full => return Err(NoPlace::Full),
            Entry::Vacant(place) => place.insert(auditor),
        };
        self.metrics.members("auditing", members.len());
        Ok(AuditorPlace { auditors: self.clone(), id })
    }

    fn with_digest(&self, digest: &str) -> Option<Arc<MemberHandle>> {
        self.members().values().find(|auditor| auditor.model.digest == digest).cloned()
    }

    fn members(&self) -> MutexGuard<'_, BTreeMap<NodeId, Arc<MemberHandle>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AuditorPlace {
    fn drop(&mut self) {
        let mut members = self.auditors.members();
        members.remove(&self.id);
        self.auditors.metrics.members("auditing", members.len());
    }
}

/// An audit to make.
#[derive(Clone, Debug)]
pub enum Task {
    /// Recompute the claim of a member in a round.
    Claim(Claim),
    /// Ask these writers a gold question as a client would, with the sampling of a client's request.
    Writers {
        /// The writers to ask.
        members: Vec<NodeId>,
        /// The sampling of the client's request.
        sampling: Sampling,
    },
    /// Show this judge gold candidates as a round would, for a ballot like its ballot in the round.
    Judge {
        /// The judge to ask.
        member: NodeId,
        /// The kind of its ballot in the round.
        ballot: AuditedBallot,
        /// Decides which candidates it sees, and in which order.
        draw: u64,
    },
}

/// A kind of ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditedBallot {
    /// A likelihood for each candidate.
    Scores,
    /// Comparisons of pairs.
    Pairs(ComparisonMode),
}

impl From<&CastBallot> for AuditedBallot {
    fn from(ballot: &CastBallot) -> Self {
        match ballot.verdicts {
            Verdicts::Scores(_) => Self::Scores,
            Verdicts::Pairs(_) => Self::Pairs(ballot.mode()),
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

/// A queue of audits and the audits that run, both bounded. Dropping it drops all of them.
#[derive(Debug)]
pub struct AuditQueue {
    swarm: Swarm,
    /// Each task with the span of the round that gave cause for it.
    queue: VecDeque<(Task, Span)>,
    tasks: FuturesUnordered<BoxFuture<'static, ()>>,
}

impl AuditQueue {
    /// An empty queue.
    pub fn new(swarm: Swarm) -> Self {
        Self { swarm, queue: VecDeque::new(), tasks: FuturesUnordered::new() }
    }

    /// Queues an audit; when the queue is full, drops and counts it. The audit runs in the span in
    /// which this is called.
    pub fn push(&mut self, task: Task) {
        let inner = &self.swarm.0;
        if self.queue.len() >= inner.config.audit.waiting_max {
            inner.metrics.audit(task.label(), "dropped");
            return;
        }
        self.queue.push_back((task, Span::current()));
        self.start();
    }

    /// Runs until one more audit has ended; without audits, forever.
    pub async fn run(&mut self) {
        match self.tasks.next().await {
            Some(()) => self.start(),
            None => std::future::pending().await,
        }
    }

    fn start(&mut self) {
        while self.tasks.len() < self.swarm.0.config.audit.at_once.max(1) {
            let Some((task, span)) = self.queue.pop_front() else { return };
            let swarm = self.swarm.clone();
            self.tasks.push(async move { swarm.audit(task).await }.instrument(span).boxed());
        }
    }
}

impl Swarm {
    /// Recomputes a claim before it counts. None when no auditor can; Some(true) when the gateway's
    /// own auditor refutes it: then the member was caught.
    pub async fn is_lie(&self, claim: &Claim) -> Option<bool> {
        let (finding, auditor) = claim::audit_round(self, claim).await?;
        // The result of one member does not exclude another.
        Some(finding == Finding::Refuted && auditor != Auditor::Member)
    }

    async fn audit(&self, task: Task) {
        match task {
            Task::Claim(claim) => {
                let _ = claim::audit_round(self, &claim).await;
            }
            Task::Writers { members, sampling } => {
                secret::ask_writers(self, members, sampling).await
            }
            Task::Judge { member, ballot, draw } => {
                secret::ask_judge(self, member, ballot, draw).await;
            }
        }
    }

    /// Learns from an audit, and logs a warning when it caught the member.
    fn learn_audit(&self, member: NodeId, kind: &str, audit: &AuditResult) {
        if self.0.reputation.learn_audit(member, audit) {
            tracing::warn!(node.id = %member.short(), kind, "an audit caught the member: its record starts over");
        }
    }
}
