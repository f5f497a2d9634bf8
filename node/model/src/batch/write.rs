//! Writes one answer token by token, until the model, a stop text, the required format or a limit
//! ends it. A model may abstain with its first token.

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
    pipeline: &'w TextPipeline,
    sampler: Sampler,
    constraint: Option<Constraint>,
    decoder: Decoder<'w>,
    stops: Stops,
    calls: Option<CallParser>,
    limit: usize,
    /// How many of the likeliest tokens to report beside each token; `None`: report nothing.
    report: Option<usize>,
    /// Whether an auditor can recompute the likelihood.
    is_certain: bool,
    may_abstain: bool,
    prompt: usize,
    /// The whole text, and the bytes of it that are no call.
    text: String,
    sent_bytes: usize,
    answer_tokens: Vec<u32>,
    logprob: f64,
    reports: Vec<TokenLogprob>,
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer_tokens = self.answer_tokens.len();
        f.debug_struct("Writer").field("written", &answer_tokens).finish_non_exhaustive()
    }
}

/// What a token adds to the answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Delta {
    /// The text that can no longer become a stop text or a call.
    pub(super) text: String,
    /// Why the answer is over.
    pub(super) end: Option<Finish>,
}

impl<'w> Writer<'w> {
    pub(super) fn new(pipeline: &'w TextPipeline, answer: Answer, prompt: &[u32]) -> Self {
        let sampling = &answer.sampling;
        Self {
            pipeline,
            sampler: Sampler::new(sampling, prompt),
            constraint: answer.constraint,
            decoder: pipeline.tokenizer.decoder(),
            stops: Stops::new(&sampling.stop),
            calls: answer.calls,
            limit: answer.limit,
            report: sampling.logprobs.map(|top| usize::try_from(top).unwrap_or(usize::MAX)),
            is_certain: answer.certain,
            may_abstain: answer.may_abstain,
            prompt: prompt.len(),
            text: String::new(),
            sent_bytes: 0,
            answer_tokens: Vec::new(),
            logprob: 0.0,
            reports: Vec::new(),
        }
    }

    /// Tokens that may still be written.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.answer_tokens.len())
    }

    /// Chooses the next token from the logits after the last one.
    pub(super) fn take(&mut self, logits: &[f32], delta: &mut Delta) -> Result<u32, EngineError> {
        let choice = self.choose(logits)?;
        let token = choice.token;
        self.answer_tokens.push(token);
        self.logprob += self.pipeline.logprob(logits, &choice.normaliser, token)?;
        if self.pipeline.tokenizer.abstention() == Some(token) {
            delta.end = Some(Finish::Abstained);
            return Ok(token);
        }
        if self.pipeline.tokenizer.is_end(token) {
            delta.end = Some(Finish::Stop);
            return Ok(token);
        }
        if let Some(constraint) = &mut self.constraint {
            constraint.accept(token)?;
        }
        self.report(logits, &choice)?;
        let text = self.decoder.push(token)?;
        self.push_text(&text, delta);
        let has_format = self.constraint.as_ref().is_some_and(Constraint::is_done);
        let has_calls = self.calls.as_ref().is_some_and(CallParser::is_over);
        if self.stops.hit() || has_format || has_calls {
            delta.end = Some(Finish::Stop);
        } else if self.room() == 0 {
            delta.end = Some(Finish::Length);
        }
        Ok(token)
    }

    /// Tokens that were written.
    pub(super) fn token_count(&self) -> usize {
        self.answer_tokens.len()
    }

    /// Whether a stop text has ended it.
    pub(super) fn is_stopped(&self) -> bool {
        self.stops.hit()
    }

    fn choose(&mut self, logits: &[f32]) -> Result<Choice, EngineError> {
        let mask = self.constraint.as_mut().map(Constraint::mask).transpose()?.flatten();
        // Only a whole answer can be an abstention.
        let allowed = self.may_abstain && self.answer_tokens.is_empty();
        let banned = self.pipeline.tokenizer.abstention().filter(|_| !allowed);
        if mask.is_none() && banned.is_none() {
            return Ok(self.sampler.choose(logits, None)?);
        }
        let mut forbid = |row: &mut [f32]| {
            if let Some(mask) = &mask {
                mask.apply(row);
            }
            // The tokenizer accepts an abstention only within the model's table, so the row has it.
            let index = banned.and_then(|token| usize::try_from(token).ok());
            if let Some(logit) = index.and_then(|index| row.get_mut(index)) {
                *logit = f32::NEG_INFINITY;
            }
        };
        Ok(self.sampler.choose(logits, Some(&mut forbid))?)
    }

    fn report(&mut self, logits: &[f32], choice: &Choice) -> Result<(), Broken> {
        let Some(count) = self.report else { return Ok(()) };
        let tokenizer = &self.pipeline.tokenizer;
        let describe = |token: u32| -> Result<TokenLogprob, Broken> {
            let index = usize::try_from(token).map_err(|_| Broken)?;
            let logprob = choice.normaliser.logprob(logits, index)?;
            Ok(TokenLogprob { bytes: tokenizer.token_bytes(token), logprob, top: Vec::new() })
        };
        let likeliest = self.sampler.likeliest(logits, count).iter();
        // A token of probability zero has no logarithm and is not reported.
        let top = likeliest
            .filter(|(_, logit)| *logit > f32::NEG_INFINITY)
            .map(|(token, _)| describe(*token))
            .collect::<Result<_, _>>()?;
        let mut report = TokenLogprob { top, ..describe(choice.token)? };
        if tokenizer.kind(choice.token) != TokenKind::Text {
            // Control tokens are not in the text.
            report.bytes.clear();
        }
        self.reports.push(report);
        Ok(())
    }

    /// Adds text. Holds back what may become a stop text or a call.
    fn push_text(&mut self, text: &str, delta: &mut Delta) {
        let text = self.stops.push(text);
        self.push_calls(text, delta);
    }

    fn push_calls(&mut self, text: String, delta: &mut Delta) {
        self.text.push_str(&text);
        let visible = match &mut self.calls {
            Some(calls) => calls.push(&text),
            None => text,
        };
        self.sent_bytes += visible.len();
        delta.text.push_str(&visible);
    }

    /// Ends the answer for the reason `finish`. Text that was held back goes into `delta`.
    pub(super) fn finish(
        mut self,
        finish: Finish,
        cached_tokens: usize,
        delta: &mut Delta,
    ) -> Result<Done, Broken> {
        let decoder = mem::replace(&mut self.decoder, self.pipeline.tokenizer.decoder());
        self.push_text(&decoder.finish()?, delta);
        let is_stopped = self.stops.hit();
        let rest = mem::replace(&mut self.stops, Stops::new(&[])).finish();
        self.push_calls(rest, delta);
        let calls = self.calls(delta);
        let last = self.answer_tokens.last();
        let is_ended =
            !is_stopped && last.is_some_and(|last| self.pipeline.tokenizer.is_end(*last));
        // A judge reads calls as another text than the model wrote.
        let readable = is_ended && self.is_certain && calls.is_empty();
        let logprob = readable && self.pipeline.reads_as(&self.text, &self.answer_tokens);
        if is_stopped || !calls.is_empty() {
            cut(&mut self.reports, self.sent_bytes);
        }
        let finish = match finish {
            Finish::Stop if !calls.is_empty() => Finish::ToolCalls,
            finish => finish,
        };
        Ok(Done {
            finish: finish.into(),
            prompt_tokens: count(self.prompt),
            completion_tokens: count(self.answer_tokens.len()),
            logprob: logprob.then_some(self.logprob.min(0.0)),
            tool_calls: calls,
            tokens: self.reports,
            cached_tokens: count(cached_tokens),
            // The text has all that the model writes.
            reasoning_tokens: 0,
        })
    }

    /// The calls in the answer. Text that only looked like a call goes into `delta`.
    fn calls(&mut self, delta: &mut Delta) -> Vec<ToolCall> {
        let Some(calls) = self.calls.take() else { return Vec::new() };
        let (text, calls) = calls.finish();
        self.sent_bytes += text.len();
        delta.text.push_str(&text);
        calls
    }
}

/// Truncates the reports to the answer's text: a stop text or a call is not part of it.
fn cut(tokens: &mut Vec<TokenLogprob>, mut bytes: usize) {
    let mut count = 0;
    for token in tokens.iter_mut() {
        if bytes == 0 {
            break;
        }
        token.bytes.truncate(bytes);
        bytes -= token.bytes.len();
        count += 1;
    }
    tokens.truncate(count);
}

/// A number of tokens as the messages hold it.
pub(super) fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
