//! How a node becomes a member: hello, challenge, proof, welcome.

use std::time::Duration;

use shoal_link::{Link, LinkError, Stream};
use shoal_proto::{
    Message, NodeId, WireError,
    hello::{Hello, Refusal, RefusalReason, audit_proof},
    version::Version,
};

use super::Member;

/// The whole handshake; four messages over the slowest road take a few seconds, a gateway that
/// measures newcomers before it welcomes them takes longer.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What a gateway may choose between two heartbeats: more often is a flood, more seldom lets a
/// NAT forget the road (30 s are usual, QUIC's own keep-alive covers the difference).
const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;

/// The node was taken in; the control stream stays open for as long as it is a member.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) control: Stream,
    /// The protocol version that the gateway chose.
    pub(super) version: Version,
    pub(super) heartbeat: Duration,
}

/// Why the node was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The gateway said no, why, and whether another try helps.
    #[error("refused: {}", .0.message)]
    Refused(Refusal),
    /// The link went away meanwhile.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Bytes that are no message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The gateway left the script.
    #[error("the gateway said {0} out of turn")]
    OutOfTurn(&'static str),
    /// The gateway did not get to its welcome in time.
    #[error("the gateway did not answer within {} s", HANDSHAKE.as_secs())]
    Late,
    /// The welcome names a version this build does not speak.
    #[error("the gateway chose protocol version {0}, this build speaks up to {own}", own = Version::CURRENT.number())]
    Version(u32),
    /// It would put an auditor into its rounds.
    #[error("the gateway is older than audits: update it")]
    KnowsNoAuditors,
}

/// Introduces `member` on a fresh link.
pub(super) async fn register(link: &dyn Link, member: &Member) -> Result<Admission, RegisterError> {
    tokio::time::timeout(HANDSHAKE, script(link, member)).await.unwrap_or(Err(RegisterError::Late))
}

async fn script(link: &dyn Link, member: &Member) -> Result<Admission, RegisterError> {
    let mut control = link.open().await?;
    control.sender.send(&Message::Hello(hello(member, link.peer()))).await?;
    let challenge = match next(&mut control).await? {
        Message::Challenge(challenge) => challenge,
        message => return Err(refusal_from(message)),
    };
    let proof = member.identity.prove(link.peer(), &challenge);
    control.sender.send(&Message::Proof(proof)).await?;
    let welcome = match next(&mut control).await? {
        Message::Welcome(welcome) => welcome,
        message => return Err(refusal_from(message)),
    };
    let version =
        Version::from_number(welcome.version).ok_or(RegisterError::Version(welcome.version))?;
    if member.audit.expose().is_some() && version.number() < Version::V2.number() {
        return Err(RegisterError::KnowsNoAuditors);
    }
    let beat = welcome.heartbeat_ms.clamp(*HEARTBEAT_MS.start(), *HEARTBEAT_MS.end());
    Ok(Admission { control, version, heartbeat: Duration::from_millis(beat.into()) })
}

fn hello(member: &Member, gateway: NodeId) -> Hello {
    let token = member.audit.expose();
    Hello {
        version: Version::CURRENT.number(),
        build: concat!("shoal-node ", env!("CARGO_PKG_VERSION")).to_owned(),
        model: Some(member.queue.engine().model().clone()),
        operator: member.operator.clone(),
        slots: member.queue.slots(),
        audit: token
            .map(|token| audit_proof(token, gateway, member.identity.id()).to_vec())
            .unwrap_or_default(),
    }
}

async fn next(control: &mut Stream) -> Result<Message, RegisterError> {
    control.receiver.next().await?.ok_or(RegisterError::OutOfTurn("its last word"))
}

fn refusal_from(message: Message) -> RegisterError {
    match message {
        Message::Refusal(refusal) => RegisterError::Refused(refusal),
        Message::Goodbye(goodbye) => RegisterError::Refused(Refusal {
            reason: RefusalReason::Draining.into(),
            message: format!("the gateway is leaving: {}", goodbye.reason),
            // It may be back, or another one at its address, a moment later.
            retry_ms: 1_000,
        }),
        Message::Hello(_) => RegisterError::OutOfTurn("hello"),
        Message::Challenge(_) => RegisterError::OutOfTurn("challenge"),
        Message::Welcome(_) => RegisterError::OutOfTurn("welcome"),
        _ => RegisterError::OutOfTurn("something else"),
    }
}
