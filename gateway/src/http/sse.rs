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
    openai::{Chunk, ChunkChoice, Delta, Head, Usage, fingerprint, finish_reason},
    running::{Running, Said},
};
use crate::{ask::Outcome, export::Agreed};

const KEEP_ALIVE: Bytes = Bytes::from_static(b": keep-alive\n\n");
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

/// Most characters of a finished text in one event: about what a model makes at a time, so that
/// apps show it growing, and few enough events for a long answer.
const PIECE_CHARS: usize = 24;

/// What a streamed answer is told with.
#[derive(Debug)]
pub(super) struct Telling {
    pub(super) head: Head,
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
    let mut teller = Teller {
        running: Some(running),
        telling: Some(telling),
        queue: VecDeque::new(),
        sent: 0,
        opened: false,
        named: matches!(first, Said::End(Ok(_))),
    };
    teller.hear(first);
    stream::unfold(teller, |mut teller| async {
        let bytes = teller.next().await?;
        Some((Ok(bytes), teller))
    })
}

struct Teller {
    /// Until its end was heard.
    running: Option<Running>,
    /// Until the end was told.
    telling: Option<Telling>,
    /// Events that wait to be sent.
    queue: VecDeque<Bytes>,
    /// Bytes of the answer's text told so far.
    sent: usize,
    /// The first chunk, with the role, was told.
    opened: bool,
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
        match said {
            Said::Nothing => self.queue.push_back(KEEP_ALIVE),
            Said::Piece(text) => {
                self.sent += text.len();
                let writer = self.telling.as_ref().map(|telling| telling.head.model.clone());
                self.piece(&text, &fingerprint(&writer.unwrap_or_default()));
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

    /// What the winner's text has beyond what was told, the end, the usage, `[DONE]`.
    fn finish(&mut self, outcome: &Outcome) {
        let Some(winner) = outcome.winner() else { return self.fail(&ApiError::Internal) };
        let backend = fingerprint(&winner.model);
        if !self.named {
            // The head of the response went out before the round had a result to name.
            self.queue.push_back(Bytes::from(format!(": x-shoal-round: {}\n\n", outcome.round.0)));
        }
        let rest = winner.text.get(self.sent..).unwrap_or_default();
        self.open(&backend);
        pieces(rest).for_each(|text| self.piece(text, &backend));
        let reason = Some(finish_reason(winner.finish));
        self.chunk(Delta::default(), reason, &backend);
        let Some(telling) = self.telling.take() else { return };
        let usage = Usage::of(winner);
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

    /// The error as the last event, and no `[DONE]`.
    fn fail(&mut self, error: &ApiError) {
        self.queue.push_back(event(&error.body()));
        if let Some(telling) = self.telling.take() {
            telling.meter.fails(error.label());
        }
    }

    /// The first chunk, with the role. Only once.
    fn open(&mut self, backend: &str) {
        if !std::mem::replace(&mut self.opened, true) {
            let delta = Delta { role: Some("assistant"), content: Some(""), refusal: Some(None) };
            self.chunk(delta, None, backend);
        }
    }

    fn piece(&mut self, text: &str, backend: &str) {
        if text.is_empty() {
            return;
        }
        self.open(backend);
        if let Some(telling) = &mut self.telling {
            telling.meter.piece();
        }
        self.chunk(Delta { content: Some(text), ..Delta::default() }, None, backend);
    }

    fn chunk(&mut self, delta: Delta<'_>, finish_reason: Option<&'static str>, backend: &str) {
        let Some(telling) = &self.telling else { return };
        let chunk = Chunk {
            head: &telling.head,
            choices: vec![ChunkChoice { index: 0, delta, logprobs: None, finish_reason }],
            system_fingerprint: backend,
            usage: telling.include_usage.then_some(None),
        };
        self.queue.push_back(event(&chunk));
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

/// Cuts a finished text into pieces of at most [`PIECE_CHARS`] characters that end after a space
/// where there is one. Joined, they are the text.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = rest.char_indices().nth(PIECE_CHARS).map_or(rest.len(), |(at, _)| at);
        let (window_text, _) = rest.split_at(window);
        let end = if window == rest.len() {
            window
        } else {
            window_text.rfind(' ').map_or(window, |space| space + 1)
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn pieces_of_a_text_are_the_text_and_never_empty(text in "(\\PC| ){0,200}") {
            let cut = pieces(&text).collect::<Vec<_>>();
            prop_assert_eq!(cut.concat(), text.as_str());
            prop_assert!(cut.iter().all(|piece| !piece.is_empty() && piece.chars().count() <= PIECE_CHARS));
        }
    }

    #[test]
    fn pieces_end_between_words() {
        let cut = pieces("The sum of the two numbers is 432.").collect::<Vec<_>>();
        assert_eq!(cut, ["The sum of the two ", "numbers is 432."]);
    }
}
