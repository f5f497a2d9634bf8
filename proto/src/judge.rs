//! A piece of work: judge candidates that this node did not write.

use crate::{
    generate::{ChatMessage, Prompt, check_conversation, is_logprob},
    invalid::InvalidMessage,
    tools::Tools,
};

/// Most candidates in one round.
pub const CANDIDATES_MAX: usize = 64;

/// Most pairs in one request: every ordered pair of [`CANDIDATES_MAX`] candidates.
pub const PAIRS_MAX: usize = CANDIDATES_MAX * (CANDIDATES_MAX - 1);

/// Most pairs in one request for [`BallotKind::Reasoned`]. Each pair costs a critique. 64 pairs are both
/// orders of every pair of eight candidates (56) and some more.
pub const REASONED_PAIRS_MAX: usize = 64;

/// Most tokens of critique before the verdict of [`BallotKind::Reasoned`], for each pair.
pub const CRITIQUE_TOKENS: u32 = 100;

/// Gateway to node: judge these candidates. The answer is one [`Ballot`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Judge {
    /// The conversation that the candidates answer.
    #[prost(message, repeated, tag = "1")]
    pub messages: Vec<ChatMessage>,
    /// The candidates, without the names of their writers, in an arbitrary order.
    #[prost(string, repeated, tag = "2")]
    pub candidates: Vec<String>,
    /// The kind of ballot.
    #[prost(enumeration = "BallotKind", tag = "3")]
    pub kind: i32,
    /// For [`BallotKind::Pairwise`] and [`BallotKind::Reasoned`]: the candidates to compare, in the order in
    /// which the judge reads them.
    #[prost(message, repeated, tag = "4")]
    pub pairs: Vec<Pair>,
    /// Functions that the candidates could call. Calls in a candidate are written as JSON,
    /// `[{"name": ..., "arguments": {...}}]`, after its text if it has a text.
    #[prost(message, optional, tag = "5")]
    pub tools: Option<Tools>,
    /// If present, the candidates continue this text instead of answering `messages`, which hold
    /// the same text. Only for a model that continues texts itself.
    #[prost(message, optional, tag = "6")]
    pub prompt: Option<Prompt>,
}

impl Judge {
    /// Checks what every judge relies on. [`crate::Message::decode`] calls it.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        self.prompt.as_ref().map_or(Ok(()), Prompt::check)?;
        check_conversation(&self.messages)?;
        if self.candidates.len() > CANDIDATES_MAX {
            return Err(InvalidMessage("more than 64 candidates"));
        }
        if self.pairs.len() > PAIRS_MAX {
            return Err(InvalidMessage("more pairs than candidates can form"));
        }
        if !self.pairs.iter().flat_map(|pair| [pair.first, pair.second]).all(|i| self.has(i)) {
            return Err(InvalidMessage("a pair of a candidate that is not there"));
        }
        if self.pairs.iter().any(|pair| pair.first == pair.second) {
            return Err(InvalidMessage("a pair of a candidate with itself"));
        }
        Ok(())
    }

    /// Checks what a ballot needs. The node calls it and answers a failure with
    /// [`Fault::BadRequest`](crate::generate::Fault::BadRequest).
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn check_request(&self) -> Result<(), InvalidMessage> {
        if self.messages.is_empty() {
            return Err(InvalidMessage("there is no conversation to judge by"));
        }
        if self.candidates.is_empty() {
            return Err(InvalidMessage("there is no candidate to judge"));
        }
        match (self.kind(), self.pairs.len()) {
            (BallotKind::Unspecified, _) => Err(InvalidMessage("the ballot's kind is not known")),
            (BallotKind::Pairwise | BallotKind::Reasoned, 0) => {
                Err(InvalidMessage("there is no pair to compare"))
            }
            (BallotKind::Reasoned, pairs) if pairs > REASONED_PAIRS_MAX => {
                Err(InvalidMessage("a reasoned ballot is of at most 64 pairs"))
            }
            _ => Ok(()),
        }
    }

    fn has(&self, candidate: u32) -> bool {
        usize::try_from(candidate).is_ok_and(|index| index < self.candidates.len())
    }
}

/// The kinds of ballots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum BallotKind {
    /// Not a kind: the value of an absent field.
    Unspecified = 0,
    /// The log-likelihood of every candidate under the judge's own weights.
    Likelihood = 1,
    /// For each pair, the probability that its first candidate is better.
    Pairwise = 2,
    /// As [`Self::Pairwise`], after a critique of at most [`CRITIQUE_TOKENS`] tokens.
    Reasoned = 3,
}

/// Two candidates by their index from 0, in the order in which the judge reads them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Pair {
    /// The candidate that the judge reads first.
    #[prost(uint32, tag = "1")]
    pub first: u32,
    /// The candidate that the judge reads second.
    #[prost(uint32, tag = "2")]
    pub second: u32,
}

/// Node to gateway: the verdicts.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ballot {
    /// For [`BallotKind::Likelihood`]: one score for each candidate, in order.
    #[prost(message, repeated, tag = "1")]
    pub scores: Vec<Score>,
    /// For [`BallotKind::Pairwise`] and [`BallotKind::Reasoned`]: one probability for each pair, in order, that
    /// the first candidate is better. In [0, 1]; one half is undecided.
    #[prost(double, repeated, tag = "2")]
    pub verdicts: Vec<f64>,
    /// Tokens that the judge read for this ballot.
    #[prost(uint32, tag = "3")]
    pub prompt_tokens: u32,
    /// Tokens of critiques that the judge wrote for this ballot.
    #[prost(uint32, tag = "4")]
    pub completion_tokens: u32,
}

impl Ballot {
    /// Compares the ballot with the request that it answers. The gateway calls it before it counts
    /// the ballot.
    ///
    /// # Errors
    /// The rule that is broken: too many or too few numbers, or a number out of its range.
    pub fn check(&self, request: &Judge) -> Result<(), InvalidMessage> {
        let (scores, verdicts) = match BallotKind::try_from(request.kind) {
            Ok(BallotKind::Likelihood) => (request.candidates.len(), 0),
            Ok(BallotKind::Pairwise | BallotKind::Reasoned) => (0, request.pairs.len()),
            _ => (0, 0),
        };
        if self.scores.len() != scores {
            return Err(InvalidMessage("not one score for each candidate"));
        }
        if self.verdicts.len() != verdicts {
            return Err(InvalidMessage("not one verdict for each pair"));
        }
        if !self.scores.iter().all(|score| is_logprob(score.logprob)) {
            return Err(InvalidMessage("a log-probability that is not finite and <= 0"));
        }
        if !self.verdicts.iter().all(|verdict| (0.0..=1.0).contains(verdict)) {
            return Err(InvalidMessage("a verdict outside of [0, 1]"));
        }
        Ok(())
    }
}

/// log P(candidate | conversation) under the judge's weights.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Score {
    /// The natural logarithm, summed over the candidate's tokens and the end token. Finite and at
    /// most 0.
    #[prost(double, tag = "1")]
    pub logprob: f64,
    /// The number of tokens in that sum.
    #[prost(uint32, tag = "2")]
    pub tokens: u32,
}
