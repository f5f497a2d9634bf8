//! The JSON format of a recorded round, in its three shapes.

use std::collections::BTreeMap;

use serde::Deserialize;
use shoal_proto::NodeId;

use crate::reputation::{Provenance, judges};

/// The id of a member's name: the key itself if the name is a key, else a hash.
pub(super) fn node(name: &str) -> NodeId {
    name.parse().unwrap_or_else(|_| {
        let mut id = [0; 32];
        for (at, part) in id.chunks_exact_mut(8).enumerate() {
            part.copy_from_slice(&judges::item([name, &at.to_string()]).to_be_bytes());
        }
        NodeId(id)
    })
}

/// A line of any of the three shapes.
#[derive(Debug, Deserialize)]
pub(super) struct RecordedRound {
    pub(super) id: Option<String>,
    pub(super) question: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) candidates: Option<Vec<Candidate>>,
    #[serde(default)]
    pub(super) ballots: Vec<Ballot>,
    pub(super) gold: Option<Label>,
    pub(super) canary: Option<bool>,
    pub(super) created: Option<u64>,
    /// The provenance of members, by name.
    #[serde(default)]
    pub(super) members: BTreeMap<String, Provenance>,
    // Records of `make eval`:
    pub(super) round: Option<Box<Self>>,
    pub(super) family: Option<String>,
    pub(super) rights: Option<Vec<bool>>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Label {
    One(usize),
    Any(Vec<usize>),
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Candidate {
    pub(super) writer: Option<String>,
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) text: String,
    /// Candidates with equal keys are in one pool. Without a key the answer is extracted from the
    /// text.
    pub(super) answer: Option<String>,
    /// The pool, for records without key and text.
    pub(super) pool: Option<usize>,
    pub(super) logprob: Option<f64>,
    #[serde(default)]
    pub(super) prompt_tokens: u32,
    #[serde(default)]
    pub(super) completion_tokens: u32,
    #[serde(default)]
    pub(super) took_ms: f64,
}

/// One order of a pair, one score, or the whole ballot of a judge.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Ballot {
    pub(super) judge: String,
    #[serde(default)]
    pub(super) model: String,
    #[serde(default)]
    pub(super) reasoned: bool,
    pub(super) first: Option<usize>,
    pub(super) second: Option<usize>,
    pub(super) p: Option<f64>,
    pub(super) candidate: Option<usize>,
    pub(super) logprob: Option<f64>,
    #[serde(default)]
    pub(super) pairs: Vec<Pair>,
    #[serde(default)]
    pub(super) scores: Vec<Score>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Pair {
    pub(super) a: usize,
    pub(super) b: usize,
    pub(super) p: f64,
    /// None: not recorded, as where both orders were averaged.
    pub(super) flipped: Option<bool>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct Score {
    pub(super) candidate: usize,
    pub(super) logprob: f64,
    #[serde(default)]
    pub(super) tokens: u32,
}
