//! A chat completion as events.
//!
//! Every event is a chunk. The first chunk of each choice has the role, the last its reason to
//! finish; then come the usage, where the client wants it, and `[DONE]`.

use shoal_consensus::{
    Candidate, Outcome,
    outcome::{Progress, RoundId},
};
use shoal_proto::generate::Finish;

use super::wire::{
    CallDelta, Chunk, ChunkChoice, Delta, FunctionDelta, Head, Logprobs, ReplyOptions, fingerprint,
    logprob_pieces,
};
use crate::{
    Encoder, ErrorBody, Failure, Usage,
    sse::Events,
    text::{self, pieces},
};

/// Writes a chat completion.
#[derive(Debug)]
pub struct ChatEncoder {
    head: Head,
    options: ReplyOptions,
    choices: Vec<ChoiceState>,
    /// The model that was asked for, until the winner's is known.
    fingerprint: String,
    /// The head of the HTTP response carries the round's id.
    round_in_head: bool,
}

/// How much of one choice is written.
#[derive(Clone, Copy, Debug, Default)]
struct ChoiceState {
    /// The first chunk, with the role, is written.
    has_role: bool,
    /// Bytes of its text.
    bytes: usize,
}

impl ChatEncoder {
    /// An encoder for the answers to one request.
    pub fn new(head: Head, options: ReplyOptions) -> Self {
        let choices = vec![ChoiceState::default(); options.choices];
        let fingerprint = fingerprint(&head.model);
        Self { head, options, choices, fingerprint, round_in_head: false }
    }

    /// Writes the rest of one answer, and its end.
    fn rest(&mut self, choice: usize, candidate: &Candidate, events: &mut Events) {
        self.open(choice, events);
        let offset = self.choices.get(choice).map_or(0, |state| state.bytes);
        if candidate.finish == Finish::Refused {
            // Words that were sent as content come again: only here can a client see what they are.
            pieces(&candidate.text).for_each(|text| {
                self.delta(choice, Delta { refusal: Some(Some(text)), ..Delta::default() }, events);
            });
        } else if offset == 0 && self.options.logprobs && !candidate.tokens.is_empty() {
            for (text, tokens) in logprob_pieces(&candidate.text, &candidate.tokens) {
                let logprobs = (!tokens.is_empty()).then(|| Logprobs::new(tokens));
                self.piece(choice, text, logprobs, events);
            }
        } else {
            let rest = text::rest(&candidate.text, offset);
            pieces(rest).for_each(|text| self.piece(choice, text, None, events));
        }
        self.calls(choice, candidate, events);
        let finish_reason = Some(self.options.finish_reason(candidate));
        self.chunk(ChunkChoice { index: choice, finish_reason, ..ChunkChoice::default() }, events);
    }

    /// Writes each call: first its function's name, then its arguments in pieces.
    fn calls(&self, choice: usize, candidate: &Candidate, events: &mut Events) {
        for (index, call) in candidate.tool_calls.iter().enumerate() {
            if self.options.deprecated_calls {
                let name = FunctionDelta::name(call);
                self.delta(choice, Delta { function_call: Some(name), ..Delta::default() }, events);
                for text in pieces(&call.arguments) {
                    let function_call = Some(FunctionDelta::arguments(text));
                    self.delta(choice, Delta { function_call, ..Delta::default() }, events);
                }
                // The deprecated form has no index that would distinguish a second call.
                return;
            }
            let name = CallDelta::name(index, call);
            self.delta(choice, Delta { tool_calls: Some([name]), ..Delta::default() }, events);
            for text in pieces(&call.arguments) {
                let tool_calls = Some([CallDelta::arguments(index, text)]);
                self.delta(choice, Delta { tool_calls, ..Delta::default() }, events);
            }
        }
    }

    /// Writes the first chunk of a choice, which has the role, if it is not written yet.
    fn open(&mut self, choice: usize, events: &mut Events) {
        let Some(state) = self.choices.get_mut(choice) else { return };
        if !std::mem::replace(&mut state.has_role, true) {
            let (role, content) = (Some("assistant"), Some(""));
            let delta = Delta { role, content, refusal: Some(None), ..Delta::default() };
            self.delta(choice, delta, events);
        }
    }

    fn piece(&mut self, index: usize, text: &str, logprobs: Option<Logprobs>, events: &mut Events) {
        if text.is_empty() {
            return;
        }
        self.open(index, events);
        let delta = Delta { content: Some(text), ..Delta::default() };
        self.chunk(ChunkChoice { index, delta, logprobs, ..ChunkChoice::default() }, events);
    }

    fn delta(&self, index: usize, delta: Delta<'_>, events: &mut Events) {
        self.chunk(ChunkChoice { index, delta, ..ChunkChoice::default() }, events);
    }

    fn chunk(&self, choice: ChunkChoice<'_>, events: &mut Events) {
        let chunk = Chunk {
            head: &self.head,
            choices: vec![choice],
            system_fingerprint: &self.fingerprint,
            usage: self.options.include_usage.then_some(None),
        };
        events.push(None, &chunk);
    }
}

impl Encoder for ChatEncoder {
    fn start(&mut self, round: Option<&RoundId>, _: &mut Events) {
        self.round_in_head = round.is_some();
    }

    fn text(&mut self, choice: usize, text: &str, events: &mut Events) {
        if let Some(state) = self.choices.get_mut(choice) {
            state.bytes += text.len();
        }
        self.piece(choice, text, None, events);
    }

    fn wants_progress(&self) -> bool {
        self.options.progress
    }

    fn progress(&mut self, progress: Progress, events: &mut Events) {
        self.open(0, events);
        let text = progress_text(progress);
        let delta = Delta { reasoning_content: Some(&text), ..Delta::default() };
        self.delta(0, delta, events);
    }

    fn finish(&mut self, outcome: &Outcome, last: bool, events: &mut Events) -> Option<Usage> {
        let choices = outcome.choices(self.options.choices);
        self.fingerprint = fingerprint(&choices.first()?.model);
        if !self.round_in_head {
            events.comment(&format!("x-shoal-round: {}", outcome.round.0));
            if let Some(confidence) = outcome.confidence() {
                events.comment(&format!("x-shoal-confidence: {confidence:.3}"));
            }
        }
        for (choice, candidate) in choices.iter().enumerate() {
            self.rest(choice, candidate, events);
        }
        let usage = Usage::from_choices(&choices);
        if last {
            if self.options.include_usage {
                let chunk = Chunk {
                    head: &self.head,
                    choices: Vec::new(),
                    system_fingerprint: &self.fingerprint,
                    usage: Some(Some(usage)),
                };
                events.push(None, &chunk);
            }
            events.push_done();
        }
        Some(usage)
    }

    /// Writes no `[DONE]` after the error.
    fn fail(&mut self, failure: &Failure, events: &mut Events) {
        events.push(None, &ErrorBody::from(failure));
    }
}

/// How far a round is, for people.
fn progress_text(progress: Progress) -> String {
    match progress {
        Progress::Writing { finished: 0, asked: writers } => format!("Asking {writers} members.\n"),
        Progress::Writing { finished: answers, asked: writers } => {
            format!("{answers} of {writers} answered.\n")
        }
        Progress::Judging { heard: 0, .. } => "Judging.\n".to_owned(),
        Progress::Judging { heard: ballots, asked: judges } => {
            format!("{ballots} of {judges} judges have spoken.\n")
        }
    }
}
