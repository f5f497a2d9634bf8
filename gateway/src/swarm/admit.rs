//! How a link becomes a member, as types: what is `Proven` has proven its key, what is
//! `Measured` can do what it says. Each step consumes the one before, and each has its time.

use std::{future::Future, sync::Arc, time::Duration};

use shoal_consensus::Mode;
use shoal_link::{Link, Stream};
use shoal_proto::{
    Message, NodeId,
    hello::{Challenge, Hello, Model, Reason, Refusal, Welcome},
    version::Version,
};
use tokio::time::timeout;

use super::{
    LeaveReason, Swarm, audit,
    roster::{MemberHandle, NoPlace},
    session::{self, Place, Welcomed},
};

/// Milliseconds after which a refused node may find a place or its old self gone.
const RETRY_MS: u32 = 5_000;

/// Most pieces of work at the same time that are believed of one node.
const SLOTS_MAX: u32 = 256;

/// Why a link did not become a member.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The node was told why.
    #[error("refused ({reason:?}): {message}")]
    Refused { reason: Reason, message: String },
    /// It went away first.
    #[error("the link was lost: {0}")]
    Lost(String),
}

impl NotAdmitted {
    fn label(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Refused { reason, .. } => match reason {
                Reason::Version => "version",
                Reason::WrongKey => "wrong_key",
                Reason::BadHello => "bad_hello",
                Reason::AlreadyHere => "already_here",
                Reason::Full => "full",
                Reason::Protocol => "protocol",
                Reason::Draining => "draining",
                Reason::Unspecified => "unspecified",
            },
        }
    }
}

impl Swarm {
    /// The whole life of one link, from its first word to its end. Dropping the future ends it.
    ///
    /// # Errors
    /// When the node was not taken in; it has been told, and the link is closed.
    pub async fn admit(&self, link: Arc<dyn Link>) -> Result<LeaveReason, NotAdmitted> {
        let node = link.peer();
        match self.take_in(&link).await {
            Ok(welcomed) => {
                self.0.metrics.admission("welcomed");
                tracing::info!(node.id = %node.short(), model = welcomed.seat.model.name, "welcome");
                let leave = Box::pin(session::run_session(self, welcomed)).await;
                tracing::info!(node.id = %node.short(), why = leave.label(), "gone");
                link.close(leave.label());
                Ok(leave)
            }
            Err(no) => {
                self.0.metrics.admission(no.label());
                tracing::info!(node.id = %node.short(), why = %no, "not admitted");
                link.close(no.label());
                Err(no)
            }
        }
    }

    async fn take_in(&self, link: &Arc<dyn Link>) -> Result<Welcomed, NotAdmitted> {
        let step = self.0.config.step();
        let mut control = in_time(step, async { link.accept().await.map_err(lost) }).await?;
        let welcomed = async {
            let claimed = Claimed::read(link.clone(), &mut control, step).await?;
            if self.0.closing.is_cancelled() {
                return Err(refused(Reason::Draining, "the gateway is shutting down"));
            }
            let proven = claimed.challenge(&mut control, self.0.gateway, step).await?;
            proven.welcome(&mut control, self).await
        };
        match welcomed.await {
            Ok((place, seat)) => Ok(Welcomed { control, place, seat }),
            Err(no) => {
                if let NotAdmitted::Refused { reason, message } = &no {
                    tell(link, control, *reason, message, step).await;
                }
                Err(no)
            }
        }
    }
}

/// A node that has said what it is; nothing of it is proven.
struct Claimed {
    link: Arc<dyn Link>,
    version: Version,
    model: Model,
    operator: String,
    slots: u32,
    /// What shows that it is the operator's own auditor; empty: it is an ordinary member.
    audit: Vec<u8>,
}

impl Claimed {
    async fn read(
        link: Arc<dyn Link>,
        control: &mut Stream,
        step: Duration,
    ) -> Result<Self, NotAdmitted> {
        let Message::Hello(hello) = next(control, step).await? else {
            return Err(refused(Reason::Protocol, "the first message must be a hello"));
        };
        let version = common_version(hello.version)
            .ok_or_else(|| refused(Reason::Version, "no common version: update the node"))?;
        hello.check().map_err(|error| refused(Reason::BadHello, &error.to_string()))?;
        let Hello { model, operator, slots, audit, .. } = hello;
        let model = model.ok_or_else(|| refused(Reason::BadHello, "the hello names no model"))?;
        if Mode::of_model(&model.name).is_some() {
            return Err(refused(Reason::BadHello, "this name is the swarm's own"));
        }
        if !audit.is_empty() && version.number() < Version::V2.number() {
            return Err(refused(Reason::Version, "auditors need version 2: update the node"));
        }
        Ok(Self { link, version, model, operator, slots: slots.min(SLOTS_MAX), audit })
    }

    /// Lets the node sign a fresh nonce: the certificate has proven its key to the transport,
    /// this proves it to us, over whatever transport it came.
    async fn challenge(
        self,
        control: &mut Stream,
        gateway: NodeId,
        step: Duration,
    ) -> Result<Proven, NotAdmitted> {
        let challenge = Challenge::fresh();
        send(control, &Message::Challenge(challenge.clone()), step).await?;
        let Message::Proof(proof) = next(control, step).await? else {
            return Err(refused(Reason::Protocol, "a challenge is answered by a proof"));
        };
        proof
            .verify(self.link.peer(), gateway, &challenge)
            .map_err(|bad| refused(Reason::WrongKey, &bad.to_string()))?;
        Ok(Proven(self))
    }
}

/// A node that holds the key it goes by.
struct Proven(Claimed);

impl Proven {
    async fn welcome(
        self,
        control: &mut Stream,
        swarm: &Swarm,
    ) -> Result<(Place, Arc<MemberHandle>), NotAdmitted> {
        let Self(Claimed { link, version, model, operator, slots, audit }) = self;
        let config = &swarm.0.config;
        let no_place = |no| match no {
            NoPlace::AlreadyHere => refused(Reason::AlreadyHere, "this key is here already"),
            NoPlace::Full => refused(Reason::Full, "the gateway has all the members it takes"),
        };
        let seat = MemberHandle::new(link, model, operator, slots);
        let place = if audit.is_empty() {
            Place::Member(swarm.0.roster.reserve(seat.id).map_err(no_place)?)
        } else if audit::is_proof(&audit, &config.audit, swarm.0.gateway, seat.id) {
            Place::Auditor(swarm.0.auditors.seat(seat.clone()).map_err(no_place)?)
        } else {
            return Err(refused(Reason::BadHello, "this gateway has another token for auditors"));
        };
        let welcome = Welcome { version: version.number(), heartbeat_ms: config.heartbeat_ms };
        send(control, &Message::Welcome(welcome), config.step()).await?;
        Ok((place, seat))
    }
}

/// The newest version both sides speak; ours are all known, theirs are all up to the one named.
fn common_version(theirs: u32) -> Option<Version> {
    Version::from_number(theirs.min(Version::CURRENT.number()))
}

async fn next(control: &mut Stream, step: Duration) -> Result<Message, NotAdmitted> {
    in_time(step, async {
        match control.receiver.next().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(NotAdmitted::Lost("it ended the control stream".to_owned())),
            Err(shoal_proto::WireError::Gone(why)) => Err(NotAdmitted::Lost(why)),
            Err(error) => Err(refused(Reason::Protocol, &error.to_string())),
        }
    })
    .await
}

async fn send(control: &mut Stream, message: &Message, step: Duration) -> Result<(), NotAdmitted> {
    in_time(step, async {
        control.sender.send(message).await.map_err(|error| NotAdmitted::Lost(error.to_string()))
    })
    .await
}

async fn in_time<T>(
    step: Duration,
    work: impl Future<Output = Result<T, NotAdmitted>>,
) -> Result<T, NotAdmitted> {
    timeout(step, work).await.unwrap_or_else(|_| Err(refused(Reason::Protocol, "not in time")))
}

/// Says no and waits until the node has heard it.
async fn tell(
    link: &Arc<dyn Link>,
    control: Stream,
    reason: Reason,
    message: &str,
    step: Duration,
) {
    let retry_ms = match reason {
        Reason::AlreadyHere | Reason::Full | Reason::Protocol | Reason::Draining => RETRY_MS,
        _ => 0,
    };
    let refusal = Refusal { reason: reason.into(), message: message.to_owned(), retry_ms };
    let refusal = Message::Refusal(refusal);
    let said = timeout(step, control.sender.send_last(&refusal)).await;
    if said.is_ok_and(|said| said.is_ok()) {
        let _ = timeout(Duration::from_secs(1), link.closed()).await;
    }
}

fn refused(reason: Reason, message: &str) -> NotAdmitted {
    NotAdmitted::Refused { reason, message: message.to_owned() }
}

fn lost(error: shoal_link::LinkError) -> NotAdmitted {
    NotAdmitted::Lost(error.to_string())
}
