//! A piece of work: judge candidates that this node did not write.

use crate::generate::ChatMessage;

/// Gateway to node: judge these candidates. Answered by one [`Ballot`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Judge {
    /// The conversation that the candidates answer.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<ChatMessage>,
    /// The candidates, without names, in an order that says nothing.
    #[prost(string, repeated, tag = "2")]
    pub candidates: Vec<String>,
    /// Which kind of ballot.
    #[prost(enumeration = "Kind", tag = "3")]
    pub kind: i32,
    /// For [`Kind::Pairwise`]: which candidates to compare, in the order to show them.
    #[prost(message, repeated, tag = "4")]
    pub pairs: Vec<Pair>,
}

/// What a judge is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum Kind {
    Unspecified = 0,
    /// The log-likelihood of every candidate under the judge's own weights.
    Likelihood = 1,
    /// P(the one shown first is better) for each pair.
    Pairwise = 2,
}

/// Two candidates by index, in the order in which the judge sees them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Pair {
    #[prost(uint32, tag = "1")]
    pub first: u32,
    #[prost(uint32, tag = "2")]
    pub second: u32,
}

/// Node to gateway: the verdicts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ballot {
    /// For [`Kind::Likelihood`]: one for each candidate, in order.
    #[prost(message, repeated, tag = "1")]
    pub scores: Vec<Score>,
    /// For [`Kind::Pairwise`]: one for each pair, in order: P(first is better) in [0, 1].
    #[prost(double, repeated, tag = "2")]
    pub verdicts: Vec<f64>,
    /// Tokens read for this ballot.
    #[prost(uint32, tag = "3")]
    pub prompt_tokens: u32,
}

/// log P(candidate | conversation) under the judge's weights.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Score {
    /// Natural log, summed over the candidate's tokens and the end token: finite, <= 0.
    #[prost(double, tag = "1")]
    pub logprob: f64,
    /// How many tokens that are.
    #[prost(uint32, tag = "2")]
    pub tokens: u32,
}
