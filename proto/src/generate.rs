//! A piece of work: write an answer. Generate, then pieces as they are made, then done or failed.

use crate::wire::Nonsense;

/// Gateway to node: write an answer to this conversation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Generate {
    /// The conversation, oldest first.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<ChatMessage>,
    /// How to sample.
    #[prost(message, optional, tag = "2")]
    pub sampling: Option<Sampling>,
}

/// Messages of one conversation at most: a frame's limit bounds their text, not their number.
pub const MESSAGES_MAX: usize = 4096;

impl Generate {
    /// Holds what every node may rely on; [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Nonsense> {
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
        Ok(())
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
