//! One question and all that the swarm did with it: a line of `target/eval/rounds.jsonl`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use shoal_proto::{NodeId, generate::Finish};

/// A question, its answer and the round about it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct QuestionRecord {
    pub family: String,
    pub question: String,
    /// The right answer.
    pub answer: String,
    /// Whether the text that the gateway sent is right.
    pub right: bool,
    /// Whether each candidate of the round is right, by index.
    pub rights: Vec<bool>,
    pub round: Option<Round>,
    /// Digest of the weights of each member that shares its weights with another, by the hex of its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", rename = "kin")]
    pub digests: BTreeMap<String, String>,
    /// Answers of members outside the round; each was asked by name afterwards.
    #[serde(rename = "alone")]
    pub solo_answers: Vec<SoloAnswer>,
    /// The reason why there is no answer; then `right` is false.
    pub failure: Option<String>,
}

/// A member's answer outside the round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SoloAnswer {
    pub candidate: Candidate,
    pub right: bool,
}

/// The fields of `GET /v1/rounds/{id}` that the evaluation uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub id: String,
    #[serde(rename = "decided")]
    pub decision: String,
    pub winner: usize,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<Ballot>,
    pub timings_ms: Timings,
}

/// An answer that competes in a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Hex of the node's key.
    pub writer: String,
    pub model: String,
    pub text: String,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    /// The certainty that the writer claims: natural logarithm, summed over the tokens.
    pub logprob: Option<f64>,
    pub took_ms: f64,
    /// Equal answers have the same pool.
    pub pool: usize,
    #[serde(default)]
    pub p_best: Option<f64>,
}

/// A judge's opinion of the candidates of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    pub judge: String,
    pub model: String,
    pub prompt_tokens: u32,
    /// The judge wrote a critique before its verdict.
    #[serde(default, skip_serializing_if = "std::ops::Not::not", rename = "reasoned")]
    pub has_critique: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Score>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
}

/// The likelihood of a candidate's text under the judge's model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub candidate: usize,
    /// Natural logarithm, summed over the tokens.
    pub logprob: f64,
    pub tokens: u32,
}

/// A verdict on two candidates, over both orders.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub a: usize,
    pub b: usize,
    /// P(`a` is better).
    pub p: f64,
    /// The two orders contradict each other.
    #[serde(rename = "flipped")]
    pub flip: bool,
}

/// Durations of the phases of a round in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub generate: f64,
    pub judge: f64,
    pub total: f64,
}

impl Round {
    /// Tokens of all candidates and ballots.
    pub fn tokens(&self) -> u64 {
        let ballots = self.ballots.iter().map(|ballot| u64::from(ballot.prompt_tokens));
        self.candidates.iter().map(Candidate::tokens).chain(ballots).sum()
    }
}

impl Candidate {
    /// Prompt and completion tokens together.
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }

    /// The candidate as the gateway's ranking takes it. A name that is no key becomes the key of nobody.
    pub fn to_gateway(&self) -> shoal_consensus::Candidate {
        shoal_consensus::Candidate {
            writer: node_id(&self.writer),
            model: self.model.clone(),
            text: self.text.clone(),
            tool_calls: Vec::new(),
            tokens: Vec::new(),
            finish: Finish::Stop,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: 0,
            reasoning_tokens: 0,
            logprob: self.logprob,
            took: Duration::from_secs_f64(self.took_ms.clamp(0.0, 1e9) / 1e3),
            first_piece: Duration::ZERO,
            pool: self.pool,
        }
    }
}

impl Ballot {
    /// The ballot as the gateway's ranking takes it.
    pub fn to_gateway(&self) -> shoal_consensus::ballot::CastBallot {
        let verdicts = if self.pairs.is_empty() {
            shoal_consensus::ballot::Verdicts::Scores(
                self.scores.iter().copied().map(Score::to_gateway).collect(),
            )
        } else {
            shoal_consensus::ballot::Verdicts::Pairs(
                self.pairs.iter().copied().map(Pair::to_gateway).collect(),
            )
        };
        shoal_consensus::ballot::CastBallot {
            judge: node_id(&self.judge),
            model: self.model.clone(),
            reasoned: self.has_critique,
            verdicts,
            prompt_tokens: self.prompt_tokens,
            took: Duration::ZERO,
        }
    }
}

impl Score {
    fn to_gateway(self) -> shoal_consensus::ballot::CandidateScore {
        shoal_consensus::ballot::CandidateScore {
            candidate: self.candidate,
            logprob: self.logprob,
            tokens: self.tokens,
        }
    }
}

impl Pair {
    fn to_gateway(self) -> shoal_consensus::ballot::PairVerdict {
        shoal_consensus::ballot::PairVerdict { a: self.a, b: self.b, p: self.p, flipped: self.flip }
    }
}

/// The node with that hex name; all zeros if the name is no key.
pub fn node_id(name: &str) -> NodeId {
    name.parse().unwrap_or(NodeId([0; 32]))
}

/// A candidate with its grade, from the round or from a question by name.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub candidate: &'a Candidate,
    pub right: bool,
    /// Index into the round's candidates; None if the member was asked by name.
    pub index: Option<usize>,
}

impl QuestionRecord {
    /// Every member's answer, those of the round first.
    pub fn answers(&self) -> impl Iterator<Item = Answer<'_>> {
        let candidates = self.round.iter().flat_map(|round| &round.candidates);
        let in_round =
            candidates.zip(&self.rights).enumerate().map(|(index, (candidate, right))| Answer {
                candidate,
                right: *right,
                index: Some(index),
            });
        let solo = self.solo_answers.iter().map(|answer| Answer {
            candidate: &answer.candidate,
            right: answer.right,
            index: None,
        });
        in_round.chain(solo)
    }

    /// The answer of the member that serves `model`.
    pub fn answer_of(&self, model: &str) -> Option<Answer<'_>> {
        self.answers().find(|answer| answer.candidate.model == model)
    }

    /// The record with another round about the same question.
    #[must_use]
    pub fn with_round(&self, round: Round) -> Self {
        Self { round: Some(round), ..self.clone() }
    }
}

/// The names of all members that ever answered, sorted.
pub fn models(records: &[QuestionRecord]) -> Vec<String> {
    let mut models: Vec<String> = records
        .iter()
        .flat_map(QuestionRecord::answers)
        .map(|answer| answer.candidate.model.clone())
        .collect();
    models.sort();
    models.dedup();
    models
}
