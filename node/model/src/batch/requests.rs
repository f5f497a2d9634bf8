//! Requests under way: what each is still waiting for, and where its result goes.

use std::{collections::BTreeMap, mem};

use shoal_engine::EngineError;
use shoal_proto::{embed::Embedded, judge::Ballot};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    reply::{Reply, broken},
    sequence::Part,
    write::count,
};

/// By the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Requests {
    requests: BTreeMap<u64, Request>,
    next: u64,
}

#[derive(Debug)]
struct Request {
    reply: Reply,
    parts: Vec<Option<Part>>,
    read: usize,
    /// Tokens of its prompts that were read, and where it began among the others.
    served: u64,
    _place: OwnedSemaphorePermit,
}

impl Requests {
    /// A new request of so many parts, for which `read` tokens are to be read. It begins beside the
    /// one that was served least, so that neither waits for the other to catch up.
    pub(super) fn add(
        &mut self,
        reply: Reply,
        place: OwnedSemaphorePermit,
        parts: usize,
        read: usize,
    ) -> u64 {
        let served = self.requests.values().map(|request| request.served).min().unwrap_or(0);
        let key = self.next;
        self.next += 1;
        let parts = (0..parts).map(|_| None).collect();
        self.requests.insert(key, Request { reply, parts, read, served, _place: place });
        key
    }

    /// Tokens of prompts that were read for it.
    pub(super) fn served(&self, key: u64) -> u64 {
        self.requests.get(&key).map_or(0, |request| request.served)
    }

    pub(super) fn serve(&mut self, key: u64, tokens: usize) {
        if let Some(request) = self.requests.get_mut(&key) {
            request.served += u64::try_from(tokens).unwrap_or(0);
        }
    }

    /// More of an answer.
    pub(super) fn tell(&mut self, key: u64, text: &str) {
        if let Some(request) = self.requests.get_mut(&key) {
            request.reply.tell(text);
        }
    }

    /// A part is there; with the last one the request is over.
    pub(super) fn part(&mut self, key: u64, at: usize, part: Part) {
        let Some(request) = self.requests.get_mut(&key) else { return };
        if let Some(entry) = request.parts.get_mut(at) {
            *entry = Some(part);
        }
        if request.parts.iter().all(Option::is_some)
            && let Some(request) = self.requests.remove(&key)
        {
            request.finish();
        }
    }

    /// An request has no result.
    pub(super) fn fail(&mut self, key: u64, error: EngineError) {
        if let Some(request) = self.requests.remove(&key) {
            request.reply.fail(error);
        }
    }

    /// None of them has.
    pub(super) fn fail_all(&mut self, error: &EngineError) {
        for request in mem::take(&mut self.requests).into_values() {
            request.reply.fail(error.clone());
        }
    }

    /// Forgets those whose result nobody waits for any more.
    pub(super) fn gone(&mut self) -> Vec<u64> {
        let gone = |(key, request): (&u64, &Request)| request.reply.is_gone().then_some(*key);
        let gone: Vec<u64> = self.requests.iter().filter_map(gone).collect();
        self.requests.retain(|key, _| !gone.contains(key));
        gone
    }
}

impl Request {
    fn finish(self) {
        let prompt_tokens = count(self.read);
        let mut parts = self.parts.into_iter().flatten();
        match self.reply {
            reply @ Reply::Write(_) => match parts.next() {
                Some(Part::Done(done)) => reply.done(*done),
                _ => reply.fail(broken("an answer without an end")),
            },
            Reply::Judge(sender) => {
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
                drop(sender.send(Ok(ballot)));
            }
            Reply::Embed(sender) => {
                let vector =
                    |part| if let Part::Vector(vector) = part { Some(vector) } else { None };
                let vectors = parts.filter_map(vector).collect();
                drop(sender.send(Ok(Embedded { vectors, prompt_tokens })));
            }
        }
    }
}
