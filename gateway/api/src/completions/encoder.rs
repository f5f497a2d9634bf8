//! Completions as events: each chunk has the shape of a whole answer.

use shoal_consensus::{Candidate, Outcome, outcome::RoundId};

use super::{
    CompletionRequest,
    wire::{Choice, Completion, Head, rest},
};
use crate::{Encoder, ErrorBody, Failure, Usage, chat::wire::fingerprint, sse::Events};

/// Writes the completions of one request's prompts, one prompt after the other.
#[derive(Debug)]
pub struct CompletionEncoder {
    head: Head,
    request: CompletionRequest,
    /// Index of the prompt whose answers are written.
    prompt: usize,
    /// Bytes that are written of each answer to this prompt.
    bytes: Vec<usize>,
    usage: Usage,
    fingerprint: String,
}

impl CompletionEncoder {
    /// An encoder for the answers to one request.
    pub fn new(head: Head, request: CompletionRequest) -> Self {
        let bytes = vec![0; request.chat.ask.choices];
        let fingerprint = fingerprint(&head.model);
        Self { head, request, prompt: 0, bytes, usage: Usage::default(), fingerprint }
    }

    fn index(&self, choice: usize) -> usize {
        self.prompt * self.request.chat.ask.choices + choice
    }

    fn chunk(&self, choice: Choice, events: &mut Events) {
        let usage = self.request.chat.include_usage.then_some(None);
        events.push(None, &Completion::new(&self.head, vec![choice], &self.fingerprint, usage));
    }

    /// Writes the prompt before the first piece of an answer, where the client wants it.
    fn echo(&self, choice: usize, events: &mut Events) {
        if !self.request.echo || self.bytes.get(choice).is_none_or(|bytes| *bytes > 0) {
            return;
        }
        let prompt = self.request.prompts.get(self.prompt);
        if let Some(prompt) = prompt.filter(|prompt| !prompt.text.is_empty()) {
            self.chunk(Choice::piece(self.index(choice), &prompt.text, None), events);
        }
    }

    /// Writes the rest of one answer, and its end.
    fn rest(&self, choice: usize, candidate: &Candidate, events: &mut Events) {
        self.echo(choice, events);
        let offset = self.bytes.get(choice).copied().unwrap_or(0);
        let index = self.index(choice);
        for (text, logprobs) in rest(candidate, offset, self.request.logprobs.is_some()) {
            self.chunk(Choice::piece(index, text, logprobs), events);
        }
        self.chunk(Choice::end(index, candidate), events);
    }
}

impl Encoder for CompletionEncoder {
    fn start(&mut self, _: Option<&RoundId>, _: &mut Events) {}

    fn text(&mut self, choice: usize, text: &str, events: &mut Events) {
        if self.request.silent {
            return;
        }
        self.echo(choice, events);
        self.chunk(Choice::piece(self.index(choice), text, None), events);
        if let Some(bytes) = self.bytes.get_mut(choice) {
            *bytes += text.len();
        }
    }

    fn finish(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage> {
        let choices = self.request.choices(outcome);
        self.fingerprint = fingerprint(&choices.first()?.model);
        for (choice, candidate) in choices.iter().enumerate() {
            self.rest(choice, candidate, events);
        }
        let usage = Usage::from_choices(&choices);
        self.usage.add(&usage);
        self.prompt += 1;
        self.bytes.fill(0);
        if last {
            if self.request.chat.include_usage {
                let usage = Some(Some(self.usage));
                let chunk = Completion::new(&self.head, Vec::new(), &self.fingerprint, usage);
                events.push(None, &chunk);
            }
            events.push_done();
        }
        Some(usage)
    }

    fn fail(&mut self, failure: &Failure, events: &mut Events) {
        events.push(None, &ErrorBody::from(failure));
    }
}
