//! Texts that become vectors, and the vectors.

use std::time::Duration;

use crate::ask::Target;

/// Texts that shall become vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedAsk {
    /// The model to use; the swarm: any that embeds.
    pub target: Target,
    /// At least one, none of them empty.
    pub inputs: Vec<String>,
    pub deadline: Duration,
}

/// What became of an [`EmbedAsk`].
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// The model whose space they are of.
    pub model: String,
    /// One for each text, in order, of length 1 and all of the same size.
    pub vectors: Vec<Vec<f32>>,
    pub prompt_tokens: u32,
}
