//! The formats of the APIs that the gateway speaks: OpenAI's chat, completions, responses and
//! embeddings, Anthropic's messages, and the swarm's own ranking.
//!
//! Each module parses one endpoint's request into an `Ask`, holds the types of its answer under
//! `wire`, and writes answers as events with its [`Encoder`]. Every request is written in a chat's
//! fields and checked as a chat ([`chat`]), so that a round does not depend on the endpoint.
//! Nothing here knows HTTP or the swarm.
//!
//! The public names: a request that is wrong is an [`AskError`], a failure is sent as a [`Failure`] with
//! its [`ErrorBody`], [`FieldNames`] rename a chat's fields, and [`Usage`] counts tokens.

pub mod anthropic;
pub mod chat;
pub mod completions;
pub mod conversations;
pub mod embeddings;
mod encoder;
mod endpoint;
mod error;
mod failure;
mod fields;
pub mod id;
pub mod models;
pub mod rank;
pub mod responses;
pub mod sse;
mod text;
pub mod transcript;
mod usage;

#[cfg(test)]
mod tests;

pub use encoder::Encoder;
pub use endpoint::FieldNames;
pub use error::AskError;
pub use failure::{ErrorBody, Failure};
pub use usage::{PromptUsage, Usage};
