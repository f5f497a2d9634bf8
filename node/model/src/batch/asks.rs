//! Asks under way: what each is still waiting for, and where its result goes.

use std::{collections::BTreeMap, mem};

use shoal_proto::{embed::Embedded, judge::Ballot};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    line::{Line, broken},
    sequence::Part,
    write::count,
};
use shoal_engine::EngineError;

/// By the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Asks {
    asks: BTreeMap<u64, Ask>,
    next: u64,
}

#[derive(Debug)]
struct Ask {
    line: Line,
    parts: Vec<Option<Part>>,
    read: usize,
    /// Tokens of its prompts that were read, and where it began among the others.
    served: u64,
    _place: OwnedSemaphorePermit,
}

impl Asks {
    /// A new ask of so many parts, for which `read` tokens are to be read. It begins beside the
    /// one that was served least, so that neither waits for the other to catch up.
    pub(super) fn add(
        &mut self,
        line: Line,
        place: OwnedSemaphorePermit,
        parts: usize,
        read: usize,
    ) -> u64 {
        let served = self.asks.values().map(|ask| ask.served).min().unwrap_or(0);
        let key = self.next;
        self.next += 1;
        let parts = (0..parts).map(|_| None).collect();
        self.asks.insert(key, Ask { line, parts, read, served, _place: place });
        key
    }

    /// Tokens of prompts that were read for it.
    pub(super) fn served(&self, key: u64) -> u64 {
        self.asks.get(&key).map_or(0, |ask| ask.served)
    }

    pub(super) fn serve(&mut self, key: u64, tokens: usize) {
        if let Some(ask) = self.asks.get_mut(&key) {
            ask.served += u64::try_from(tokens).unwrap_or(0);
        }
    }

    /// More of an answer.
    pub(super) fn tell(&mut self, key: u64, text: &str) {
        if let Some(ask) = self.asks.get_mut(&key) {
            ask.line.tell(text);
        }
    }

    /// A part is there; with the last one the ask is over.
    pub(super) fn part(&mut self, key: u64, at: usize, part: Part) {
        let Some(ask) = self.asks.get_mut(&key) else { return };
        if let Some(entry) = ask.parts.get_mut(at) {
            *entry = Some(part);
        }
        if ask.parts.iter().all(Option::is_some)
            && let Some(ask) = self.asks.remove(&key)
        {
            ask.finish();
        }
    }

    /// An ask has no result.
    pub(super) fn fail(&mut self, key: u64, error: EngineError) {
        if let Some(ask) = self.asks.remove(&key) {
            ask.line.fail(error);
        }
    }

    /// None of them has.
    pub(super) fn fail_all(&mut self, error: &EngineError) {
        for ask in mem::take(&mut self.asks).into_values() {
            ask.line.fail(error.clone());
        }
    }

    /// Forgets those whose result nobody waits for any more.
    pub(super) fn gone(&mut self) -> Vec<u64> {
        let gone = |(key, ask): (&u64, &Ask)| ask.line.is_gone().then_some(*key);
        let gone: Vec<u64> = self.asks.iter().filter_map(gone).collect();
        self.asks.retain(|key, _| !gone.contains(key));
        gone
    }
}

impl Ask {
    fn finish(self) {
        let prompt_tokens = count(self.read);
        let mut parts = self.parts.into_iter().flatten();
        match self.line {
            line @ Line::Write(_) => match parts.next() {
                Some(Part::Done(done)) => line.done(*done),
                _ => line.fail(broken("an answer without an end")),
            },
            Line::Judge(reply) => {
                let mut ballot = Ballot { prompt_tokens, ..Ballot::default() };
                for part in parts {
                    match part {
                        Part::Score(score) => ballot.scores.push(score),
                        Part::Verdict { first, written } => {
                            ballot.verdicts.push(first);
                            ballot.completion_tokens += count(written);
                        }
                        Part::Done(_) | Part::Vector(_) => {}
                    }
                }
                // Fails only when nobody listens any more.
                drop(reply.send(Ok(ballot)));
            }
            Line::Embed(reply) => {
                let vector =
                    |part| if let Part::Vector(vector) = part { Some(vector) } else { None };
                let vectors = parts.filter_map(vector).collect();
                drop(reply.send(Ok(Embedded { vectors, prompt_tokens })));
            }
        }
    }
}
