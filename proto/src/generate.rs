//! A piece of work: write an answer. Generate, then pieces as they are made, then done or failed.

use crate::{
    tools::{self, ToolCall, Tools},
    wire::Nonsense,
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
    /// Functions that the answer may call. Absent: none.
    #[prost(message, optional, tag = "3")]
    pub tools: Option<Tools>,
    /// What form the answer must have. Absent: any.
    #[prost(message, optional, tag = "4")]
    pub format: Option<Format>,
    /// Further variables of the model's chat template, as a JSON object; empty: none.
    #[prost(string, tag = "5")]
    pub template_variables: String,
    /// Go on with this text as it stands, without a chat template, in the place of answering the
    /// messages, which say the same as a user's message. Only to a model that says that it does
    /// ([`crate::hello::Model::completes`]).
    #[prost(message, optional, tag = "6")]
    pub prompt: Option<Prompt>,
}

/// The beginning of a text.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Prompt {
    /// Empty: the beginning of a new document.
    #[prost(string, tag = "1")]
    pub text: String,
    /// In the place of a text, its tokens by their numbers in the model's own vocabulary.
    #[prost(uint32, repeated, tag = "2")]
    pub tokens: Vec<u32>,
}

impl Prompt {
    /// A beginning in words.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), tokens: Vec::new() }
    }

    pub(crate) fn check(&self) -> Result<(), Nonsense> {
        if !self.text.is_empty() && !self.tokens.is_empty() {
            return Err(Nonsense("a prompt of text and of tokens"));
        }
        Ok(())
    }
}

/// Messages of one conversation at most: a frame's limit bounds their text, not their number.
pub const MESSAGES_MAX: usize = 4096;

impl Generate {
    /// Holds what every node may rely on; [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Nonsense> {
        self.prompt.as_ref().map_or(Ok(()), Prompt::check)?;
        check_conversation(&self.messages)
    }
}

pub(crate) fn check_conversation(messages: &[ChatMessage]) -> Result<(), Nonsense> {
    if messages.len() > MESSAGES_MAX {
        return Err(Nonsense("more than 4096 messages"));
    }
    Ok(())
}

/// One message of a conversation.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ChatMessage {
    /// `system`, `developer`, `user`, `assistant` or `tool`.
    #[prost(string, tag = "1")]
    pub role: String,
    /// Plain text.
    #[prost(string, tag = "2")]
    pub content: String,
    /// Who of several speakers with this role says it; may be empty.
    #[prost(string, tag = "3")]
    pub name: String,
    /// Of role `assistant`: the functions that it called.
    #[prost(message, repeated, tag = "4")]
    pub tool_calls: Vec<ToolCall>,
    /// Of role `tool`: the call whose result this is.
    #[prost(string, tag = "5")]
    pub tool_call_id: String,
    /// Images that belong to the message (`https:` or `data:` URLs), for models with vision.
    #[prost(string, repeated, tag = "6")]
    pub images: Vec<String>,
}

impl ChatMessage {
    /// A message of text alone.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into(), ..Self::default() }
    }
}

/// What form an answer must have: enforced while it is written where the engine can, checked by
/// the gateway in any case.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Format {
    #[prost(enumeration = "FormatKind", tag = "1")]
    pub kind: i32,
    /// The JSON Schema, regular expression or Lark grammar; empty for [`FormatKind::JsonObject`].
    #[prost(string, tag = "2")]
    pub body: String,
    /// The schema's name, as the client gave it; an upstream wants it back.
    #[prost(string, tag = "3")]
    pub name: String,
    /// The client asked for `strict`.
    #[prost(bool, tag = "4")]
    pub strict: bool,
}

/// Languages that a [`Format`] is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum FormatKind {
    Unspecified = 0,
    /// Any JSON object.
    JsonObject = 1,
    JsonSchema = 2,
    Regex = 3,
    /// As llguidance reads it.
    Lark = 4,
}

/// How to turn logits into tokens. Absent fields: the model's own defaults.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Sampling {
    /// 0 is greedy; at most 2.
    #[prost(float, optional, tag = "1")]
    pub temperature: Option<f32>,
    /// Nucleus mass in (0, 1].
    #[prost(float, optional, tag = "2")]
    pub top_p: Option<f32>,
    /// Same seed, same text.
    #[prost(int64, optional, tag = "3")]
    pub seed: Option<i64>,
    /// Tokens to write at most.
    #[prost(uint32, optional, tag = "4")]
    pub max_tokens: Option<u32>,
    /// Texts that end the answer and are not part of it, at most 4.
    #[prost(string, repeated, tag = "5")]
    pub stop: Vec<String>,
    /// Only the k likeliest tokens; 0: all.
    #[prost(uint32, optional, tag = "6")]
    pub top_k: Option<u32>,
    /// Only tokens at least this share as likely as the likeliest: in [0, 1].
    #[prost(float, optional, tag = "7")]
    pub min_p: Option<f32>,
    /// Divides the positive and multiplies the negative logits of tokens that were there, the
    /// prompt's too (Keskar et al., 2019): above 0.
    #[prost(float, optional, tag = "8")]
    pub repetition_penalty: Option<f32>,
    /// Taken from the logit of a token that was written: -2 to 2.
    #[prost(float, optional, tag = "9")]
    pub presence_penalty: Option<f32>,
    /// Taken from the logit of a token each time that it was written: -2 to 2.
    #[prost(float, optional, tag = "10")]
    pub frequency_penalty: Option<f32>,
    /// Added to the logits of single tokens, which only a model asked by name can mean.
    #[prost(message, repeated, tag = "11")]
    pub logit_bias: Vec<TokenBias>,
    /// Report each token's log-probability and so many of the likeliest beside it (0 to 20).
    #[prost(uint32, optional, tag = "12")]
    pub logprobs: Option<u32>,
}

/// A token of the model's vocabulary and what its logit gains: -100 to 100.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct TokenBias {
    #[prost(uint32, tag = "1")]
    pub token: u32,
    #[prost(float, tag = "2")]
    pub bias: f32,
}

/// A token of an answer and what the model thought of it, at temperature 1 and before any bias.
#[expect(clippy::use_self, reason = "prost writes the type out")]
#[derive(Clone, PartialEq, prost::Message)]
pub struct TokenLogprob {
    /// The token's bytes, which need not be whole characters.
    #[prost(bytes = "vec", tag = "1")]
    pub bytes: Vec<u8>,
    /// Natural logarithm of its probability.
    #[prost(double, tag = "2")]
    pub logprob: f64,
    /// The likeliest tokens in its place, likeliest first; empty inside of one of these.
    #[prost(message, repeated, tag = "3")]
    pub top: Vec<TokenLogprob>,
}

/// Node to gateway: text as it is made, cut on character boundaries.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Piece {
    #[prost(string, tag = "1")]
    pub text: String,
}

/// Node to gateway: the answer is complete.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Done {
    /// Why it ended.
    #[prost(enumeration = "Finish", tag = "1")]
    pub finish: i32,
    /// Tokens of the prompt, as the model counts.
    #[prost(uint32, tag = "2")]
    pub prompt_tokens: u32,
    /// Tokens written, the end token included.
    #[prost(uint32, tag = "3")]
    pub completion_tokens: u32,
    /// The writer's own certainty: natural log-probability of the text under the model at
    /// temperature 1, the end included (all end tokens together). Exactly what a judge with the
    /// same weights gives to the text; absent where no judge could come to the same (the answer
    /// was cut short, or its text reads as other tokens) or the engine does not know it.
    #[prost(double, optional, tag = "4")]
    pub logprob: Option<f64>,
    /// Functions that the answer calls. Their markup is no part of the pieces.
    #[prost(message, repeated, tag = "5")]
    pub tool_calls: Vec<ToolCall>,
    /// The text's tokens, the end token left out, where [`Sampling::logprobs`] asked for them.
    #[prost(message, repeated, tag = "6")]
    pub tokens: Vec<TokenLogprob>,
    /// Tokens of the prompt that the model had read before and did not read again.
    #[prost(uint32, tag = "7")]
    pub cached_tokens: u32,
}

impl Done {
    /// Holds what a round relies on; for the gateway to call.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Nonsense> {
        if self.logprob.is_some_and(|logprob| !is_logprob(logprob)) {
            return Err(Nonsense("a log-probability that is not finite and <= 0"));
        }
        let known = self.tokens.iter().flat_map(|token| std::iter::once(token).chain(&token.top));
        if known.into_iter().any(|token| !is_logprob(token.logprob)) {
            return Err(Nonsense("a token's log-probability that is not finite and <= 0"));
        }
        tools::check_calls(&self.tool_calls)
    }
}

/// Whether this is the natural log of some probability greater than 0.
pub(crate) fn is_logprob(x: f64) -> bool {
    x.is_finite() && x <= 0.0
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Finish {
    Unspecified = 0,
    /// End token or stop sequence.
    Stop = 1,
    /// `max_tokens` or the context's end.
    Length = 2,
    /// The answer calls functions.
    ToolCalls = 3,
}

/// Node to gateway: the work ended without a result.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Failed {
    #[prost(enumeration = "Fault", tag = "1")]
    pub fault: i32,
    /// For people; names no part of the prompt.
    #[prost(string, tag = "2")]
    pub message: String,
}

/// Why a node could not do a piece of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Fault {
    Unspecified = 0,
    /// All slots and the queue are full.
    Busy = 1,
    /// Prompt and answer do not fit the model's context.
    ContextLength = 2,
    /// The model cannot do what was asked.
    Unsupported = 3,
    /// The engine broke; another node may manage.
    Engine = 4,
    /// The message made no sense.
    BadRequest = 5,
    /// The node is leaving.
    Draining = 6,
}
