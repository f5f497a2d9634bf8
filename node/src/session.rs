//! A member's sessions: dial, register, work, and when the link is lost, again.

pub mod backoff;
mod register;

use std::{pin::pin, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use shoal_link::{Link, LinkError, Receiver, Sender, Stream};
use shoal_proto::{
    Message, Secret, goodbye::Goodbye, heartbeat::Heartbeat, hello::Refusal, identity::Identity,
    version::Version,
};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument as _, Span};

pub use self::register::RegisterError;
use self::{
    backoff::Backoff,
    register::{Admission, register},
};
use crate::serve::{self, WorkQueue};

/// A few round trips: a gateway that is gone must not delay the end.
const FAREWELL: Duration = Duration::from_secs(1);

/// Connects to the gateway once.
pub type Dial = dyn Fn() -> BoxFuture<'static, Result<Arc<dyn Link>, LinkError>> + Send + Sync;

/// A member: its key, and the queue that takes its work.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its key, which is also its name.
    pub identity: Arc<Identity>,
    /// Its owner; empty: itself.
    pub operator: String,
    /// Takes the work; one queue serves all of a node's links.
    pub queue: Arc<WorkQueue>,
    /// How long running work may take to finish when the node stops.
    pub drain: Duration,
    /// The gateway's token for auditors; not set for an ordinary member.
    pub audit: Secret,
}

/// Why another try does not help. One line, for the node's owner.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The gateway said that another try does not help.
    #[error("the gateway refuses this node: {}", .0.message)]
    Refused(Refusal),
    /// The gateway is not the one whose key is pinned.
    #[error(transparent)]
    WrongKey(LinkError),
}

/// The reason when another process has replaced a node.
const REPLACED: &str = "another node has joined with this key: two nodes must not share a data folder or \
    a key file";

/// Two processes with one key must not replace each other all the time.
const REPLACED_RETRY: Duration = Duration::from_secs(60);

/// How a session ended, if the end is not fatal.
#[derive(Debug)]
pub enum SessionEnd {
    /// The node was stopped, and its work is finished or out of time.
    Stopped,
    /// The link is gone.
    Lost(String),
    /// Another process has joined with the key of this node.
    Replaced,
    /// The node did not become a member.
    Refused(RegisterError),
}

/// Keeps `member` connected to the gateway that `dial` reaches, until `stop`.
///
/// # Errors
/// When the gateway says that another try does not help, or is not the pinned one.
pub async fn keep_linked(
    dial: &Dial,
    member: &Member,
    stop: &CancellationToken,
) -> Result<(), Fatal> {
    reconnect(dial, member, stop).instrument(span(member)).await
}

async fn reconnect(dial: &Dial, member: &Member, stop: &CancellationToken) -> Result<(), Fatal> {
    let metrics = member.queue.metrics();
    let mut backoff = Backoff::new(seed(member));
    while let Some(link_result) = stop.run_until_cancelled(dial_when_ready(dial, member)).await {
        let (why, retry) = match link_result {
            Ok(link) => match register_and_work(link, member, stop, &mut backoff).await {
                SessionEnd::Stopped => return Ok(()),
                SessionEnd::Lost(why) => (why, None),
                SessionEnd::Replaced => (REPLACED.to_owned(), Some(REPLACED_RETRY)),
                SessionEnd::Refused(error) => (error.to_string(), retry_after(error)?),
            },
            Err(error @ LinkError::WrongKey { .. }) => return Err(Fatal::WrongKey(error)),
            Err(error) => (error.to_string(), None),
        };
        let wait = backoff.after_failure(now(), retry);
        tracing::warn!(why, wait_ms = millis(wait), "not linked to the gateway");
        if stop.run_until_cancelled(sleep(wait)).await.is_none() {
            break;
        }
        metrics.reconnects.inc();
    }
    Ok(())
}

/// Connects to the gateway when the engine can pass its exam.
async fn dial_when_ready(dial: &Dial, member: &Member) -> Result<Arc<dyn Link>, LinkError> {
    member.queue.engine().ready().await;
    dial().await
}

/// One session as a member on `link`: registers, then works until the link is lost or `stop`.
pub async fn run_session(
    link: Arc<dyn Link>,
    member: &Member,
    stop: &CancellationToken,
) -> SessionEnd {
    let mut backoff = Backoff::new(0);
    register_and_work(link, member, stop, &mut backoff).instrument(span(member)).await
}

/// The span of a session; every log line of a session is in it.
pub(crate) fn span(member: &Member) -> Span {
    tracing::info_span!("session", node.id = %member.identity.id().short())
}

async fn register_and_work(
    link: Arc<dyn Link>,
    member: &Member,
    stop: &CancellationToken,
    backoff: &mut Backoff,
) -> SessionEnd {
    // The gateway may have sent its welcome already, and then expects a goodbye.
    let stop_signal = async {
        stop.cancelled().await;
        sleep(FAREWELL).await;
    };
    let registration = tokio::select! {
        biased;
        registration = register(&*link, member) => Some(registration),
        () = stop_signal => None,
    };
    let welcome = match registration {
        Some(Ok(welcome)) => welcome,
        Some(Err(error)) => {
            link.close("not registered");
            return SessionEnd::Refused(error);
        }
        None => {
            link.close("stopped");
            return SessionEnd::Stopped;
        }
    };
    backoff.admit(now());
    tracing::info!(gateway.id = %link.peer().short(), "joined");
    let link_guard = member.queue.metrics().link_guard();
    let end = work(&*link, welcome, member, stop).await;
    drop(link_guard);
    link.close(match &end {
        SessionEnd::Stopped => "stopped",
        SessionEnd::Lost(_) | SessionEnd::Replaced | SessionEnd::Refused(_) => "lost",
    });
    // Otherwise the process may end before the gateway has read the close.
    let cause = timeout(FAREWELL, link.closed()).await;
    let is_replaced = cause.is_ok_and(|cause| cause.is_replaced());
    if is_replaced && matches!(end, SessionEnd::Lost(_)) { SessionEnd::Replaced } else { end }
}

/// Accepts work and sends heartbeats. Dropping this future stops everything it began.
async fn work(
    link: &dyn Link,
    welcome: Admission,
    member: &Member,
    stop: &CancellationToken,
) -> SessionEnd {
    let Admission { control, version, heartbeat: interval } = welcome;
    let Stream { mut sender, receiver } = control;
    let mut pieces = JoinSet::new();
    let mut control_end = pin!(watch_control_stream(receiver));
    let mut beat = interval_at(Instant::now() + interval, interval);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sequence = 0;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            why = link.closed() => return SessionEnd::Lost(why.to_string()),
            stream = link.accept() => match stream {
                Ok(stream) => take(stream, &mut pieces, member, version),
                Err(error) => return SessionEnd::Lost(error.to_string()),
            },
            Some(_) = pieces.join_next() => {}
            _ = beat.tick() => {
                sequence += 1;
                if let Err(why) = send(&mut sender, heartbeat(sequence, member)).await {
                    return SessionEnd::Lost(why);
                }
            }
            why = &mut control_end => return SessionEnd::Lost(why),
        }
    }
    let goodbye = Goodbye { reason: "the node is stopping".to_owned() };
    if send(&mut sender, Message::Goodbye(goodbye)).await.is_ok() {
        drain(link, pieces, member).await;
        // Closing a link discards what it has not sent yet: of an idle node that is the goodbye,
        // and the gateway would think it lost.
        let _ = timeout(FAREWELL, sender.finish()).await;
    }
    SessionEnd::Stopped
}

/// Reads the control stream until it ends, and returns why it did.
async fn watch_control_stream(mut control: Receiver) -> String {
    loop {
        match control.next().await {
            Ok(Some(Message::Goodbye(goodbye))) => {
                tracing::info!(why = goodbye.reason, "the gateway is leaving");
            }
            Ok(Some(_)) => tracing::debug!("the gateway sent an unexpected message"),
            Ok(None) => return "the gateway ended the control stream".to_owned(),
            Err(error) => return error.to_string(),
        }
    }
}

fn take(stream: Stream, pieces: &mut JoinSet<()>, member: &Member, version: Version) {
    // Further streams are dropped unread, because this peer ignores `FAULT_BUSY`.
    if pieces.len() < member.queue.streams_max() {
        let queue = Arc::clone(&member.queue);
        let work = async move { serve::piece(stream, &queue, version).await };
        pieces.spawn(work.in_current_span());
    }
}

/// Accepts no new work and waits for running work, up to the member's limit.
async fn drain(link: &dyn Link, mut pieces: JoinSet<()>, member: &Member) {
    let deadline = Instant::now() + member.drain;
    let mut refusals = JoinSet::new();
    while !pieces.is_empty() || !refusals.is_empty() {
        tokio::select! {
            biased;
            () = sleep_until(deadline) => {
                tracing::warn!(pieces = pieces.len(), "stopped with work unfinished");
                break;
            }
            _ = link.closed() => break,
            Some(_) = pieces.join_next() => {}
            Some(_) = refusals.join_next() => {}
            Ok(stream) = link.accept() => if refusals.len() < member.queue.streams_max() {
                refusals.spawn(serve::refuse_draining(stream).in_current_span());
            },
        }
    }
}

/// A message on the control stream must not wait longer than a peer may be silent.
async fn send(control: &mut Sender, message: Message) -> Result<(), String> {
    const PATIENCE: Duration = Duration::from_secs(45);
    match timeout(PATIENCE, control.send(&message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the gateway does not read the control stream".to_owned()),
    }
}

fn heartbeat(sequence: u64, member: &Member) -> Message {
    let load = member.queue.load();
    Message::Heartbeat(Heartbeat { sequence, running: load.running, waiting: load.waiting })
}

/// How long the gateway asked to wait; fatal if it said that waiting does not help.
fn retry_after(error: RegisterError) -> Result<Option<Duration>, Fatal> {
    match error {
        RegisterError::Refused(refusal) if refusal.retry_ms == 0 => Err(Fatal::Refused(refusal)),
        RegisterError::Refused(refusal) => Ok(Some(Duration::from_millis(refusal.retry_ms.into()))),
        _ => Ok(None),
    }
}

/// The seed of the jitter: different for each node, and the same in every simulation.
fn seed(member: &Member) -> u64 {
    let mut seed = [0; 8];
    seed.iter_mut().zip(member.identity.id().0).for_each(|(to, from)| *to = from);
    u64::from_le_bytes(seed)
}

/// The runtime's clock, which simulations pause.
fn now() -> std::time::Instant {
    Instant::now().into_std()
}

fn millis(wait: Duration) -> u64 {
    u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
