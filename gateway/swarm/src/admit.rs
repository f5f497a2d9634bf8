//! How a link becomes a member, as types: an [`Applicant`] has sent its hello, a [`ProvenApplicant`] has
//! proven its key, a [`Newcomer`] has a place. Each step consumes the value before it and has a deadline.

use std::{future::Future, sync::Arc, time::Duration};

use shoal_consensus::Mode;
use shoal_link::{Link, Stream};
use shoal_proto::{
    Message, NodeId,
    hello::{Challenge, Hello, Model, Refusal, RefusalReason, Welcome},
    version::Version,
};
use tokio::time::{Instant, sleep, timeout};

use super::{
    NotAdmitted, Swarm,
    audit::{self, AuditorPlace},
    bounds, exam,
    roster::{MemberHandle, NoPlace, Reservation},
};

/// Milliseconds after which a refused node should try again: by then a place may be free, or its
/// own earlier session may have ended.
const RETRY_MS: u32 = 5_000;

/// Admits one link: hello, challenge, proof and welcome.
///
/// # Errors
/// When the node was not admitted; it has been sent the reason.
pub(super) async fn admit(swarm: &Swarm, link: &Arc<dyn Link>) -> Result<Newcomer, NotAdmitted> {
    let step = swarm.0.config.step();
    let mut control = in_time(step, async { link.accept().await.map_err(loss) }).await?;
    match handshake(swarm, link, &mut control).await {
        Ok((place, member)) => Ok(Newcomer { control, place, member }),
        Err(error) => {
            if let NotAdmitted::Refused { reason, message } = &error {
                send_refusal(link, control, *reason, message, step).await;
            }
            Err(error)
        }
    }
}

async fn handshake(
    swarm: &Swarm,
    link: &Arc<dyn Link>,
    control: &mut Stream,
) -> Result<(Place, Arc<MemberHandle>), NotAdmitted> {
    let step = swarm.0.config.step();
    let applicant = Applicant::read(link.clone(), control, step).await?;
    if swarm.0.shutdown.is_cancelled() {
        return Err(refusal(RefusalReason::Draining, "the gateway is shutting down"));
    }
    let applicant = applicant.challenge(control, swarm.0.gateway, step).await?;
    applicant.welcome(control, swarm).await
}

/// A node that has sent its hello. Nothing in it is proven.
struct Applicant {
    link: Arc<dyn Link>,
    version: Version,
    model: Model,
    operator: String,
    slots: u32,
    /// The proof that it is the operator's own auditor; empty for an ordinary member.
    audit: Vec<u8>,
}

impl Applicant {
    async fn read(
        link: Arc<dyn Link>,
        control: &mut Stream,
        step: Duration,
    ) -> Result<Self, NotAdmitted> {
        let Message::Hello(hello) = next(control, step).await? else {
            return Err(refusal(RefusalReason::Protocol, "the first message must be a hello"));
        };
        let version = common_version(hello.version)
            .ok_or_else(|| refusal(RefusalReason::Version, "no common version: update the node"))?;
        hello.check().map_err(|error| refusal(RefusalReason::BadHello, &error.to_string()))?;
        let Hello { model, operator, slots, audit, .. } = hello;
        let model =
            model.ok_or_else(|| refusal(RefusalReason::BadHello, "the hello names no model"))?;
        if Mode::of_model(&model.name).is_some() {
            return Err(refusal(RefusalReason::BadHello, "this model name belongs to the swarm"));
        }
        if !audit.is_empty() && version.number() < Version::V2.number() {
            return Err(refusal(
                RefusalReason::Version,
                "auditors need version 2: update the node",
            ));
        }
        let (model, slots) = (bounds::model(model), bounds::slots(slots));
        Ok(Self { link, version, model, operator, slots, audit })
    }

    /// Lets the node sign a fresh nonce. The certificate has proven its key to the transport; the
    /// signature proves it to the gateway, whatever the transport is.
    async fn challenge(
        self,
        control: &mut Stream,
        gateway: NodeId,
        step: Duration,
    ) -> Result<ProvenApplicant, NotAdmitted> {
        let challenge = Challenge::generate();
        send(control, &Message::Challenge(challenge.clone()), step).await?;
        let Message::Proof(proof) = next(control, step).await? else {
            return Err(refusal(RefusalReason::Protocol, "a challenge is answered by a proof"));
        };
        proof
            .verify(self.link.peer(), gateway, &challenge)
            .map_err(|error| refusal(RefusalReason::WrongKey, &error.to_string()))?;
        Ok(ProvenApplicant(self))
    }
}

/// A node that has proven that it holds the key of its id.
struct ProvenApplicant(Applicant);

impl ProvenApplicant {
    async fn welcome(
        self,
        control: &mut Stream,
        swarm: &Swarm,
    ) -> Result<(Place, Arc<MemberHandle>), NotAdmitted> {
        let Self(Applicant { link, version, model, operator, slots, audit }) = self;
        let config = &swarm.0.config;
        let member = MemberHandle::new(link, model, operator, slots);
        let is_auditor = !audit.is_empty();
        if is_auditor && !audit::is_proof(&audit, &config.audit, swarm.0.gateway, member.id) {
            return Err(refusal(
                RefusalReason::BadHello,
                "the token is not this gateway's token for auditors",
            ));
        }
        let place = take_place(swarm, &member, is_auditor).await?;
        let welcome = Welcome { version: version.number(), heartbeat_ms: config.heartbeat_ms };
        send(control, &Message::Welcome(welcome), config.step()).await?;
        Ok((place, member))
    }
}

/// Gives a node its place. The newest link of a key wins: a node that was killed and starts again takes
/// the place of its earlier process. That session ends first, so that the record is saved. When all places
/// are taken, a node that has shown something gets the place of one that has not.
async fn take_place(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    is_auditor: bool,
) -> Result<Place, NoPlace> {
    /// The end of a session saves a record and waits for nothing else.
    const REPLACEMENT: Duration = Duration::from_secs(2);
    const POLL: Duration = Duration::from_millis(5);
    let end = Instant::now() + REPLACEMENT;
    let mut is_known = None;
    loop {
        let place = if is_auditor {
            swarm.0.auditors.seat(member.clone()).map(Place::Auditor)
        } else {
            swarm.0.roster.reserve(member).map(Place::Member)
        };
        match place {
            Err(NoPlace::AlreadyHere(earlier)) if Instant::now() < end => earlier.replace(),
            Err(NoPlace::Full) if !is_auditor && Instant::now() < end => {
                let is_known = match is_known {
                    Some(is_known) => is_known,
                    None => *is_known.insert(exam::is_known(swarm, member).await),
                };
                let standing = swarm.standing();
                let idler = swarm.0.roster.idler(&standing).filter(|_| is_known);
                idler.ok_or(NoPlace::Full)?.displace();
            }
            place => return place,
        }
        sleep(POLL).await;
    }
}

impl From<NoPlace> for NotAdmitted {
    fn from(error: NoPlace) -> Self {
        match error {
            NoPlace::AlreadyHere(_) => {
                refusal(RefusalReason::AlreadyHere, "an earlier link of this key has not ended yet")
            }
            NoPlace::Full => {
                refusal(RefusalReason::Full, "the gateway has as many members as it takes")
            }
        }
    }
}

/// The place of a newcomer.
pub(super) enum Place {
    Member(Reservation),
    Auditor(AuditorPlace),
}

/// A node that was sent a welcome. It has a place, but no round sees it before its exam.
pub(super) struct Newcomer {
    pub(super) control: Stream,
    pub(super) place: Place,
    pub(super) member: Arc<MemberHandle>,
}

/// The newest version that both sides speak. The gateway speaks every version up to its own, and so
/// does the node up to `newest`.
fn common_version(newest: u32) -> Option<Version> {
    Version::from_number(newest.min(Version::CURRENT.number()))
}

async fn next(control: &mut Stream, step: Duration) -> Result<Message, NotAdmitted> {
    in_time(step, async {
        match control.receiver.next().await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(NotAdmitted::Lost("the node ended the control stream".to_owned())),
            Err(shoal_proto::WireError::Closed(why)) => Err(NotAdmitted::Lost(why)),
            Err(error) => Err(refusal(RefusalReason::Protocol, &error.to_string())),
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
    timeout(step, work)
        .await
        .unwrap_or_else(|_| Err(refusal(RefusalReason::Protocol, "not in time")))
}

/// Sends a refusal and waits until the node has read it.
async fn send_refusal(
    link: &Arc<dyn Link>,
    control: Stream,
    reason: RefusalReason,
    message: &str,
    step: Duration,
) {
    let retry_ms = match reason {
        RefusalReason::AlreadyHere
        | RefusalReason::Full
        | RefusalReason::Protocol
        | RefusalReason::Draining => RETRY_MS,
        _ => 0,
    };
    let refusal = Refusal { reason: reason.into(), message: message.to_owned(), retry_ms };
    let result = timeout(step, control.sender.send_last(&Message::Refusal(refusal))).await;
    if matches!(result, Ok(Ok(()))) {
        let _ = timeout(Duration::from_secs(1), link.closed()).await;
    }
}

fn refusal(reason: RefusalReason, message: &str) -> NotAdmitted {
    NotAdmitted::Refused { reason, message: message.to_owned() }
}

fn loss(error: shoal_link::LinkError) -> NotAdmitted {
    NotAdmitted::Lost(error.to_string())
}
