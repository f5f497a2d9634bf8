//! The formats of the APIs that the gateway speaks: OpenAI's chat, completions, responses and
//! embeddings, Anthropic's messages, and the swarm's own ranking.
//!
//! Each module parses one endpoint's request into an `Ask` and holds the types of its answer, under
//! `wire`. Every request is brought into a chat's fields and checked as one ([`chat`]), so that a
//! round is the same whatever the endpoint. Nothing here knows HTTP or the swarm.

pub mod anthropic;
pub mod chat;
pub mod completions;
pub mod embeddings;
mod endpoint;
mod error;
mod fields;
pub mod id;
pub mod models;
pub mod rank;
pub mod responses;
pub mod text;
pub mod transcript;

pub use endpoint::Names;
pub use error::AskError;
