//! One piece of work on one member: a stream of its own on the member's link. No mailbox stands
//! between a round and a member, and dropping the work cancels it on the node.

use shoal_link::Stream;
use shoal_proto::{
    Message, NodeId, WireError,
    embed::{Embed, Embedded},
    generate::{Done, Failed, Fault, Finish, Generate},
    judge::{Ballot, Judge},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Swarm,
    roster::{InFlight, MemberHandle},
};

/// Text one answer may have. Far over what any bundled model writes; a member that floods is cut.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Why a member did not do a piece of work. Another member may manage in every case.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WorkError {
    #[error("the member has left")]
    Gone,
    #[error("the stream broke: {0}")]
    Broken(String),
    #[error("the node could not ({fault:?}): {message}")]
    Failed { fault: Fault, message: String },
    #[error("not done in time")]
    Late,
    #[error("the node made no sense: {0}")]
    Nonsense(&'static str),
    #[error("the answer is not what was asked for: {0}")]
    Misfit(&'static str),
}

impl WorkError {
    /// Every [`label`](Self::label).
    pub const LABELS: [&'static str; 8] =
        ["gone", "broken", "busy", "context_length", "failed", "late", "nonsense", "misfit"];

    /// A name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Broken(_) => "broken",
            Self::Failed { fault: Fault::Busy, .. } => "busy",
            Self::Failed { fault: Fault::ContextLength, .. } => "context_length",
            Self::Failed { .. } => "failed",
            Self::Late => "late",
            Self::Nonsense(_) => "nonsense",
            Self::Misfit(_) => "misfit",
        }
    }
}

impl From<WireError> for WorkError {
    fn from(error: WireError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<Failed> for WorkError {
    fn from(failed: Failed) -> Self {
        Self::Failed {
            fault: Fault::try_from(failed.fault).unwrap_or(Fault::Unspecified),
            message: failed.message.chars().take(200).collect(),
        }
    }
}

/// What a writer says next.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    Piece(String),
    /// Nothing follows.
    Done(Done),
}

/// An answer on its way. Dropping it stops the node's engine.
#[derive(Debug)]
pub struct Writing {
    stream: Stream,
    deadline: Instant,
    bytes: usize,
    _in_flight: Option<InFlight>,
}

impl Writing {
    /// The next piece, or the end.
    ///
    /// # Errors
    /// See [`WorkError`]; after one, nothing more comes.
    pub async fn next(&mut self) -> Result<Written, WorkError> {
        match next(&mut self.stream, self.deadline).await? {
            Message::Piece(piece) => {
                self.bytes += piece.text.len();
                if self.bytes > ANSWER_BYTES_MAX {
                    return Err(WorkError::Nonsense("an answer without end"));
                }
                Ok(Written::Piece(piece.text))
            }
            Message::Done(done) => match done.check() {
                Ok(()) => Ok(Written::Done(auditable(done))),
                Err(nonsense) => Err(WorkError::Nonsense(nonsense.0)),
            },
            _ => Err(WorkError::Nonsense("neither piece nor done")),
        }
    }
}

/// A text that was cut short is not what its writer's weights would end with: nobody can
/// recompute a claim about it, so there is none.
fn auditable(done: Done) -> Done {
    let whole = done.finish() == Finish::Stop;
    Done { logprob: done.logprob.filter(|_| whole), ..done }
}

impl Swarm {
    /// Asks a member to write.
    ///
    /// # Errors
    /// When the member is gone or takes no stream before `deadline`.
    pub async fn generate(
        &self,
        member: NodeId,
        ask: Generate,
        deadline: Instant,
    ) -> Result<Writing, WorkError> {
        let seat = self.seat(member)?;
        let in_flight = seat.occupy();
        let writing = generate(&seat, ask, deadline).await?;
        Ok(Writing { _in_flight: Some(in_flight), ..writing })
    }

    /// Asks a member to judge.
    ///
    /// # Errors
    /// See [`WorkError`]; a ballot that does not fit what was asked is `Nonsense`.
    pub async fn judge(
        &self,
        member: NodeId,
        ask: Judge,
        deadline: Instant,
    ) -> Result<Ballot, WorkError> {
        let seat = self.seat(member)?;
        let _in_flight = seat.occupy();
        judge(&seat, ask, deadline).await
    }

    /// Asks a member for the vectors of texts.
    ///
    /// # Errors
    /// See [`WorkError`]; vectors that do not fit what was asked are `Nonsense`.
    pub async fn embed(
        &self,
        member: NodeId,
        ask: Embed,
        deadline: Instant,
    ) -> Result<Embedded, WorkError> {
        let seat = self.seat(member)?;
        let _in_flight = seat.occupy();
        let message = Message::Embed(ask);
        let mut stream = begin(&seat, &message, deadline).await?;
        let Message::Embedded(embedded) = next(&mut stream, deadline).await? else {
            return Err(WorkError::Nonsense("no vectors"));
        };
        if let Message::Embed(asked) = &message {
            embedded.check(asked).map_err(|nonsense| WorkError::Nonsense(nonsense.0))?;
        }
        Ok(embedded)
    }
}

/// Work that no round has asked for: it does not count as the member's load, so that an exam
/// makes nobody look busy.
pub(crate) async fn generate(
    seat: &MemberHandle,
    ask: Generate,
    deadline: Instant,
) -> Result<Writing, WorkError> {
    let stream = begin(seat, &Message::Generate(ask), deadline).await?;
    Ok(Writing { stream, deadline, bytes: 0, _in_flight: None })
}

/// As [`generate`], for a ballot.
pub(crate) async fn judge(
    seat: &MemberHandle,
    ask: Judge,
    deadline: Instant,
) -> Result<Ballot, WorkError> {
    let message = Message::Judge(ask);
    let mut stream = begin(seat, &message, deadline).await?;
    let Message::Ballot(ballot) = next(&mut stream, deadline).await? else {
        return Err(WorkError::Nonsense("not a ballot"));
    };
    if let Message::Judge(asked) = &message {
        ballot.check(asked).map_err(|nonsense| WorkError::Nonsense(nonsense.0))?;
    }
    Ok(ballot)
}

/// Opens a stream of its own for one piece of work.
async fn begin(
    seat: &MemberHandle,
    message: &Message,
    deadline: Instant,
) -> Result<Stream, WorkError> {
    let begun = async {
        let mut stream =
            seat.link.open().await.map_err(|error| WorkError::Broken(error.to_string()))?;
        stream.sender.send(message).await?;
        Ok(stream)
    };
    timeout_at(deadline, begun).await.map_err(|_| WorkError::Late)?
}

async fn next(stream: &mut Stream, deadline: Instant) -> Result<Message, WorkError> {
    let message = timeout_at(deadline, stream.receiver.next()).await;
    match message.map_err(|_| WorkError::Late)?? {
        Some(Message::Failed(failed)) => Err(failed.into()),
        Some(message) => Ok(message),
        None => Err(WorkError::Nonsense("the stream ended early")),
    }
}
