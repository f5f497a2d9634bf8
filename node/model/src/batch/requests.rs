//! Requests under way: the parts of their results so far, and their reply channels.

use std::{collections::BTreeMap, mem};

use shoal_engine::EngineError;
use shoal_proto::{embed::Embedded, generate::Done, judge::Ballot};
use tokio::sync::OwnedSemaphorePermit;

use super::{reply::Reply, sequence::Part, write::count};
use crate::step::Broken;

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
        // A request that has failed or was abandoned is gone, and wants no more parts.
        let Some(request) = self.requests.get_mut(&key) else { return };
        let Some(entry) = request.parts.get_mut(index) else {
            return self.fail(key, Broken.into());
        };
        *entry = Some(part);
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
        let parts = self.parts.into_iter().flatten();
        match self.reply {
            reply @ Reply::Write(_) => match end(parts) {
                Ok(end) => reply.finish(end),
                Err(error) => reply.fail(error.into()),
            },
            // Sending fails only when the client has left.
            Reply::Judge(sender) => {
                drop(sender.send(ballot(parts, prompt_tokens).map_err(Into::into)));
            }
            Reply::Embed(sender) => {
                drop(sender.send(vectors(parts, prompt_tokens).map_err(Into::into)));
            }
        }
    }
}

/// The end of an answer, which is its only part.
fn end(mut parts: impl Iterator<Item = Part>) -> Result<Done, Broken> {
    match (parts.next(), parts.next()) {
        (Some(Part::Done(end)), None) => Ok(*end),
        _ => Err(Broken),
    }
}

fn ballot(parts: impl Iterator<Item = Part>, prompt_tokens: u32) -> Result<Ballot, Broken> {
    let mut ballot = Ballot { prompt_tokens, ..Ballot::default() };
    for part in parts {
        match part {
            Part::Score(score) => ballot.scores.push(score),
            Part::Verdict { first, critique_tokens } => {
                ballot.verdicts.push(first);
                ballot.completion_tokens += count(critique_tokens);
            }
            Part::Done(_) | Part::Vector(_) => return Err(Broken),
        }
    }
    Ok(ballot)
}

fn vectors(parts: impl Iterator<Item = Part>, prompt_tokens: u32) -> Result<Embedded, Broken> {
    let vectors = parts.map(|part| match part {
        Part::Vector(vector) => Ok(vector),
        Part::Done(_) | Part::Score(_) | Part::Verdict { .. } => Err(Broken),
    });
    Ok(Embedded { vectors: vectors.collect::<Result<_, _>>()?, prompt_tokens })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use shoal_proto::{generate::Fault, judge::Score};
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    /// What a judge of two candidates gets when its parts are these.
    fn ballot_of(parts: [(usize, Part); 2]) -> Result<Ballot, EngineError> {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let (sender, mut ballot) = oneshot::channel();
        let mut requests = Requests::default();
        let key = requests.add(Reply::Judge(sender), place, 2, 7);
        parts.into_iter().for_each(|(index, part)| requests.finish_part(key, index, part));
        ballot.try_recv().unwrap()
    }

    #[test]
    fn a_ballot_has_all_of_its_parts_or_is_an_error() {
        let score = || Part::Score(Score { logprob: -1.0, tokens: 3 });
        let ballot = ballot_of([(1, score()), (0, score())]).unwrap();
        assert_eq!((ballot.scores.len(), ballot.prompt_tokens), (2, 7));
        let end = || Part::Done(Box::default());
        for parts in [[(0, score()), (1, end())], [(0, score()), (2, score())]] {
            assert_eq!(ballot_of(parts).unwrap_err().fault, Fault::Engine);
        }
    }
}
