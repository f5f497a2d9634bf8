//! A piece of work: judge candidates that this node did not write.

use crate::{
    generate::{ChatMessage, Prompt, check_conversation, is_logprob},
    tools::Tools,
    wire::Nonsense,
};

/// Candidates of one round at most.
pub const CANDIDATES_MAX: usize = 64;

/// Every ordered pair of as many candidates.
pub const PAIRS_MAX: usize = CANDIDATES_MAX * (CANDIDATES_MAX - 1);

/// Tokens of critique before the verdict of [`Kind::Reasoned`], for each pair.
pub const CRITIQUE_TOKENS: u32 = 100;

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
    /// For [`Kind::Pairwise`] and [`Kind::Reasoned`]: which candidates to compare, in the order to
    /// show them.
    #[prost(message, repeated, tag = "4")]
    pub pairs: Vec<Pair>,
    /// Functions that the candidates could call. A candidate that calls some is their JSON:
    /// `[{"name": ..., "arguments": {...}}]`, after its text if it has any.
    #[prost(message, optional, tag = "5")]
    pub tools: Option<Tools>,
    /// The candidates go on with this text, in the place of answering the messages, which say the
    /// same. Only to a model that goes on with texts itself.
    #[prost(message, optional, tag = "6")]
    pub prompt: Option<Prompt>,
}

impl Judge {
    /// Holds what every judge may rely on; [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self) -> Result<(), Nonsense> {
        self.prompt.as_ref().map_or(Ok(()), Prompt::check)?;
        check_conversation(&self.messages)?;
        if self.candidates.len() > CANDIDATES_MAX {
            return Err(Nonsense("more than 64 candidates"));
        }
        if self.pairs.len() > PAIRS_MAX {
            return Err(Nonsense("more pairs than candidates can form"));
        }
        let is_there =
            |index: u32| usize::try_from(index).is_ok_and(|index| index < self.candidates.len());
        if !self.pairs.iter().all(|pair| is_there(pair.first) && is_there(pair.second)) {
            return Err(Nonsense("a pair of a candidate that is not there"));
        }
        if self.pairs.iter().any(|pair| pair.first == pair.second) {
            return Err(Nonsense("a pair of a candidate with itself"));
        }
        Ok(())
    }
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
    /// The same after a critique of at most [`CRITIQUE_TOKENS`] tokens.
    Reasoned = 3,
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
    /// For [`Kind::Pairwise`] and [`Kind::Reasoned`]: one for each pair, in order: P(first is
    /// better) in [0, 1]; undecided is one half.
    #[prost(double, repeated, tag = "2")]
    pub verdicts: Vec<f64>,
    /// Tokens read for this ballot.
    #[prost(uint32, tag = "3")]
    pub prompt_tokens: u32,
    /// Tokens written for this ballot: critiques.
    #[prost(uint32, tag = "4")]
    pub completion_tokens: u32,
}

impl Ballot {
    /// Holds the ballot against what was `asked`; for the gateway to call before it counts it.
    ///
    /// # Errors
    /// What is wrong: a number too many or too few, or one that no judge can mean.
    pub fn check(&self, asked: &Judge) -> Result<(), Nonsense> {
        let (scores, verdicts) = match Kind::try_from(asked.kind) {
            Ok(Kind::Likelihood) => (asked.candidates.len(), 0),
            Ok(Kind::Pairwise | Kind::Reasoned) => (0, asked.pairs.len()),
            _ => (0, 0),
        };
        if self.scores.len() != scores {
            return Err(Nonsense("not one score for each candidate"));
        }
        if self.verdicts.len() != verdicts {
            return Err(Nonsense("not one verdict for each pair"));
        }
        if !self.scores.iter().all(|score| is_logprob(score.logprob)) {
            return Err(Nonsense("a log-probability that is not finite and <= 0"));
        }
        if !self.verdicts.iter().all(|verdict| (0.0..=1.0).contains(verdict)) {
            return Err(Nonsense("a verdict outside of [0, 1]"));
        }
        Ok(())
    }
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
