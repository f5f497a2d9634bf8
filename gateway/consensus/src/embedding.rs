//! Requests for embeddings, and their results.

use std::time::Duration;

use crate::ask::Target;

/// The texts of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedAsk {
    /// The model to use; for the swarm, any that embeds.
    pub target: Target,
    /// At least one, none of them empty.
    pub inputs: Vec<String>,
    pub deadline: Duration,
}

/// The result of an [`EmbedAsk`].
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The model that computed them.
    pub model: String,
    /// One for each text, in order, of length 1 and all of the same size.
    pub vectors: Vec<Vec<f32>>,
    pub prompt_tokens: u32,
}
