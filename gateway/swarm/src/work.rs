//! One piece of work on one member. Each piece has its own stream on the member's link: no queue
//! stands between a round and a member, and dropping the work cancels it on the node.

use std::{mem, sync::Arc};

use shoal_link::Stream;
use shoal_proto::{
    Message, NodeId,
    embed::{Embed, Embedded},
    generate::{Done, Finish, Generate},
    judge::{Ballot, Judge},
};
use tokio::time::{Instant, timeout_at};

use super::{
    Swarm, WorkError,
    bounds::{self, AnswerBounds},
    pace::Pieces,
    roster::{InFlight, MemberHandle},
};

/// Bytes of text that one answer may have. No model writes nearly as much; the limit ends the answer of a
/// member that floods the gateway.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Pieces without text in one answer at most. They say nothing, so nobody else sees them.
const EMPTY_PIECES_MAX: usize = 1_024;

/// The next part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum AnswerPart {
    /// Some text.
    Piece(String),
    /// The end: nothing follows.
    Done(Done),
}

/// An answer that a member is writing. Dropping it stops the node's engine.
#[derive(Debug)]
pub struct AnswerStream {
    stream: Stream,
    member: Arc<MemberHandle>,
    start: Instant,
    pieces: Pieces,
    deadline: Instant,
    bytes: usize,
    empty_pieces: usize,
    bounds: AnswerBounds,
    /// Whether the member's speed is learned when the stream is dropped: until it has ended.
    is_measured: bool,
    /// Set for work of a round; the gateway's own makes no member look busy.
    in_flight: Option<InFlight>,
}

impl AnswerStream {
    /// Does not learn the member's speed from this answer, because the reader may be slower.
    #[must_use]
    pub fn unmeasured(mut self) -> Self {
        self.is_measured = false;
        self
    }

    /// The next piece, or the end.
    ///
    /// # Errors
    /// See [`WorkError`]; after an error nothing more comes.
    pub async fn next(&mut self) -> Result<AnswerPart, WorkError> {
        let part = self.next_part().await;
        if part.is_err() {
            self.is_measured = false;
        }
        if self.in_flight.is_some() {
            match &part {
                Ok(AnswerPart::Piece(_)) => {}
                Ok(AnswerPart::Done(_)) => self.member.work.answer(),
                Err(_) => self.member.work.failure(),
            }
        }
        part
    }

    async fn next_part(&mut self) -> Result<AnswerPart, WorkError> {
        loop {
            match next(&mut self.stream, &self.member, self.deadline).await? {
                Message::Piece(piece) if piece.text.is_empty() => {
                    self.empty_pieces += 1;
                    if self.empty_pieces > EMPTY_PIECES_MAX {
                        return Err(WorkError::InvalidMessage("too many pieces without text"));
                    }
                }
                Message::Piece(piece) => {
                    self.pieces.add(self.start.elapsed(), piece.text.len());
                    self.bytes += piece.text.len();
                    if self.bytes > ANSWER_BYTES_MAX {
                        return Err(WorkError::InvalidMessage("an answer of more than 256 KiB"));
                    }
                    return Ok(AnswerPart::Piece(piece.text));
                }
                Message::Done(end) => return self.end(end).map(AnswerPart::Done),
                _ => return Err(WorkError::InvalidMessage("neither a piece nor an end")),
            }
        }
    }

    fn end(&mut self, end: Done) -> Result<Done, WorkError> {
        end.check().map_err(|nonsense| WorkError::InvalidMessage(nonsense.0))?;
        let end = self.bounds.done(end, self.bytes, self.start.elapsed());
        let end = end.map_err(WorkError::InvalidMessage)?;
        self.learn_pace(&end);
        Ok(auditable(end))
    }

    /// Learns the member's speed from a whole answer. The gateway measures the times; an abstention is no
    /// answer. Gold questions are too short to say how fast tokens come.
    fn learn_pace(&mut self, end: &Done) {
        if !mem::take(&mut self.is_measured) || end.finish() == Finish::Abstained {
            return;
        }
        self.member.learn_bytes(&self.pieces);
        if self.in_flight.is_some() {
            let took = self.start.elapsed();
            let first_piece = self.pieces.first().unwrap_or(took);
            self.member.learn_pace(first_piece, took, end.completion_tokens);
        }
    }
}

/// A round that does not wait for the end learns how fast the text came. Otherwise a member that was measured
/// while its machine was busy would be cut off for its slowness each time, and not be measured again.
impl Drop for AnswerStream {
    fn drop(&mut self) {
        if self.is_measured {
            self.member.learn_bytes(&self.pieces);
        }
    }
}

/// Drops the claim about a text that was cut short: the writer's weights would not end there, so
/// that no auditor can recompute the claim.
fn auditable(end: Done) -> Done {
    let complete = end.finish() == Finish::Stop;
    Done { logprob: end.logprob.filter(|_| complete), ..end }
}

impl Swarm {
    /// Asks a member to write.
    ///
    /// # Errors
    /// When the member has left or takes no stream before `deadline`.
    pub async fn generate(
        &self,
        member: NodeId,
        ask: Generate,
        deadline: Instant,
    ) -> Result<AnswerStream, WorkError> {
        let member = self.member(member)?;
        let in_flight = member.occupy();
        let answer = generate(&member, ask, deadline).await;
        let mut answer = answer.inspect_err(|_| member.work.failure())?;
        answer.in_flight = Some(in_flight);
        Ok(answer)
    }

    /// Asks a member to judge.
    ///
    /// # Errors
    /// See [`WorkError`]; a ballot that does not fit the ask is `InvalidMessage`.
    pub async fn judge(
        &self,
        member: NodeId,
        ask: Judge,
        deadline: Instant,
    ) -> Result<Ballot, WorkError> {
        let member = self.member(member)?;
        let _in_flight = member.occupy();
        let ballot = judge(&member, ask, deadline).await;
        match &ballot {
            Ok(_) => member.work.ballot(),
            Err(_) => member.work.failure(),
        }
        ballot
    }

    /// Asks a member for the vectors of texts.
    ///
    /// # Errors
    /// See [`WorkError`]; vectors that do not fit the ask are `InvalidMessage`.
    pub async fn embed(
        &self,
        member: NodeId,
        ask: Embed,
        deadline: Instant,
    ) -> Result<Embedded, WorkError> {
        let member = self.member(member)?;
        let _in_flight = member.occupy();
        let message = Message::Embed(ask);
        let mut stream = open(&member, &message, deadline).await?;
        let Message::Embedded(reply) = next(&mut stream, &member, deadline).await? else {
            return Err(WorkError::InvalidMessage("no vectors"));
        };
        if let Message::Embed(ask) = &message {
            reply.check(ask).map_err(|nonsense| WorkError::InvalidMessage(nonsense.0))?;
            return Ok(bounds::embedded(reply, ask));
        }
        Ok(reply)
    }
}

/// Asks a member to write, for the gateway itself. Such work does not count as the member's load,
/// so that an exam makes no member look busy.
pub(crate) async fn generate(
    member: &Arc<MemberHandle>,
    ask: Generate,
    deadline: Instant,
) -> Result<AnswerStream, WorkError> {
    let start = Instant::now();
    let bounds = AnswerBounds::new(&ask, &member.model);
    let stream = open(member, &Message::Generate(ask), deadline).await?;
    let member = member.clone();
    Ok(AnswerStream {
        stream,
        member,
        start,
        pieces: Pieces::default(),
        deadline,
        bytes: 0,
        empty_pieces: 0,
        bounds,
        is_measured: true,
        in_flight: None,
    })
}

/// As [`generate`], for a ballot.
pub(crate) async fn judge(
    member: &MemberHandle,
    ask: Judge,
    deadline: Instant,
) -> Result<Ballot, WorkError> {
    let message = Message::Judge(ask);
    let mut stream = open(member, &message, deadline).await?;
    let Message::Ballot(ballot) = next(&mut stream, member, deadline).await? else {
        return Err(WorkError::InvalidMessage("not a ballot"));
    };
    if let Message::Judge(ask) = &message {
        ballot.check(ask).map_err(|nonsense| WorkError::InvalidMessage(nonsense.0))?;
        return Ok(bounds::ballot(ballot, ask));
    }
    Ok(ballot)
}

/// Opens a stream for one piece of work and sends the ask.
async fn open(
    member: &MemberHandle,
    message: &Message,
    deadline: Instant,
) -> Result<Stream, WorkError> {
    let open = async {
        let mut stream =
            member.link.open().await.map_err(|error| WorkError::Broken(error.to_string()))?;
        stream.sender.send(message).await?;
        Ok(stream)
    };
    timeout_at(deadline, open).await.map_err(|_| WorkError::Late)?
}

async fn next(
    stream: &mut Stream,
    member: &MemberHandle,
    deadline: Instant,
) -> Result<Message, WorkError> {
    let message = tokio::select! {
        biased;
        message = timeout_at(deadline, stream.receiver.next()) => message,
        () = member.silence() => return Err(WorkError::Silent),
    };
    match message.map_err(|_| WorkError::Late)?? {
        Some(Message::Failed(failure)) => Err(failure.into()),
        Some(message) => Ok(message),
        None => Err(WorkError::InvalidMessage("the stream ended early")),
    }
}
