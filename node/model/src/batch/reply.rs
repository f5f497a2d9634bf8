//! The channel back to the client. The model never waits for a slow reader.

use shoal_engine::{EngineError, Event};
use shoal_proto::{
    embed::Embedded,
    generate::{Done, Fault},
    judge::Ballot,
};
use tokio::sync::{
    mpsc::{self, OwnedPermit},
    oneshot,
};

use crate::step::Broken;

/// Capacity in events. While a slow gateway leaves it full, further text gathers in one piece.
const EVENTS: usize = 32;

type EventResult = Result<Event, EngineError>;

/// The channel for the result of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Write(TextReply),
    Judge(oneshot::Sender<Result<Ballot, EngineError>>),
    Embed(oneshot::Sender<Result<Embedded, EngineError>>),
}

/// The channel of an answer. Capacity for its last text and its last event is reserved at the start.
#[derive(Debug)]
pub(super) struct TextReply {
    events: mpsc::Sender<EventResult>,
    last: Option<(OwnedPermit<EventResult>, OwnedPermit<EventResult>)>,
    /// Text that found the channel full.
    backlog: String,
}

impl Reply {
    /// The channel of an answer, and its receiver.
    pub(super) fn write() -> (Self, mpsc::Receiver<EventResult>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let text = events.clone().try_reserve_owned().ok();
        let last = text.zip(events.clone().try_reserve_owned().ok());
        (Self::Write(TextReply { events, last, backlog: String::new() }), receiver)
    }

    /// Whether the client has left.
    pub(super) fn is_abandoned(&self) -> bool {
        match self {
            Self::Write(reply) => reply.events.is_closed(),
            Self::Judge(reply) => reply.is_closed(),
            Self::Embed(reply) => reply.is_closed(),
        }
    }

    /// Sends more text of an answer.
    pub(super) fn push_text(&mut self, text: &str) {
        let Self::Write(reply) = self else { return };
        reply.backlog.push_str(text);
        if reply.backlog.is_empty() {
            return;
        }
        // While the channel is full, the text stays in the backlog.
        if let Ok(place) = reply.events.try_reserve() {
            place.send(Ok(Event::Piece(std::mem::take(&mut reply.backlog))));
        }
    }

    /// Ends an answer.
    pub(super) fn finish(self, end: Done) {
        if let Self::Write(reply) = self {
            reply.end(Ok(Event::Done(end)));
        }
    }

    /// Ends the request with an error.
    pub(super) fn fail(self, error: EngineError) {
        // Sending fails only when the client has left.
        match self {
            Self::Write(reply) => reply.end(Err(error)),
            Self::Judge(reply) => drop(reply.send(Err(error))),
            Self::Embed(reply) => drop(reply.send(Err(error))),
        }
    }
}

impl TextReply {
    fn end(self, last: EventResult) {
        let Some((text, end)) = self.last else { return };
        if !self.backlog.is_empty() {
            text.send(Ok(Event::Piece(self.backlog)));
        }
        end.send(last);
    }
}

/// The error when the queue is full.
pub(super) fn busy() -> EngineError {
    EngineError::new(Fault::Busy, "the model's queue is full")
}

/// An error of the model's code and not of the request.
pub(super) fn engine_fault(why: &str) -> EngineError {
    EngineError::new(Fault::Engine, why)
}

impl From<Broken> for EngineError {
    fn from(_: Broken) -> Self {
        engine_fault("the model's numbers are broken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_slow_loses_nothing_and_holds_nobody_up() {
        let (mut reply, mut receiver) = Reply::write();
        let mut reference = String::new();
        for n in 0..100 {
            reply.push_text(&format!("{n} "));
            reference.push_str(&format!("{n} "));
        }
        reply.finish(Done::default());
        let mut text = String::new();
        let mut events = 0;
        while let Ok(event) = receiver.try_recv() {
            events += 1;
            match event.unwrap() {
                Event::Piece(piece) => text.push_str(&piece),
                Event::Done(_) => assert!(receiver.try_recv().is_err()),
            }
        }
        assert_eq!((text, events), (reference, EVENTS));
    }

    #[test]
    fn who_left_is_noticed() {
        let (reply, receiver) = Reply::write();
        assert!(!reply.is_abandoned());
        drop(receiver);
        assert!(reply.is_abandoned());
        reply.fail(busy());
    }
}
