//! The border: what members state in numbers, bounded by what the gateway knows itself (the bytes that it
//! sent and received, the time that passed, `max_tokens`). Nothing behind this file sees a number that a
//! member could have made up beyond these bounds: neither budgets, nor usage, metrics, speeds or records.

use std::time::Duration;

use shoal_proto::{
    embed::{Embed, Embedded},
    generate::{ChatMessage, Done, Generate, LOGPROBS_MAX, Prompt},
    hello::{Model, Speed},
    judge::{Ballot, BallotKind, CRITIQUE_TOKENS, Judge},
    tools::Tools,
};

/// Pieces of work at the same time that the gateway gives to one node at most.
const SLOTS_MAX: u32 = 256;

/// Tokens of a context at most: the longest that any model announces is ten million.
const CONTEXT_MAX: u32 = 1 << 24;

/// Parameters of a model at most: ten times those of the largest known. Beyond it the number is unknown.
const PARAMETERS_MAX: u64 = 20_000_000_000_000;

/// Tokens a second at most, of one stream: ten times the fastest hardware.
const TOKENS_PER_SECOND_MAX: u32 = 20_000;

/// Tokens that a template adds to each message at most, and to a conversation (a system text of the model's,
/// the description of its tools).
const MESSAGE_TOKENS: usize = 32;
const TEMPLATE_TOKENS: usize = 1_024;

/// Tokens of one image at most.
const IMAGE_TOKENS: usize = 16_384;

/// Tokens of an answer beside its text: end tokens and marks of calls.
const ANSWER_TOKENS: usize = 64;

/// Tokens of reasoning that the gateway does not see, at most: the longest answer that any model gives.
const HIDDEN_TOKENS_MAX: u32 = 131_072;

/// Nats for each byte of a text: no model finds a text less likely than this.
const NATS_PER_BYTE: f64 = 100.0;

/// The model as its node describes it, with believable numbers.
pub(super) fn model(model: Model) -> Model {
    let speed = model.speed.map(|speed| Speed {
        prefill: speed.prefill.min(1_000 * TOKENS_PER_SECOND_MAX),
        decode: speed.decode.min(TOKENS_PER_SECOND_MAX),
        decode_eight: speed.decode_eight.min(8 * TOKENS_PER_SECOND_MAX),
        bandwidth: speed.bandwidth.min(100_000_000),
    });
    Model {
        context: model.context.min(CONTEXT_MAX),
        parameters: if model.parameters > PARAMETERS_MAX { 0 } else { model.parameters },
        speed,
        ..model
    }
}

/// The slots of a node.
pub(super) fn slots(slots: u32) -> u32 {
    slots.min(SLOTS_MAX)
}

/// The bounds of one answer, from its ask.
#[derive(Clone, Copy, Debug)]
pub(super) struct AnswerBounds {
    prompt_tokens: u32,
    /// Tokens that it may have whether the gateway sees them or not.
    hidden_tokens: u32,
    wants_logprobs: bool,
}

impl AnswerBounds {
    pub(super) fn new(ask: &Generate, model: &Model) -> Self {
        let sampling = ask.sampling.as_ref();
        let max_tokens = sampling.and_then(|sampling| sampling.max_tokens);
        let other_bytes = ask.format.as_ref().map_or(0, |format| format.body.len())
            + ask.template_variables.len();
        let bytes = conversation(&ask.messages, ask.tools.as_ref(), ask.prompt.as_ref());
        Self {
            prompt_tokens: tokens(bytes + other_bytes),
            hidden_tokens: max_tokens.unwrap_or(u32::MAX).min(model.context).min(HIDDEN_TOKENS_MAX),
            wants_logprobs: sampling.is_some_and(|sampling| sampling.logprobs.is_some()),
        }
    }

    /// The end of an answer whose text has so many bytes, so long after its ask.
    ///
    /// # Errors
    /// When it lists more tokens than the answer can have.
    pub(super) fn done(
        self,
        mut end: Done,
        text_bytes: usize,
        elapsed: Duration,
    ) -> Result<Done, &'static str> {
        let calls = end.tool_calls.iter().map(|call| call.name.len() + call.arguments.len());
        let visible_max = tokens(text_bytes + calls.sum::<usize>() + ANSWER_TOKENS);
        let in_time = elapsed.as_secs_f64() * f64::from(TOKENS_PER_SECOND_MAX);
        // A tokenizer makes one token or fewer of a byte. More were not shown, and took their time.
        let completion_max = visible_max
            .max(self.hidden_tokens.min(visible_max.saturating_add(in_time.min(1e9) as u32)));
        let has_many = |end: &Done| end.tokens.len() > completion_max as usize;
        if has_many(&end) || end.tokens.iter().any(|token| token.top.len() > LOGPROBS_MAX as usize)
        {
            return Err("more tokens than the answer has");
        }
        if !self.wants_logprobs {
            end.tokens.clear();
        }
        end.completion_tokens = end.completion_tokens.min(completion_max);
        end.prompt_tokens = end.prompt_tokens.min(self.prompt_tokens);
        end.cached_tokens = end.cached_tokens.min(end.prompt_tokens);
        end.logprob = end.logprob.map(|logprob| believable(logprob, text_bytes));
        Ok(end)
    }
}

/// A ballot, bounded by the texts that the judge was sent.
pub(super) fn ballot(mut ballot: Ballot, ask: &Judge) -> Ballot {
    let is_reasoned = ask.kind == i32::from(BallotKind::Reasoned);
    let readings = ask.candidates.len().max(ask.pairs.len());
    let longest = ask.candidates.iter().map(String::len).max().unwrap_or(0);
    let once = conversation(&ask.messages, ask.tools.as_ref(), ask.prompt.as_ref()) + 2 * longest;
    // A judge may read the conversation again for each candidate or pair.
    ballot.prompt_tokens = ballot.prompt_tokens.min(tokens(readings.saturating_mul(once)));
    let critique = if is_reasoned { CRITIQUE_TOKENS as usize + ANSWER_TOKENS } else { 1 };
    let completion_max = tokens(readings.saturating_mul(critique));
    ballot.completion_tokens = ballot.completion_tokens.min(completion_max);
    for (score, text) in ballot.scores.iter_mut().zip(&ask.candidates) {
        score.logprob = believable(score.logprob, text.len());
        score.tokens = score.tokens.min(tokens(text.len() + 1));
    }
    ballot
}

/// Vectors, with tokens bounded by the texts that were sent.
pub(super) fn embedded(mut reply: Embedded, ask: &Embed) -> Embedded {
    let bytes: usize = ask.inputs.iter().map(|input| input.len() + MESSAGE_TOKENS).sum();
    reply.prompt_tokens = reply.prompt_tokens.min(tokens(bytes));
    reply
}

/// Tokens of a conversation at most: one for each byte, and what a template adds.
fn conversation(messages: &[ChatMessage], tools: Option<&Tools>, prompt: Option<&Prompt>) -> usize {
    let messages = messages.iter().map(|message| {
        let calls = message
            .tool_calls
            .iter()
            .map(|call| call.id.len() + call.name.len() + call.arguments.len() + MESSAGE_TOKENS);
        let images = message.images.iter().map(|image| image.len() + IMAGE_TOKENS);
        let texts = [&message.role, &message.content, &message.name, &message.tool_call_id];
        MESSAGE_TOKENS
            + texts.into_iter().map(String::len).sum::<usize>()
            + calls.sum::<usize>()
            + images.sum::<usize>()
    });
    let functions = tools.iter().flat_map(|tools| &tools.functions).map(|function| {
        let texts = [&function.name, &function.description, &function.parameters];
        MESSAGE_TOKENS + texts.into_iter().map(String::len).sum::<usize>()
    });
    let prompt = prompt.map_or(0, |prompt| prompt.text.len() + prompt.tokens.len());
    TEMPLATE_TOKENS + messages.sum::<usize>() + functions.sum::<usize>() + prompt
}

/// A log-probability that a model can give to a text of so many bytes.
fn believable(logprob: f64, bytes: usize) -> f64 {
    logprob.max(-NATS_PER_BYTE * (bytes as f64 + 1.0))
}

fn tokens(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
