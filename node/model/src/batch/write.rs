//! An answer as it is written: one token after the other, until the model, a stop text, its form
//! or a limit ends it.

use std::{fmt, mem};

use shoal_engine::EngineError;
use shoal_proto::{
    generate::{Done, Finish, TokenLogprob},
    tools::ToolCall,
};

use super::job::Answer;
use crate::{
    grammar::Constraint,
    pipeline::TextPipeline,
    sample::{Choice, Sampler},
    step::Broken,
    stop::Stops,
    tokenizer::{Decoder, TokenKind},
    tools::CallParser,
};

/// One answer.
pub(super) struct Writer<'w> {
    words: &'w TextPipeline,
    sampler: Sampler,
    constraint: Option<Constraint>,
    decoder: Decoder<'w>,
    stops: Stops,
    calls: Option<CallParser>,
    limit: usize,
    /// The likeliest tokens to report beside each one; `None`: report nothing.
    report: Option<usize>,
    /// Whether anybody could recompute its certainty.
    certain: bool,
    prompt: usize,
    /// All of its text, and how much of it is no call.
    text: String,
    told: usize,
    written: Vec<u32>,
    logprob: f64,
    tokens: Vec<TokenLogprob>,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let written = self.written.len();
        f.debug_struct("Writer").field("written", &written).finish_non_exhaustive()
    }
}

/// What a token did to the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Said {
    /// The text that is certain with it.
    pub(super) text: String,
    /// Why the answer is over.
    pub(super) end: Option<Finish>,
}

impl<'w> Writer<'w> {
    pub(super) fn new(words: &'w TextPipeline, answer: Answer, prompt: &[u32]) -> Self {
        let sampling = &answer.sampling;
        Self {
            words,
            sampler: Sampler::new(sampling, prompt),
            constraint: answer.constraint,
            decoder: words.tokenizer.decoder(),
            stops: Stops::new(&sampling.stop),
            calls: answer.calls,
            limit: answer.limit,
            report: sampling.logprobs.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            certain: answer.certain,
            prompt: prompt.len(),
            text: String::new(),
            told: 0,
            written: Vec::new(),
            logprob: 0.0,
            tokens: Vec::new(),
        }
    }

    /// Tokens that may still be written.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.written.len())
    }

    /// Chooses the next token from the logits after the last one.
    pub(super) fn take(&mut self, logits: &[f32], said: &mut Said) -> Result<u32, EngineError> {
        let choice = self.choose(logits)?;
        let token = choice.token;
        self.written.push(token);
        self.logprob += self.words.logprob(logits, &choice.normaliser, token)?;
        if self.words.tokenizer.is_end(token) {
            said.end = Some(Finish::Stop);
            return Ok(token);
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(token)?;
        }
        self.report(logits, &choice)?;
        let text = self.decoder.push(token);
        self.say(&text, said);
        let formed = self.constraint.as_ref().is_some_and(Constraint::is_done);
        let called = self.calls.as_ref().is_some_and(CallParser::is_over);
        if self.stops.hit() || formed || called {
            said.end = Some(Finish::Stop);
        } else if self.left() == 0 {
            said.end = Some(Finish::Length);
        }
        Ok(token)
    }

    /// Tokens that were written.
    pub(super) fn written(&self) -> usize {
        self.written.len()
    }

    /// Whether a stop text has ended it.
    pub(super) fn is_stopped(&self) -> bool {
        self.stops.hit()
    }

    fn choose(&mut self, logits: &[f32]) -> Result<Choice, EngineError> {
        let mask = self.constraint.as_mut().map(Constraint::mask).transpose()?.flatten();
        Ok(match mask {
            Some(mask) => self.sampler.choose(logits, Some(&mut |row| mask.apply(row)))?,
            None => self.sampler.choose(logits, None)?,
        })
    }

    fn report(&mut self, logits: &[f32], choice: &Choice) -> Result<(), Broken> {
        let Some(count) = self.report else { return Ok(()) };
        let tokenizer = &self.words.tokenizer;
        let named = |token: u32| -> Result<TokenLogprob, Broken> {
            let index = usize::try_from(token).map_err(|_| Broken)?;
            let logprob = choice.normaliser.logprob(logits, index)?;
            Ok(TokenLogprob { bytes: tokenizer.token_bytes(token), logprob, top: Vec::new() })
        };
        let likeliest = self.sampler.likeliest(logits, count);
        // A token that cannot be has no logarithm to report.
        let top = likeliest.iter().filter_map(|(token, _)| named(*token).ok()).collect();
        let mut chosen = TokenLogprob { top, ..named(choice.token)? };
        if tokenizer.kind(choice.token) != TokenKind::Text {
            // A mark is not in the text.
            chosen.bytes.clear();
        }
        self.tokens.push(chosen);
        Ok(())
    }

    /// More text. What may become a stop text is held back, and so is what may be a call.
    fn say(&mut self, text: &str, said: &mut Said) {
        let certain = self.stops.push(text);
        self.pass(certain, said);
    }

    fn pass(&mut self, certain: String, said: &mut Said) {
        self.text.push_str(&certain);
        let told = match &mut self.calls {
            Some(calls) => calls.push(&certain),
            None => certain,
        };
        self.told += told.len();
        said.text.push_str(&told);
    }

    /// The answer is over, for this reason. What was held back comes into `said`.
    pub(super) fn finish(mut self, finish: Finish, cached: usize, said: &mut Said) -> Done {
        let decoder = mem::replace(&mut self.decoder, self.words.tokenizer.decoder());
        self.say(&decoder.finish(), said);
        let stopped = self.stops.hit();
        let held = mem::replace(&mut self.stops, Stops::new(&[])).finish();
        self.pass(held, said);
        let calls = self.calls(said);
        let last = self.written.last();
        let ended = !stopped && last.is_some_and(|last| self.words.tokenizer.is_end(*last));
        // Of calls a judge reads another text than was written.
        let readable = ended && self.certain && calls.is_empty();
        let logprob = readable && self.words.reads_as(&self.text, &self.written);
        if stopped || !calls.is_empty() {
            cut(&mut self.tokens, self.told);
        }
        let finish = match finish {
            Finish::Stop if !calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        };
        Done {
            finish: finish.into(),
            prompt_tokens: count(self.prompt),
            completion_tokens: count(self.written.len()),
            logprob: logprob.then_some(self.logprob.min(0.0)),
            tool_calls: calls,
            tokens: self.tokens,
            cached_tokens: count(cached),
        }
    }

    /// The calls in the answer; what only looked like one is text.
    fn calls(&mut self, said: &mut Said) -> Vec<ToolCall> {
        let Some(calls) = self.calls.take() else { return Vec::new() };
        let (text, calls) = calls.finish();
        self.told += text.len();
        said.text.push_str(&text);
        calls
    }
}

/// Takes away what a stop text or a call took from the answer: the tokens' bytes are the text's.
fn cut(tokens: &mut Vec<TokenLogprob>, mut bytes: usize) {
    let mut kept = 0;
    for token in tokens.iter_mut() {
        if bytes == 0 {
            break;
        }
        token.bytes.truncate(bytes);
        bytes -= token.bytes.len();
        kept += 1;
    }
    tokens.truncate(kept);
}

/// For the wire.
pub(super) fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
