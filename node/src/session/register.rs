//! How a node becomes a member: hello, challenge, proof, welcome.

use std::time::Duration;

use shoal_link::{Link, LinkError, Stream};
use shoal_proto::{
    Message, NodeId, WireError,
    hello::{Hello, Refusal, RefusalReason, audit_proof},
    version::Version,
};

use super::Member;

/// Time limit of the whole handshake. Four messages take a few seconds over the slowest connection; a
/// gateway that measures new nodes before it welcomes them takes longer.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What a gateway may choose between two heartbeats: shorter would flood the gateway; after a longer one
/// a NAT drops the mapping (30 s are usual, QUIC's own keep-alive covers the difference).
const HEARTBEAT_MS: std::ops::RangeInclusive<u32> = 100..=60_000;

/// The node is a member; the control stream stays open for as long as it is one.
#[derive(Debug)]
pub(super) struct Admission {
    pub(super) control: Stream,
    /// The protocol version that the gateway chose.
    pub(super) version: Version,
    pub(super) heartbeat: Duration,
}

/// Why the node did not become a member.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The gateway refused, and says why and whether another try helps.
    #[error("refused: {}", .0.message)]
    Refused(Refusal),
    /// The link was lost meanwhile.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The bytes are not a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The gateway sent an unexpected message.
    #[error("the gateway sent an unexpected message: {0}")]
    UnexpectedMessage(&'static str),
    /// The gateway did not send its welcome in time.
    #[error("the gateway did not answer within {} s", HANDSHAKE.as_secs())]
    Late,
    /// The welcome has a version that this build does not speak.
    #[error("the gateway chose protocol version {0}, this build speaks up to {own}", own = Version::CURRENT.number())]
    Version(u32),
    /// An older gateway would use an auditor as an ordinary member.
    #[error("the gateway is too old for auditors: update it")]
    TooOldForAuditors,
}

/// Introduces `member` on a fresh link.
pub(super) async fn register(link: &dyn Link, member: &Member) -> Result<Admission, RegisterError> {
    tokio::time::timeout(HANDSHAKE, handshake(link, member))
        .await
        .unwrap_or(Err(RegisterError::Late))
}

async fn handshake(link: &dyn Link, member: &Member) -> Result<Admission, RegisterError> {
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
        return Err(RegisterError::TooOldForAuditors);
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
    control.receiver.next().await?.ok_or(RegisterError::UnexpectedMessage("the end of the stream"))
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
        Message::Hello(_) => RegisterError::UnexpectedMessage("hello"),
        Message::Challenge(_) => RegisterError::UnexpectedMessage("challenge"),
        Message::Welcome(_) => RegisterError::UnexpectedMessage("welcome"),
        _ => RegisterError::UnexpectedMessage("not a message of the handshake"),
    }
}
