//! Requests under way: the parts of their results so far, and their reply channels.

use std::{collections::BTreeMap, mem};

use shoal_engine::EngineError;
use shoal_proto::{embed::Embedded, judge::Ballot};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    reply::{Reply, engine_fault},
    sequence::Part,
    write::count,
};

/// The requests under way, in the order of arrival.
#[derive(Debug, Default)]
pub(super) struct Requests {
    requests: BTreeMap<u64, Request>,
    next: u64,
}

#[derive(Debug)]
struct Request {
    reply: Reply,
    parts: Vec<Option<Part>>,
    read_tokens: usize,
    /// Tokens of its prompts read so far, plus the offset that it started with.
    read_so_far: u64,
    _place: OwnedSemaphorePermit,
}

impl Requests {
    /// Adds a request of `parts` parts that reads `read_tokens` tokens. It starts level with the request
    /// that was served least, so that neither waits for the other to catch up.
    pub(super) fn add(
        &mut self,
        reply: Reply,
        place: OwnedSemaphorePermit,
        parts: usize,
        read_tokens: usize,
    ) -> u64 {
        // 0 when there is no other request.
        let least = self.requests.values().map(|request| request.read_so_far).min();
        let read_so_far = least.unwrap_or(0);
        let key = self.next;
        self.next += 1;
        let parts = (0..parts).map(|_| None).collect();
        self.requests
            .insert(key, Request { reply, parts, read_tokens, read_so_far, _place: place });
        key
    }

    /// Tokens of prompts read for a request, 0 once it is gone.
    pub(super) fn usage(&self, key: u64) -> u64 {
        self.requests.get(&key).map_or(0, |request| request.read_so_far)
    }

    /// Counts tokens of prompts that a step read for a request.
    pub(super) fn serve(&mut self, key: u64, tokens: usize) {
        if let Some(request) = self.requests.get_mut(&key) {
            request.read_so_far += u64::try_from(tokens).unwrap_or(u64::MAX);
        }
    }

    /// Sends more text of an answer.
    pub(super) fn push_text(&mut self, key: u64, text: &str) {
        if let Some(request) = self.requests.get_mut(&key) {
            request.reply.push_text(text);
        }
    }

    /// Stores a part of the result; the last part completes the request.
    pub(super) fn finish_part(&mut self, key: u64, index: usize, part: Part) {
        let Some(request) = self.requests.get_mut(&key) else { return };
        if let Some(entry) = request.parts.get_mut(index) {
            *entry = Some(part);
        }
        if request.parts.iter().all(Option::is_some)
            && let Some(request) = self.requests.remove(&key)
        {
            request.finish();
        }
    }

    /// Ends a request with an error.
    pub(super) fn fail(&mut self, key: u64, error: EngineError) {
        if let Some(request) = self.requests.remove(&key) {
            request.reply.fail(error);
        }
    }

    /// Ends every request with an error.
    pub(super) fn fail_all(&mut self, error: &EngineError) {
        for request in mem::take(&mut self.requests).into_values() {
            request.reply.fail(error.clone());
        }
    }

    /// Removes the requests whose clients have left, and returns their keys.
    pub(super) fn remove_abandoned(&mut self) -> Vec<u64> {
        self.requests
            .extract_if(.., |_, request| request.reply.is_abandoned())
            .map(|(key, _)| key)
            .collect()
    }
}

impl Request {
    fn finish(self) {
        let prompt_tokens = count(self.read_tokens);
        let mut parts = self.parts.into_iter().flatten();
        match self.reply {
            reply @ Reply::Write(_) => match parts.next() {
                Some(Part::Done(end)) => reply.finish(*end),
                _ => reply.fail(engine_fault("an answer without an end")),
            },
            Reply::Judge(sender) => {
                let mut ballot = Ballot { prompt_tokens, ..Ballot::default() };
                for part in parts {
                    match part {
                        Part::Score(score) => ballot.scores.push(score),
                        Part::Verdict { first, critique_tokens } => {
                            ballot.verdicts.push(first);
                            ballot.completion_tokens += count(critique_tokens);
                        }
                        Part::Done(_) | Part::Vector(_) => {}
                    }
                }
                // Sending fails only when the client has left.
                drop(sender.send(Ok(ballot)));
            }
            Reply::Embed(sender) => {
                let vectors = parts
                    .filter_map(|part| match part {
                        Part::Vector(vector) => Some(vector),
                        Part::Done(_) | Part::Score(_) | Part::Verdict { .. } => None,
                    })
                    .collect();
                drop(sender.send(Ok(Embedded { vectors, prompt_tokens })));
            }
        }
    }
}
