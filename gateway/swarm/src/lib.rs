//! The members of this gateway: admission, exam, work, and the end of each session.
//!
//! The whole session of a link is one future, [`Swarm::admit`]: hello, challenge, proof, welcome,
//! exam, membership, end. The task that awaits it owns the member; dropping it ends the link.
//!
//! ```text
//! listen -> session -> admit              hello, challenge, proof, welcome
//!              |-----> exam -> audit -> probe -> work -> roster
//!              `-----> control stream     heartbeats, goodbye
//! ```
//!
//! The public names:
//! - [`Swarm`] has the members, and [`SwarmConfig`] its settings.
//! - [`Presence`], with [`State`] and [`GoldCost`], is what operators see of a node.
//! - [`AnswerStream`] gives the [`AnswerPart`]s of a member's answer; [`WorkError`] says why there is none.
//! - [`NotAdmitted`] and [`LeaveReason`] are the ends of a session.
//! - [`audit::AuditQueue`] audits members in secret, with the questions of [`gold`].

pub mod settings;
mod error;
mod leave;
mod pace;
mod bounds;
mod names;
mod record;
mod roster;
pub mod work;
pub mod listen;
mod admit;
mod session;
mod exam;
pub mod gold;
mod probe;
pub mod audit;
pub mod metrics;

use std::sync::Arc;

use shoal_proto::NodeId;
use tokio_util::sync::CancellationToken;

pub use error::{NotAdmitted, WorkError};
pub use leave::LeaveReason;
pub use metrics::SwarmMetrics;
pub use pace::Speed;
pub use record::WorkRecord;
pub use roster::{GoldCost, Presence, State};
pub use settings::{AuditConfig, ExamConfig, SwarmConfig};
pub use work::{AnswerPart, AnswerStream};

use audit::Auditors;
use gold::Gold;
use roster::{MemberHandle, Roster};
use shoal_consensus::MemberView;
use shoal_consensus::reputation::{Claims, Features, KindPosterior, Standing};
use shoal_consensus::select::absence::Absence;
use shoal_store::ReputationStore;

/// The members, and the means to ask them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Swarm(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: SwarmConfig,
    /// This gateway's key: a node signs it when it proves its own.
    gateway: NodeId,
    roster: Arc<Roster>,
    auditors: Arc<Auditors>,
    gold: Gold,
    reputation: ReputationStore,
    metrics: SwarmMetrics,
    shutdown: CancellationToken,
}

impl Swarm {
    /// A swarm without members. `seed` decides the gold questions; it must be new at each start, so
    /// that nobody can learn them by heart.
    pub fn new(
        config: SwarmConfig,
        gateway: NodeId,
        seed: u64,
        reputation: ReputationStore,
        metrics: SwarmMetrics,
    ) -> Self {
        let gold = Gold::new(&config.exam, seed);
        reputation.teach(gold.lessons());
        Self(Arc::new(Inner {
            roster: Roster::new(config.members_max, metrics.clone()),
            auditors: Auditors::new(metrics.clone()),
            config,
            gateway,
            gold,
            reputation,
            metrics,
            shutdown: CancellationToken::new(),
        }))
    }

    /// Every member that takes work, as it stands now, by id.
    pub fn members(&self) -> Arc<[MemberView]> {
        self.0.roster.views(&self.standing())
    }

    /// Every node that has a place here, including those that take no work, by id.
    pub fn present(&self) -> Vec<Presence> {
        self.0.roster.present(&self.standing())
    }

    /// Counts why members were not asked to write.
    pub fn count_absences(&self, absences: &[(NodeId, Absence)]) {
        self.0.roster.count_absences(absences);
    }

    /// How far each member is trusted, as of the last fit.
    pub fn standing(&self) -> Standing {
        self.0.reputation.standing()
    }

    /// Which of a member's tags fit an ask, and how much they still count; none for a member that has
    /// left.
    pub fn claims(
        &self,
        standing: &Standing,
        member: NodeId,
        ask: &Features,
        kind: &KindPosterior,
    ) -> Claims {
        let handle = self.0.roster.member(member);
        let tags = handle.as_ref().map(|handle| handle.model.tags.as_slice());
        standing.claims(&member, tags.unwrap_or_default(), ask, kind)
    }

    /// A new gold question that no member has seen; None when exams are switched off.
    pub fn gold_question(&self) -> Option<Arc<gold::Item>> {
        self.0.gold.secret()
    }

    /// The records of the members.
    pub fn reputation(&self) -> &ReputationStore {
        &self.0.reputation
    }

    /// Says goodbye to every member and admits no new ones. Idempotent.
    pub fn close(&self) {
        self.0.shutdown.cancel();
    }

    fn member(&self, id: NodeId) -> Result<Arc<MemberHandle>, WorkError> {
        self.0.roster.member(id).ok_or(WorkError::Gone)
    }
}
