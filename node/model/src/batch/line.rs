//! The way back to whoever asked. The model never waits for a reader.

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
use shoal_engine::{EngineError, Event};

/// Events that wait for a slow gateway; text beyond that gathers in one piece.
const EVENTS: usize = 32;

type Said = Result<Event, EngineError>;

/// Where the result of an ask goes.
#[derive(Debug)]
pub(super) enum Line {
    Write(Writing),
    Judge(oneshot::Sender<Result<Ballot, EngineError>>),
    Embed(oneshot::Sender<Result<Embedded, EngineError>>),
}

/// The channel of an answer. Places for its last text and its last word are kept from the start.
#[derive(Debug)]
pub(super) struct Writing {
    events: mpsc::Sender<Said>,
    last: Option<(OwnedPermit<Said>, OwnedPermit<Said>)>,
    unsaid: String,
}

impl Line {
    /// A line for an answer, and its other end.
    pub(super) fn write() -> (Self, mpsc::Receiver<Said>) {
        let (events, receiver) = mpsc::channel(EVENTS);
        let place = || events.clone().try_reserve_owned().ok();
        let last = place().zip(place());
        (Self::Write(Writing { events, last, unsaid: String::new() }), receiver)
    }

    /// Nobody waits any more.
    pub(super) fn is_gone(&self) -> bool {
        match self {
            Self::Write(line) => line.events.is_closed(),
            Self::Judge(line) => line.is_closed(),
            Self::Embed(line) => line.is_closed(),
        }
    }

    /// More of an answer.
    pub(super) fn tell(&mut self, text: &str) {
        let Self::Write(line) = self else { return };
        line.unsaid.push_str(text);
        if line.unsaid.is_empty() {
            return;
        }
        // Full: the text waits and goes with the next.
        if let Ok(place) = line.events.try_reserve() {
            place.send(Ok(Event::Piece(std::mem::take(&mut line.unsaid))));
        }
    }

    /// The end of an answer.
    pub(super) fn done(self, done: Done) {
        if let Self::Write(line) = self {
            line.end(Ok(Event::Done(done)));
        }
    }

    /// There is no result.
    pub(super) fn fail(self, error: EngineError) {
        // Sending fails only when nobody listens any more.
        match self {
            Self::Write(line) => line.end(Err(error)),
            Self::Judge(line) => drop(line.send(Err(error))),
            Self::Embed(line) => drop(line.send(Err(error))),
        }
    }
}

impl Writing {
    fn end(self, last: Said) {
        let Some((text, end)) = self.last else { return };
        if !self.unsaid.is_empty() {
            text.send(Ok(Event::Piece(self.unsaid)));
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
        let (mut line, mut receiver) = Line::write();
        let mut all = String::new();
        for n in 0..100 {
            line.tell(&format!("{n} "));
            all.push_str(&format!("{n} "));
        }
        line.done(Done::default());
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
        let (line, receiver) = Line::write();
        assert!(!line.is_gone());
        drop(receiver);
        assert!(line.is_gone());
        line.fail(busy());
    }
}
