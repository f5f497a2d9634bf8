//! An answer as server-sent events.
//!
//! Each event is one line of JSON after `data: `, then an empty line; comments keep the connection
//! alive while the round runs; `[DONE]` is last, and the body ends right after it. A failure after
//! the first byte is an event too: a stream that just stops looks like a short answer to SDKs.

use std::{collections::VecDeque, convert::Infallible};

use bytes::Bytes;
use futures_util::{Stream, stream};
use serde::Serialize;

use super::{
    error::ApiError,
    meter::Meter,
    running::{Running, Said},
};
use crate::export::Agreed;
use shoal_api::chat::wire::{
    CallDelta, Chunk, ChunkChoice, Delta, FunctionDelta, Head, Logprobs, Manner, Usage,
    fingerprint, logprob_pieces,
};
use shoal_api::text::pieces;
use shoal_consensus::{
    Candidate, Outcome,
    outcome::{Progress, RoundUpdate},
};

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// What a streamed answer is told with.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) head: Head,
    pub(super) manner: Manner,
    pub(super) include_usage: bool,
    pub(super) patience: std::time::Duration,
    pub(super) meter: Meter,
    pub(super) kept: actix_web::web::Data<super::App>,
    /// The round is to be kept for training too.
    pub(super) agreed: Option<Agreed>,
}

/// The body of the answer; `first` was waited for before the head of the response was sent.
/// Dropping it stops the round.
pub(super) fn body(
    telling: Telling,
    running: Running,
    first: Said,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let told = vec![Told::default(); telling.manner.choices];
    let mut teller = Teller {
        running: Some(running),
        telling: Some(telling),
        queue: VecDeque::new(),
        told,
        named: matches!(first, Said::End(Ok(_))),
    };
    teller.hear(first);
    stream::unfold(teller, |mut teller| async {
        let bytes = teller.next().await?;
        Some((Ok(bytes), teller))
    })
}

/// What was told of one answer.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    /// The first chunk, with the role.
    opened: bool,
    /// Bytes of its text.
    bytes: usize,
}

struct Teller {
    /// Until its end was heard.
    running: Option<Running>,
    /// Until the end was told.
    telling: Option<Telling>,
    /// Events that wait to be sent.
    queue: VecDeque<Bytes>,
    /// By answer.
    told: Vec<Told>,
    /// The round's id is in the response's head.
    named: bool,
}

impl Teller {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.queue.pop_front() {
                return Some(bytes);
            }
            let (running, telling) = (self.running.as_mut()?, self.telling.as_ref()?);
            let said = running.next(telling.patience).await;
            self.hear(said);
        }
    }

    fn hear(&mut self, said: Said) {
        let backend = || {
            let model = self.telling.as_ref().map(|telling| telling.head.model.as_str());
            fingerprint(model.unwrap_or_default())
        };
        match said {
            Said::Nothing => self.queue.push_back(KEEP_ALIVE),
            Said::RoundUpdate(RoundUpdate::Piece { choice, text }) => {
                let backend = backend();
                if let Some(told) = self.told.get_mut(choice) {
                    told.bytes += text.len();
                }
                self.piece(choice, &text, None, &backend);
            }
            Said::RoundUpdate(RoundUpdate::Progress(progress)) => {
                let backend = backend();
                self.open(0, &backend);
                let text = words(progress);
                let delta = Delta { reasoning_content: Some(&text), ..Delta::default() };
                self.delta(0, delta, &backend);
            }
            Said::End(end) => {
                self.running = None;
                match end {
                    Ok(outcome) => self.finish(&outcome),
                    Err(error) => self.fail(&error),
                }
            }
        }
    }

    /// What the answers have beyond what was told, their ends, the usage, `[DONE]`.
    fn finish(&mut self, outcome: &Outcome) {
        let Some(manner) = self.telling.as_ref().map(|telling| telling.manner) else { return };
        let choices = outcome.choices(manner.choices);
        let Some(winner) = choices.first() else { return self.fail(&ApiError::Internal) };
        let backend = fingerprint(&winner.model);
        if !self.named {
            // The head of the response went out before the round had a result to name.
            self.queue.push_back(Bytes::from(format!(": x-shoal-round: {}\n\n", outcome.round.0)));
        }
        for (choice, candidate) in choices.iter().enumerate() {
            self.whole(choice, candidate, manner, &backend);
        }
        let Some(telling) = self.telling.take() else { return };
        let usage = Usage::over(&choices);
        if telling.include_usage {
            let chunk = Chunk {
                head: &telling.head,
                choices: Vec::new(),
                system_fingerprint: &backend,
                usage: Some(Some(usage)),
            };
            self.queue.push_back(event(&chunk));
        }
        self.queue.push_back(DONE);
        telling.kept.transcripts.keep(&telling.head.model, outcome);
        if let Some(agreed) = telling.agreed {
            agreed.keep(&telling.head.model, outcome);
        }
        telling.meter.succeeds(&usage);
    }

    /// The rest of one answer, and its end.
    fn whole(&mut self, choice: usize, candidate: &Candidate, manner: Manner, backend: &str) {
        self.open(choice, backend);
        let told = self.told.get(choice).map_or(0, |told| told.bytes);
        if told == 0 && manner.logprobs && !candidate.tokens.is_empty() {
            for (text, tokens) in logprob_pieces(&candidate.text, &candidate.tokens) {
                let logprobs = (!tokens.is_empty()).then(|| Logprobs::of(tokens));
                self.piece(choice, text, logprobs, backend);
            }
        } else {
            let rest = candidate.text.get(told..).unwrap_or_default();
            pieces(rest).for_each(|text| self.piece(choice, text, None, backend));
        }
        self.calls(choice, candidate, manner, backend);
        let finish_reason = Some(manner.finish_reason(candidate));
        self.chunk(ChunkChoice { index: choice, finish_reason, ..ChunkChoice::default() }, backend);
    }

    /// Each call: who is called, then its arguments bit by bit.
    fn calls(&mut self, choice: usize, candidate: &Candidate, manner: Manner, backend: &str) {
        for (at, call) in candidate.tool_calls.iter().enumerate() {
            let named = if manner.deprecated_calls {
                let function_call = Some(FunctionDelta::named(call));
                Delta { function_call, ..Delta::default() }
            } else {
                Delta { tool_calls: Some([CallDelta::named(at, call)]), ..Delta::default() }
            };
            self.news(choice, named, backend);
            for text in pieces(&call.arguments) {
                let more = if manner.deprecated_calls {
                    let function_call = Some(FunctionDelta::piece(text));
                    Delta { function_call, ..Delta::default() }
                } else {
                    Delta { tool_calls: Some([CallDelta::piece(at, text)]), ..Delta::default() }
                };
                self.news(choice, more, backend);
            }
            if manner.deprecated_calls {
                // There is no index to tell a second one from the first.
                break;
            }
        }
    }

    /// The error as the last event, and no `[DONE]`.
    fn fail(&mut self, error: &ApiError) {
        self.queue.push_back(event(&error.body()));
        if let Some(telling) = self.telling.take() {
            telling.meter.fails(error.label());
        }
    }

    /// The first chunk of an answer, with the role. Only once.
    fn open(&mut self, choice: usize, backend: &str) {
        let Some(told) = self.told.get_mut(choice) else { return };
        if !std::mem::replace(&mut told.opened, true) {
            let (role, content) = (Some("assistant"), Some(""));
            let delta = Delta { role, content, refusal: Some(None), ..Delta::default() };
            self.delta(choice, delta, backend);
        }
    }

    fn piece(&mut self, index: usize, text: &str, logprobs: Option<Logprobs>, backend: &str) {
        if text.is_empty() {
            return;
        }
        self.open(index, backend);
        self.meter();
        let delta = Delta { content: Some(text), ..Delta::default() };
        self.chunk(ChunkChoice { index, delta, logprobs, ..ChunkChoice::default() }, backend);
    }

    /// Something of the answer itself that is no text.
    fn news(&mut self, choice: usize, delta: Delta<'_>, backend: &str) {
        self.meter();
        self.delta(choice, delta, backend);
    }

    fn meter(&mut self) {
        if let Some(telling) = &mut self.telling {
            telling.meter.piece();
        }
    }

    fn delta(&mut self, index: usize, delta: Delta<'_>, backend: &str) {
        self.chunk(ChunkChoice { index, delta, ..ChunkChoice::default() }, backend);
    }

    fn chunk(&mut self, choice: ChunkChoice<'_>, backend: &str) {
        let Some(telling) = &self.telling else { return };
        let chunk = Chunk {
            head: &telling.head,
            choices: vec![choice],
            system_fingerprint: backend,
            usage: telling.include_usage.then_some(None),
        };
        self.queue.push_back(event(&chunk));
    }
}

/// How far a round is, for people.
fn words(progress: Progress) -> String {
    match progress {
        Progress::Writing { finished: 0, asked } => format!("Asking {asked} members.\n"),
        Progress::Writing { finished, asked } => format!("{finished} of {asked} answered.\n"),
        Progress::Judging { heard: 0, .. } => "Judging.\n".to_owned(),
        Progress::Judging { heard, asked } => format!("{heard} of {asked} judges have spoken.\n"),
    }
}

/// One event: JSON has no line breaks of its own.
fn event(body: &impl Serialize) -> Bytes {
    match serde_json::to_string(body) {
        Ok(json) => Bytes::from(format!("data: {json}\n\n")),
        // Our own structs have string keys only, so this cannot be; an empty comment harms nobody.
        Err(_) => KEEP_ALIVE,
    }
}
