//! The way back to the requester. The model never waits for a reader.

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

/// Events that wait for a slow gateway; text beyond that gathers in one piece.
const EVENTS: usize = 32;

type EventResult = Result<Event, EngineError>;

/// Where the result of a request goes.
#[derive(Debug)]
pub(super) enum Reply {
    Write(TextReply),
    Judge(oneshot::Sender<Result<Ballot, EngineError>>),
    Embed(oneshot::Sender<Result<Embedded, EngineError>>),
}

/// The channel of an answer. Places for its last text and its last word are kept from the start.
#[derive(Debug)]
pub(super) struct TextReply {
    events: mpsc::Sender<EventResult>,
    last: Option<(OwnedPermit<EventResult>, OwnedPermit<EventResult>)>,
    pending: String,
}

impl Reply {
    /// The reply of an answer, and its other end.
    pub(super) fn write() -> (Self, mpsc::Receiver<EventResult>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let place = || events.clone().try_reserve_owned().ok();
        let last = place().zip(place());
        (Self::Write(TextReply { events, last, pending: String::new() }), receiver)
    }

    /// Nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Write(reply) => reply.events.is_closed(),
            Self::Judge(reply) => reply.is_closed(),
            Self::Embed(reply) => reply.is_closed(),
        }
    }

    /// More of an answer.
    pub(super) fn tell(&mut self, text: &str) {
        let Self::Write(reply) = self else { return };
        reply.pending.push_str(text);
        if reply.pending.is_empty() {
            return;
        }
        // Full: the text waits and goes with the next.
        if let Ok(place) = reply.events.try_reserve() {
            place.send(Ok(Event::Piece(std::mem::take(&mut reply.pending))));
        }
    }

    /// The end of an answer.
    pub(super) fn done(self, done: Done) {
        if let Self::Write(reply) = self {
            reply.end(Ok(Event::Done(done)));
        }
    }

    /// There is no result.
    pub(super) fn fail(self, error: EngineError) {
        // Sending fails only when nobody listens any more.
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
        if !self.pending.is_empty() {
            text.send(Ok(Event::Piece(self.pending)));
        }
        end.send(last);
    }
}

/// As many asks are here as there is room for.
pub(super) fn busy() -> EngineError {
    EngineError::new(Fault::Busy, "the model's queue is full")
}

/// The model's code failed, not the ask.
pub(super) fn broken(why: &str) -> EngineError {
    EngineError::new(Fault::Engine, why)
}

impl From<Broken> for EngineError {
    fn from(_: Broken) -> Self {
        broken("the model's numbers are broken")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_slow_loses_nothing_and_holds_nobody_up() {
        let (mut reply, mut receiver) = Reply::write();
        let mut all = String::new();
        for n in 0..100 {
            reply.tell(&format!("{n} "));
            all.push_str(&format!("{n} "));
        }
        reply.done(Done::default());
        let mut text = String::new();
        let mut events = 0;
        while let Ok(event) = receiver.try_recv() {
            events += 1;
            match event.unwrap() {
                Event::Piece(piece) => text.push_str(&piece),
                Event::Done(_) => assert!(receiver.try_recv().is_err()),
            }
        }
        assert_eq!((text, events), (all, EVENTS));
    }

    #[test]
    fn who_left_is_noticed() {
        let (reply, receiver) = Reply::write();
        assert!(!reply.is_gone());
        drop(receiver);
        assert!(reply.is_gone());
        reply.fail(busy());
    }
}
