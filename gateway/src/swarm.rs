//! The members of this gateway: how they come in, what they are asked, how they leave.
//!
//! A link's whole life is one future, [`Swarm::admit`]: hello, challenge, proof, welcome, exam,
//! member, and gone. Whoever awaits it owns the member; dropping it ends the link.

pub mod settings;
pub mod roster;
pub mod work;
pub mod listen;
pub mod admit;
pub mod session;
mod claim;
mod leave;
pub mod exam;
pub mod gold;
pub mod audit;
pub mod metrics;

use std::sync::Arc;

use shoal_proto::NodeId;
use tokio_util::sync::CancellationToken;

pub use admit::NotAdmitted;
pub use leave::LeaveReason;
pub use metrics::Metrics;
pub use roster::{Presence, Speed, State};
pub use settings::{Audit, Config, Exam};
pub use work::{WorkError, Writing, Written};

use crate::store::Book;
use audit::Auditors;
use gold::Gold;
use roster::{MemberHandle, Roster};
use shoal_consensus::MemberView;
use shoal_consensus::reputation::{Claims, Features, KindPosterior, Standing};

/// Who is here, and the way to ask them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Swarm(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    config: Config,
    /// This gateway's own key: what a node signs when it proves its own.
    gateway: NodeId,
    roster: Arc<Roster>,
    auditors: Arc<Auditors>,
    gold: Gold,
    book: Book,
    metrics: Metrics,
    closing: CancellationToken,
}

impl Swarm {
    /// A swarm without members. `seed` decides the gold questions: fresh for each start, so that
    /// they cannot be learned by heart.
    pub fn new(config: Config, gateway: NodeId, seed: u64, book: Book, metrics: Metrics) -> Self {
        let gold = Gold::new(&config.exam, seed);
        book.teach(gold.lessons());
        Self(Arc::new(Shared {
            roster: Roster::new(config.members_max, metrics.clone()),
            auditors: Auditors::new(metrics.clone()),
            config,
            gateway,
            gold,
            book,
            metrics,
            closing: CancellationToken::new(),
        }))
    }

    /// Every member that takes work, as it stands now, by id.
    pub fn members(&self) -> Arc<[MemberView]> {
        self.0.roster.views(&self.standing())
    }

    /// Everybody who has a place here, those included who take no work, by id.
    pub fn present(&self) -> Vec<Presence> {
        self.0.roster.present(&self.standing())
    }

    /// How much each member is believed, as last fitted.
    pub fn standing(&self) -> Standing {
        self.0.book.standing()
    }

    /// Which of a member's tags fit an ask, and how much they still count for it; none of one that
    /// has left.
    pub fn claims(
        &self,
        standing: &Standing,
        member: NodeId,
        ask: &Features,
        kind: &KindPosterior,
    ) -> Claims {
        let seat = self.0.roster.seat(member);
        let tags = seat.as_ref().map(|seat| seat.model.tags.as_slice());
        standing.claims(&member, tags.unwrap_or_default(), ask, kind)
    }

    /// Where what is learned about members is written.
    pub fn book(&self) -> &Book {
        &self.0.book
    }

    /// Says goodbye to every member and takes no new ones. Idempotent.
    pub fn close(&self) {
        self.0.closing.cancel();
    }

    fn seat(&self, member: NodeId) -> Result<Arc<MemberHandle>, WorkError> {
        self.0.roster.seat(member).ok_or(WorkError::Gone)
    }
}
