//! One question and everything that the swarm did with it: a line of `target/eval/rounds.jsonl`.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};
use shoal_proto::{NodeId, generate::Finish};

/// A question that was asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    pub family: String,
    pub question: String,
    /// What is right.
    pub answer: String,
    /// Whether the text that the gateway sent is right.
    pub right: bool,
    /// Whether each candidate of the round is right, by index.
    pub rights: Vec<bool>,
    pub round: Option<Round>,
    /// Members that serve the same weights as another, by the hex of their keys: the weights' digest.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub kin: BTreeMap<String, String>,
    /// Members that are not in the round, each asked by name afterwards.
    pub alone: Vec<Alone>,
    /// Why there is no answer; then `right` is false.
    pub failure: Option<String>,
}

/// A member's answer outside the round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alone {
    pub candidate: Candidate,
    pub right: bool,
}

/// What `GET /v1/rounds/{id}` tells; fields that are not used here are not read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    pub id: String,
    pub decided: String,
    pub winner: usize,
    pub candidates: Vec<Candidate>,
    pub ballots: Vec<Ballot>,
    pub timings_ms: Timings,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Hex of the node's key.
    pub writer: String,
    pub model: String,
    pub text: String,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub logprob: Option<f64>,
    pub took_ms: f64,
    pub pool: usize,
    #[serde(default)]
    pub p_best: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ballot {
    pub judge: String,
    pub model: String,
    pub prompt_tokens: u32,
    /// It said why before it said which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reasoned: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<Score>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pairs: Vec<Pair>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub candidate: usize,
    pub logprob: f64,
    pub tokens: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pair {
    pub a: usize,
    pub b: usize,
    pub p: f64,
    pub flipped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Timings {
    pub generate: f64,
    pub judge: f64,
    pub total: f64,
}

impl Candidate {
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }

    /// As the gateway's ranking takes it; a name that is no key becomes nobody's.
    pub fn to_gateway(&self) -> shoal_consensus::Candidate {
        shoal_consensus::Candidate {
            writer: node(&self.writer),
            model: self.model.clone(),
            text: self.text.clone(),
            tool_calls: Vec::new(),
            tokens: Vec::new(),
            finish: Finish::Stop,
            prompt_tokens: self.prompt_tokens,
            completion_tokens: self.completion_tokens,
            cached_tokens: 0,
            logprob: self.logprob,
            took: Duration::from_secs_f64(self.took_ms.clamp(0.0, 1e9) / 1e3),
            first_piece: Duration::ZERO,
            pool: self.pool,
        }
    }
}

impl Ballot {
    /// As the gateway's ranking takes it.
    pub fn to_gateway(&self) -> shoal_consensus::CastBallot {
        let score = |score: &Score| shoal_consensus::ballot::CandidateScore {
            candidate: score.candidate,
            logprob: score.logprob,
            tokens: score.tokens,
        };
        let pair = |pair: &Pair| shoal_consensus::ballot::PairVerdict {
            a: pair.a,
            b: pair.b,
            p: pair.p,
            flipped: pair.flipped,
        };
        let verdicts = if self.pairs.is_empty() {
            shoal_consensus::Verdicts::Scores(self.scores.iter().map(score).collect())
        } else {
            shoal_consensus::Verdicts::Pairs(self.pairs.iter().map(pair).collect())
        };
        shoal_consensus::CastBallot {
            judge: node(&self.judge),
            model: self.model.clone(),
            reasoned: self.reasoned,
            verdicts,
            prompt_tokens: self.prompt_tokens,
            took: Duration::ZERO,
        }
    }
}

/// The node of that hex name; all zeros when it is none.
pub fn node(name: &str) -> NodeId {
    name.parse().unwrap_or(NodeId([0; 32]))
}

/// A candidate with its verdict, from the round or from asking by name.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    pub candidate: &'a Candidate,
    pub right: bool,
    /// Index into the round's candidates; None when it was asked by name.
    pub index: Option<usize>,
}

impl Asked {
    /// Every member's answer, those of the round first.
    pub fn answers(&self) -> impl Iterator<Item = Answer<'_>> {
        let candidates = self.round.iter().flat_map(|round| &round.candidates);
        let in_round =
            candidates.zip(&self.rights).enumerate().map(|(index, (candidate, right))| Answer {
                candidate,
                right: *right,
                index: Some(index),
            });
        let alone = self.alone.iter().map(|alone| Answer {
            candidate: &alone.candidate,
            right: alone.right,
            index: None,
        });
        in_round.chain(alone)
    }

    /// The answer of the member that serves `model`.
    pub fn answer_of(&self, model: &str) -> Option<Answer<'_>> {
        self.answers().find(|answer| answer.candidate.model == model)
    }
}

/// The names of all members that ever answered, sorted.
pub fn models(asked: &[Asked]) -> Vec<String> {
    let mut models: Vec<String> = asked
        .iter()
        .flat_map(Asked::answers)
        .map(|answer| answer.candidate.model.clone())
        .collect();
    models.sort();
    models.dedup();
    models
}
