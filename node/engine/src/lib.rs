//! What runs a model.
//!
//! [`Engine`] is the trait that the node serves: it writes, judges and embeds. The decoder in this
//! process and an upstream server implement it. [`judge`] checks a judge's asks and ballots,
//! [`persona`] serves one engine under several names, and `testing` (with the feature of that name)
//! has a scripted engine for tests.

pub mod judge;
pub mod persona;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

use futures_util::{
    FutureExt,
    future::{BoxFuture, ready},
};
use shoal_proto::{
    embed::{Embed, Embedded},
    generate::{Done, Fault, Generate},
    hello::Model,
    judge::{Ballot, Judge},
};
use tokio::sync::mpsc;

/// A model that writes and judges. The model runs on its own threads: nothing here blocks tokio.
pub trait Engine: Send + Sync + 'static {
    /// The model that is served, and the kinds of work that it supports.
    fn model(&self) -> &Model;

    /// Starts writing. Events arrive on a bounded channel; the last one is `Done` or an error.
    /// Dropping the receiver stops the work within one token.
    fn generate(&self, ask: Generate) -> mpsc::Receiver<Result<Event, EngineError>>;

    /// Judges candidates. Dropping the future stops the work.
    fn judge(&self, ask: Judge) -> BoxFuture<'_, Result<Ballot, EngineError>>;

    /// Turns texts into vectors. Dropping the future stops the work.
    fn embed(&self, ask: Embed) -> BoxFuture<'_, Result<Embedded, EngineError>> {
        let _ = ask;
        let why = "this model makes no vectors";
        ready(Err(EngineError::new(Fault::Unsupported, why))).boxed()
    }

    /// Resolves when there is a point in joining a gateway: an engine that cannot answer anything now
    /// would only fail its exam.
    fn ready(&self) -> BoxFuture<'_, ()> {
        ready(()).boxed()
    }
}

/// What the owner of a model decides about its service.
#[derive(Clone, Debug)]
pub struct Service {
    /// The model's name in the swarm, if not its own.
    pub name: Option<String>,
    /// What it is good at; when empty, what the model says of itself.
    pub tags: Vec<String>,
    /// Requests at the same time; a judgment of several candidates is one request.
    pub slots: u32,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: u32,
}

impl Default for Service {
    fn default() -> Self {
        Self { name: None, tags: Vec::new(), slots: 1, answer_tokens: 1024 }
    }
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Text, cut on character boundaries.
    Piece(String),
    /// The last event.
    Done(Done),
}

/// Why an engine failed. `message` names no part of the prompt.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{message}")]
pub struct EngineError {
    pub fault: Fault,
    pub message: String,
}

impl EngineError {
    /// `message` names no part of the prompt.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }

    /// The conversation leaves no room for an answer. The text is the one that OpenAI's clients look for.
    pub fn context_length(limit: u32) -> Self {
        let message = format!("This model's maximum context length is {limit} tokens");
        Self::new(Fault::ContextLength, message)
    }
}
