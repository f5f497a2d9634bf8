//! A piece of work: write an answer. A node answers [`Generate`] with [`Piece`]s while it writes,
//! then with [`Done`] or [`Failed`].

use crate::{
    invalid::InvalidMessage,
    tools::{self, ToolCall, Tools},
};

/// Gateway to node: write an answer to this conversation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Generate {
    /// The conversation, oldest first.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<ChatMessage>,
    /// How to sample.
    #[prost(message, optional, tag = "2")]
    pub sampling: Option<Sampling>,
    /// Functions that the answer may call. Absent if there are none.
    #[prost(message, optional, tag = "3")]
    pub tools: Option<Tools>,
    /// The form that the answer must have. Absent if any form will do.
    #[prost(message, optional, tag = "4")]
    pub format: Option<Format>,
    /// Additional variables of the model's chat template, as a JSON object. Empty if there are
    /// none.
    #[prost(string, tag = "5")]
    pub template_variables: String,
    /// If present, the model continues this text without a chat template instead of answering
    /// `messages`, which hold the same text as a user's message. Only for a model that announces
    /// [`crate::hello::Model::completes`].
    #[prost(message, optional, tag = "6")]
    pub prompt: Option<Prompt>,
}

/// The beginning of a text, which a model continues.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Prompt {
    /// The text. Empty at the beginning of a new document.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Instead of a text, its tokens as numbers in the model's own vocabulary.
    #[prost(uint32, repeated, tag = "2")]
    pub tokens: Vec<u32>,
}

impl Prompt {
    /// A prompt of text.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tokens: Vec::new() }
    }

    pub(crate) fn check(&self) -> Result<(), InvalidMessage> {
        if !self.text.is_empty() && !self.tokens.is_empty() {
            return Err(InvalidMessage("a prompt of text and of tokens"));
        }
        Ok(())
    }
}

/// Most messages in one conversation. A frame's limit bounds the messages' text and not their
/// number.
pub const MESSAGES_MAX: usize = 4096;

impl Generate {
    /// Checks what every node relies on. [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        self.prompt.as_ref().map_or(Ok(()), Prompt::check)?;
        check_conversation(&self.messages)
    }

    /// Checks what an answer needs. The node calls it and answers a failure with
    /// [`Fault::BadRequest`].
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_request(&self) -> Result<(), InvalidMessage> {
        if self.messages.is_empty() {
            return Err(InvalidMessage("there is no message to answer"));
        }
        self.sampling.as_ref().map_or(Ok(()), Sampling::check)
    }
}

pub(crate) fn check_conversation(messages: &[ChatMessage]) -> Result<(), InvalidMessage> {
    if messages.len() > MESSAGES_MAX {
        return Err(InvalidMessage("more than 4096 messages"));
    }
    Ok(())
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ChatMessage {
    /// The role: `system`, `developer`, `user`, `assistant` or `tool`.
    #[prost(string, tag = "1")]
    pub role: String,
    /// The text.
    #[prost(string, tag = "2")]
    pub content: String,
    /// The speaker, if several speakers have this role. May be empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// For the role `assistant`: its calls of functions.
    #[prost(message, repeated, tag = "4")]
    pub tool_calls: Vec<ToolCall>,
    /// For the role `tool`: the call that this message is the result of.
    #[prost(string, tag = "5")]
    pub tool_call_id: String,
    /// Images that belong to the message (`https:` or `data:` URLs), for models with vision.
    #[prost(string, repeated, tag = "6")]
    pub images: Vec<String>,
}

impl ChatMessage {
    /// A message that has only a text.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), ..Self::default() }
    }
}

/// The form that an answer must have. An engine that can constrain its output enforces it; the
/// gateway always checks it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Format {
    /// The language of `body`.
    #[prost(enumeration = "FormatKind", tag = "1")]
    pub kind: i32,
    /// The JSON Schema, regular expression or Lark grammar. Empty for [`FormatKind::JsonObject`].
    #[prost(string, tag = "2")]
    pub body: String,
    /// The client's name of the schema, which an upstream requires.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Whether the client set `strict`.
    #[prost(bool, tag = "4")]
    pub strict: bool,
}

/// The languages of a [`Format`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FormatKind {
    /// Not a kind: the value of an absent field.
    Unspecified = 0,
    /// Any JSON object.
    JsonObject = 1,
    /// A JSON Schema.
    JsonSchema = 2,
    /// A regular expression.
    Regex = 3,
    /// A Lark grammar in llguidance's dialect.
    Lark = 4,
}

/// How to turn logits into tokens. An absent field has the model's own default.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sampling {
    /// The temperature, from 0 (greedy) to 2.
    #[prost(float, optional, tag = "1")]
    pub temperature: Option<f32>,
    /// The probability mass of nucleus sampling, in (0, 1].
    #[prost(float, optional, tag = "2")]
    pub top_p: Option<f32>,
    /// The seed of the random numbers. The same seed gives the same text.
    #[prost(int64, optional, tag = "3")]
    pub seed: Option<i64>,
    /// Most tokens to write.
    #[prost(uint32, optional, tag = "4")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer and are not part of it. At most 4.
    #[prost(string, repeated, tag = "5")]
    pub stop: Vec<String>,
    /// Samples from the k likeliest tokens only. 0 means all tokens.
    #[prost(uint32, optional, tag = "6")]
    pub top_k: Option<u32>,
    /// Samples only from tokens whose probability is at least this share of the likeliest token's.
    /// In [0, 1].
    #[prost(float, optional, tag = "7")]
    pub min_p: Option<f32>,
    /// Divides the positive logits and multiplies the negative logits of tokens that occur in the
    /// prompt or the answer (Keskar et al., 2019). Greater than 0.
    #[prost(float, optional, tag = "8")]
    pub repetition_penalty: Option<f32>,
    /// Subtracted from the logit of each token that occurs in the answer. From -2 to 2.
    #[prost(float, optional, tag = "9")]
    pub presence_penalty: Option<f32>,
    /// Subtracted from a token's logit once for each occurrence in the answer. From -2 to 2.
    #[prost(float, optional, tag = "10")]
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of single tokens. The numbers of tokens have a meaning for one model
    /// only, so the client must name the model.
    #[prost(message, repeated, tag = "11")]
    pub logit_bias: Vec<TokenBias>,
    /// Reports each token's log-probability, and those of this many of the likeliest tokens in its
    /// place (0 to 20).
    #[prost(uint32, optional, tag = "12")]
    pub logprobs: Option<u32>,
}

/// Most texts in [`Sampling::stop`], as in OpenAI's API.
pub const STOPS_MAX: usize = 4;

/// Most alternatives in [`Sampling::logprobs`], as in OpenAI's API.
pub const LOGPROBS_MAX: u32 = 20;

impl Sampling {
    /// Checks the ranges of the numbers. [`Generate::check_request`] calls it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        let is_penalty = |penalty: &f32| (-2.0..=2.0).contains(penalty);
        let rules = [
            (self.temperature.is_none_or(|t| (0.0..=2.0).contains(&t)), "temperature is 0 to 2"),
            (self.top_p.is_none_or(|p| p > 0.0 && p <= 1.0), "top_p is above 0 and at most 1"),
            (self.min_p.is_none_or(|p| (0.0..=1.0).contains(&p)), "min_p is 0 to 1"),
            (self.max_tokens.is_none_or(|max| max > 0), "max_tokens is at least 1"),
            (self.stop.len() <= STOPS_MAX, "there are at most 4 stop texts"),
            (self.stop.iter().all(|stop| !stop.is_empty()), "a stop text is not empty"),
            (self.repetition_penalty.is_none_or(|p| p > 0.0), "repetition_penalty is above 0"),
            (self.presence_penalty.iter().all(is_penalty), "presence_penalty is -2 to 2"),
            (self.frequency_penalty.iter().all(is_penalty), "frequency_penalty is -2 to 2"),
            (
                self.logit_bias.iter().all(|token| (-100.0..=100.0).contains(&token.bias)),
                "a bias is -100 to 100",
            ),
            (self.logprobs.is_none_or(|count| count <= LOGPROBS_MAX), "logprobs is at most 20"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(InvalidMessage(rule)),
            None => Ok(()),
        }
    }
}

/// A bias on the logit of one token.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TokenBias {
    /// The token's number in the model's vocabulary.
    #[prost(uint32, tag = "1")]
    pub token: u32,
    /// Added to its logit. From -100 to 100.
    #[prost(float, tag = "2")]
    pub bias: f32,
}

/// A token of an answer and its log-probability under the model, at temperature 1 and before any
/// bias.
#[expect(clippy::use_self, reason = "prost's derive names the type")]
#[derive(Clone, PartialEq, prost::Message)]
pub struct TokenLogprob {
    /// The token's bytes, which may be a part of a character.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    #[prost(double, tag = "2")]
    pub logprob: f64,
    /// The likeliest tokens in its place, the likeliest first. Empty in a nested token.
    #[prost(message, repeated, tag = "3")]
    pub top: Vec<TokenLogprob>,
}

/// Node to gateway: the next piece of the text, cut on character boundaries.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Piece {
    /// The text.
    #[prost(string, tag = "1")]
    pub text: String,
}

/// Node to gateway: the answer is complete.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Done {
    /// Why the text ended.
    #[prost(enumeration = "Finish", tag = "1")]
    pub finish: i32,
    /// Tokens of the prompt, by the model's tokenizer.
    #[prost(uint32, tag = "2")]
    pub prompt_tokens: u32,
    /// Tokens of the answer, with the end token.
    #[prost(uint32, tag = "3")]
    pub completion_tokens: u32,
    /// The writer's certainty: the natural logarithm of the text's probability under the model at
    /// temperature 1, with the end (all end tokens together). A judge with the same weights
    /// computes the same number for the text. Absent if no judge could (the answer was cut short,
    /// or its text tokenizes differently) or if the engine does not know the number.
    #[prost(double, optional, tag = "4")]
    pub logprob: Option<f64>,
    /// Functions that the answer calls. Their markup is not part of the pieces.
    #[prost(message, repeated, tag = "5")]
    pub tool_calls: Vec<ToolCall>,
    /// The text's tokens without the end token, if [`Sampling::logprobs`] requests them.
    #[prost(message, repeated, tag = "6")]
    pub tokens: Vec<TokenLogprob>,
    /// Tokens of the prompt that came from the cache.
    #[prost(uint32, tag = "7")]
    pub cached_tokens: u32,
    /// Tokens of the answer that the model spent on reasoning that it does not show.
    #[prost(uint32, tag = "8")]
    pub reasoning_tokens: u32,
}

impl Done {
    /// Checks what a round relies on. The gateway calls it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        if self.logprob.is_some_and(|logprob| !is_logprob(logprob)) {
            return Err(InvalidMessage("a log-probability that is not finite and <= 0"));
        }
        let mut tokens =
            self.tokens.iter().flat_map(|token| std::iter::once(token).chain(&token.top));
        if tokens.any(|token| !is_logprob(token.logprob)) {
            return Err(InvalidMessage("a token's log-probability that is not finite and <= 0"));
        }
        if self.finish() == Finish::Abstained && !self.tool_calls.is_empty() {
            return Err(InvalidMessage("an abstention that calls functions"));
        }
        tools::check_calls(&self.tool_calls)
    }
}

/// Whether this is the natural logarithm of a probability greater than 0.
pub(crate) fn is_logprob(x: f64) -> bool {
    x.is_finite() && x <= 0.0
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Finish {
    /// Not a reason: the value of an absent field.
    Unspecified = 0,
    /// The end token or a stop text.
    Stop = 1,
    /// `max_tokens` or the end of the context.
    Length = 2,
    /// The answer calls functions.
    ToolCalls = 3,
    /// The model says that it cannot answer. There is no text and there are no calls; the round goes
    /// on without this member. From version 5; before it a node reports [`Fault::Unsupported`].
    Abstained = 4,
    /// A filter of the model's operator cut the text. An older gateway reads it as unspecified, which
    /// is [`Finish::Stop`].
    Filtered = 5,
    /// The model refuses to answer; the text is its refusal. An older gateway reads it as unspecified.
    Refused = 6,
}

/// Node to gateway: the work ended without a result.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Failed {
    /// Why, for programs.
    #[prost(enumeration = "Fault", tag = "1")]
    pub fault: i32,
    /// Why, for people. Contains no part of the prompt.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Why a node could not do a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Fault {
    /// Not a reason: the value of an absent field.
    Unspecified = 0,
    /// All slots and the queue are full.
    Busy = 1,
    /// Prompt and answer do not fit the model's context.
    ContextLength = 2,
    /// The model lacks a capability that the request needs.
    Unsupported = 3,
    /// The engine failed. Another node may succeed.
    Engine = 4,
    /// The request is invalid.
    BadRequest = 5,
    /// The node is shutting down.
    Draining = 6,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ask(sampling: Sampling) -> Generate {
        let messages = vec![ChatMessage::new("user", "hello")];
        Generate { messages, sampling: Some(sampling), ..Generate::default() }
    }

    #[test]
    fn an_ask_without_messages_is_refused() {
        assert!(Generate::default().check_request().is_err());
    }

    #[test]
    fn each_rule_of_sampling_holds() {
        let bad = [
            Sampling { temperature: Some(2.1), ..Sampling::default() },
            Sampling { temperature: Some(f32::NAN), ..Sampling::default() },
            Sampling { top_p: Some(0.0), ..Sampling::default() },
            Sampling { top_p: Some(f32::NAN), ..Sampling::default() },
            Sampling { max_tokens: Some(0), ..Sampling::default() },
            Sampling { stop: vec![String::new()], ..Sampling::default() },
            Sampling { stop: vec!["x".to_owned(); 5], ..Sampling::default() },
            Sampling { min_p: Some(1.1), ..Sampling::default() },
            Sampling { repetition_penalty: Some(0.0), ..Sampling::default() },
            Sampling { presence_penalty: Some(-2.1), ..Sampling::default() },
            Sampling { frequency_penalty: Some(f32::NAN), ..Sampling::default() },
            Sampling {
                logit_bias: vec![TokenBias { token: 1, bias: 101.0 }],
                ..Sampling::default()
            },
            Sampling { logprobs: Some(21), ..Sampling::default() },
        ];
        for sampling in bad {
            assert!(ask(sampling.clone()).check_request().is_err(), "{sampling:?}");
        }
    }

    proptest! {
        #[test]
        fn what_openai_allows_is_allowed(temperature in 0f32..=2.0, top_p in 0.001f32..=1.0, max in 1u32.., seed: i64) {
            let sampling = Sampling {
                temperature: Some(temperature),
                top_p: Some(top_p),
                seed: Some(seed),
                max_tokens: Some(max),
                stop: vec!["\n".to_owned()],
                ..Sampling::default()
            };
            prop_assert_eq!(ask(sampling).check_request(), Ok(()));
        }
    }
}
