//! Handles one work stream: queues the work, runs it, sends the result.

pub mod queue;

use std::time::Duration;

use shoal_link::{Sender, Stream};
use shoal_proto::{
    Message, WireError,
    embed::Embed,
    generate::{Done, Failed, Fault, Finish, Generate, Piece},
    judge::Judge,
    version::Version,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

pub use self::queue::{Load, WorkQueue};
use crate::metrics::{Kind, Outcome};
use shoal_engine::{EngineError, Event, judge as rules};
use tracing::Instrument as _;

/// A stream without a first message by then is dropped.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

/// A gateway that does not read an answer for this long has abandoned it.
const UNREAD: Duration = Duration::from_secs(30);

/// Text that is written while a piece is being sent goes out in one piece of at most this many bytes.
const PIECE_BYTES: usize = 8 * 1024;

/// Why a piece of work has no result.
enum NoResult {
    Failed(EngineError),
    /// The peer has left.
    Gone,
}

impl From<EngineError> for NoResult {
    fn from(error: EngineError) -> Self {
        Self::Failed(error)
    }
}

impl From<WireError> for NoResult {
    fn from(_: WireError) -> Self {
        Self::Gone
    }
}

/// Does the work that `stream` asks for, with the messages of protocol `version`. Dropping this future,
/// or the peer dropping its end of the stream, stops the engine.
pub async fn piece(stream: Stream, queue: &WorkQueue, version: Version) {
    let Stream { sender, mut receiver } = stream;
    let Ok(Ok(Some(request))) = timeout(FIRST_MESSAGE, receiver.next()).await else {
        return;
    };
    let span = tracing::info_span!("work", kind = request_kind(&request).label());
    answer(request, sender, queue, version).instrument(span).await;
}

fn request_kind(request: &Message) -> Kind {
    match request {
        Message::Generate(_) => Kind::Generate,
        Message::Judge(_) => Kind::Judge,
        Message::Embed(_) => Kind::Embed,
        _ => Kind::Unknown,
    }
}

async fn answer(request: Message, mut sender: Sender, queue: &WorkQueue, version: Version) {
    let start = Instant::now();
    let kind = request_kind(&request);
    let result = match request {
        Message::Generate(ask) => write(ask, start, &mut sender, queue).await,
        Message::Judge(ask) => judge(ask, &mut sender, queue).await,
        Message::Embed(ask) => embed(ask, &mut sender, queue).await,
        _ => {
            let why = "a work stream begins with generate, judge or embed";
            Err(bad_request(why).into())
        }
    };
    let outcome = match result {
        Ok(Message::Done(end)) if is_unknown_abstention(&end, version) => {
            let why = "the model cannot answer this";
            fail(sender, EngineError::new(Fault::Unsupported, why)).await
        }
        Ok(last) => send_last(sender, &last, Outcome::Done).await,
        Err(NoResult::Failed(error)) => fail(sender, error).await,
        Err(NoResult::Gone) => Outcome::Cancelled,
    };
    queue.metrics().record_work(kind, outcome, start.elapsed());
}

/// Whether an answer is an abstention, which the peer's `version` does not have.
fn is_unknown_abstention(end: &Done, version: Version) -> bool {
    end.finish() == Finish::Abstained && version.number() < Version::V5.number()
}

/// Refuses a stream that came after the goodbye.
pub async fn refuse_draining(stream: Stream) {
    let Stream { sender, mut receiver } = stream;
    if let Ok(Ok(Some(_))) = timeout(FIRST_MESSAGE, receiver.next()).await {
        fail(sender, EngineError::new(Fault::Draining, "the node is leaving")).await;
    }
}

/// Writes an answer; the last message is its `Done`.
async fn write(
    ask: Generate,
    start: Instant,
    sender: &mut Sender,
    queue: &WorkQueue,
) -> Result<Message, NoResult> {
    ask.check_request().map_err(bad_request)?;
    let _slot = unless_gone(sender, queue.slot()).await??;
    let mut events = queue.engine().generate(ask);
    let mut ahead = None;
    let mut first = None;
    loop {
        let event = match ahead.take() {
            Some(event) => Some(event),
            None => unless_gone(sender, events.recv()).await?,
        };
        match event {
            Some(Ok(Event::Piece(mut text))) => {
                first.get_or_insert_with(|| queue.metrics().first_token(start.elapsed()));
                ahead = gather(&mut text, &mut events);
                send_text(sender, &text).await?;
            }
            Some(Ok(Event::Done(end))) => {
                queue
                    .metrics()
                    .record_answer(&end, start.elapsed().saturating_sub(first.unwrap_or_default()));
                // A model without `certainty` sends no log-probability.
                let claims = queue.engine().model().certainty;
                return Ok(Message::Done(Done { logprob: end.logprob.filter(|_| claims), ..end }));
            }
            Some(Err(error)) => return Err(error.into()),
            None => return Err(broke().into()),
        }
    }
}

/// Sends text in frames of at most [`PIECE_BYTES`]: an upstream may send a whole page at once.
async fn send_text(sender: &mut Sender, mut text: &str) -> Result<(), NoResult> {
    while !text.is_empty() {
        let (now, later) = text.split_at(text.floor_char_boundary(PIECE_BYTES));
        let piece = Message::Piece(Piece { text: now.to_owned() });
        timeout(UNREAD, sender.send(&piece)).await.map_err(|_| NoResult::Gone)??;
        text = later;
    }
    Ok(())
}

/// Appends the text that the engine has written meanwhile; returns the first event that is no text.
fn gather(
    text: &mut String,
    events: &mut mpsc::Receiver<Result<Event, EngineError>>,
) -> Option<Result<Event, EngineError>> {
    while text.len() < PIECE_BYTES {
        match events.try_recv() {
            Ok(Ok(Event::Piece(more))) => text.push_str(&more),
            Ok(event) => return Some(event),
            Err(_) => return None,
        }
    }
    None
}

/// Judges candidates; the last message is the ballot.
async fn judge(ask: Judge, sender: &mut Sender, queue: &WorkQueue) -> Result<Message, NoResult> {
    rules::check(&ask, queue.engine().model())?;
    let _slot = unless_gone(sender, queue.slot()).await??;
    let ballot = unless_gone(sender, rules::ballot(ask, queue.engine())).await??;
    queue.metrics().read(ballot.prompt_tokens);
    Ok(Message::Ballot(ballot))
}

/// Turns texts into vectors; the last message is all of them.
async fn embed(ask: Embed, sender: &mut Sender, queue: &WorkQueue) -> Result<Message, NoResult> {
    if !queue.engine().model().embeds {
        return Err(EngineError::new(Fault::Unsupported, "this model makes no vectors").into());
    }
    ask.check_request().map_err(bad_request)?;
    let _slot = unless_gone(sender, queue.slot()).await??;
    let vectors = unless_gone(sender, queue.engine().embed(ask.clone())).await??;
    if vectors.check(&ask).is_err() {
        return Err(EngineError::new(Fault::Engine, "the engine's vectors are not sound").into());
    }
    queue.metrics().read(vectors.prompt_tokens);
    Ok(Message::Embedded(vectors))
}

/// The result of `work`. If the peer leaves first, `work` is dropped.
async fn unless_gone<T>(sender: &mut Sender, work: impl Future<Output = T>) -> Result<T, NoResult> {
    tokio::select! {
        biased;
        () = sender.cancelled() => Err(NoResult::Gone),
        done = work => Ok(done),
    }
}

async fn fail(sender: Sender, error: EngineError) -> Outcome {
    let outcome = Outcome::from_fault(error.fault);
    if outcome == Outcome::Failed {
        tracing::warn!(fault = ?error.fault, why = error.message, "work failed");
    }
    let message = Failed { fault: error.fault.into(), message: error.message };
    send_last(sender, &Message::Failed(message), outcome).await
}

/// Sends the last message of a stream.
async fn send_last(sender: Sender, last: &Message, outcome: Outcome) -> Outcome {
    match timeout(UNREAD, sender.send_last(last)).await {
        Ok(Ok(())) => outcome,
        Ok(Err(_)) | Err(_) => Outcome::Cancelled,
    }
}

fn bad_request(why: impl std::fmt::Display) -> EngineError {
    EngineError::new(Fault::BadRequest, why.to_string())
}

fn broke() -> EngineError {
    EngineError::new(Fault::Engine, "the engine stopped in the middle of an answer")
}

#[cfg(test)]
mod tests;
