//! Reads recorded rounds from JSON Lines. docs/REPLAY.md is the reference of the format.
//!
//! A line has one of three shapes: a round written for a replay, a transcript of
//! `GET /v1/rounds/{id}`, or a record of `make eval`.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_proto::{NodeId, generate::Finish};

use super::{
    format::{Candidate, Label, RecordedRound, node},
    pairing,
};
use crate::{
    agree::{
        Question,
        answer::{self, Answer},
    },
    reputation::Provenance,
};
use crate::{ballot, candidate};

/// A round, ready to be ranked.
#[derive(Clone, Debug)]
pub struct Round {
    /// Id of the round; the number of its line if the record has none.
    pub id: String,
    /// The question; empty if it was not recorded.
    pub question: String,
    /// The kind of question, if it was recorded.
    pub kind: Option<String>,
    /// The candidates.
    pub candidates: Vec<candidate::Candidate>,
    /// The ballots; the two orders of a pair are one verdict, as in a live round.
    pub ballots: Vec<ballot::CastBallot>,
    /// Whether each candidate is right; None without a label.
    pub right: Option<Vec<bool>>,
    /// Whether it may be used as gold; None if the record does not say.
    pub canary: Option<bool>,
    /// Unix time; 0 if it was not recorded.
    pub created_seconds: u64,
    /// The names of members, by the ids that stand for them.
    pub members: BTreeMap<NodeId, String>,
    /// The operators, model families and weights of members.
    pub provenance: BTreeMap<NodeId, Provenance>,
    /// Judges with a pair that was recorded in one order only.
    pub one_sided: BTreeSet<NodeId>,
}

/// What is wrong with a line, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LineError {
    /// Number of the line, from 1.
    pub line: usize,
    /// The reason.
    pub why: String,
}

/// Reads rounds, one from each line; empty lines are skipped.
///
/// # Errors
/// [`LineError`] for the first line that is not a round.
pub fn read(text: &str) -> Result<Vec<Round>, LineError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            serde_json::from_str::<RecordedRound>(line)
                .map_err(|error| without_line(&error))
                .and_then(|record| record.round(at + 1))
                .map_err(|why| LineError { line: at + 1, why })
        })
        .collect()
}

/// The message of serde_json ends in "at line 1 column 7", which looks like a line of the file.
fn without_line(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let reason = message.split(" at line ").next().unwrap_or(&message);
    format!("{reason} (column {})", error.column())
}

impl RecordedRound {
    fn round(mut self, line: usize) -> Result<Round, String> {
        if let Some(inner) = self.round.take() {
            self = Self {
                kind: self.family.take().or(self.kind),
                question: self.question,
                rights: self.rights,
                canary: self.canary,
                ..*inner
            };
        }
        let candidates = self.candidates.ok_or("there are no `candidates`")?;
        let id = self.id.unwrap_or_else(|| format!("line {line}"));
        let right = label(self.gold, self.rights, candidates.len())?;
        let judging = pairing::cast(self.ballots, candidates.len())?;
        let mut members: BTreeMap<NodeId, String> = BTreeMap::new();
        members.extend(judging.names.iter().map(|name| (node(name), name.clone())));
        let writers = candidates.iter().filter_map(|candidate| candidate.writer.as_ref());
        members.extend(writers.map(|name| (node(name), name.clone())));
        let question = self.question.unwrap_or_default();
        let pools = pools(&question, &candidates);
        let pooled_candidates = candidates.into_iter().zip(pools).enumerate();
        let candidates = pooled_candidates.map(|(at, (record, pool))| {
            // Without a recorded writer, the candidate gets a writer that occurs nowhere else.
            let writer = record.writer.unwrap_or_else(|| format!("candidate {at} of {id}"));
            candidate::Candidate {
                writer: node(&writer),
                model: record.model,
                text: if record.text.is_empty() {
                    record.answer.unwrap_or_default()
                } else {
                    record.text
                },
                tool_calls: Vec::new(),
                tokens: Vec::new(),
                finish: Finish::Stop,
                prompt_tokens: record.prompt_tokens,
                completion_tokens: record.completion_tokens,
                cached_tokens: 0,
                reasoning_tokens: 0,
                logprob: record.logprob,
                took: Duration::from_secs_f64(record.took_ms.clamp(0.0, 1e9) / 1e3),
                first_piece: Duration::ZERO,
                pool,
            }
        });
        Ok(Round {
            candidates: candidates.collect(),
            question,
            kind: self.kind,
            ballots: judging.ballots,
            right,
            canary: self.canary,
            created_seconds: self.created.unwrap_or(0),
            provenance: self
                .members
                .into_iter()
                .map(|(name, provenance)| (node(&name), provenance))
                .collect(),
            one_sided: judging.one_sided,
            members,
            id,
        })
    }
}

/// Whether each candidate is right; None without a label.
fn label(
    gold: Option<Label>,
    rights: Option<Vec<bool>>,
    candidates: usize,
) -> Result<Option<Vec<bool>>, String> {
    let right = match (gold, rights) {
        (Some(Label::One(right)), _) => vec![right],
        (Some(Label::Any(right)), _) => right,
        (None, Some(rights)) if rights.len() == candidates => return Ok(Some(rights)),
        (None, Some(rights)) => {
            return Err(format!("{} `rights` for {candidates} candidates", rights.len()));
        }
        (None, None) => return Ok(None),
    };
    if let Some(index) = right.iter().find(|at| **at >= candidates) {
        return Err(format!("`gold` names candidate {index} of {candidates}, counted from 0"));
    }
    Ok(Some((0..candidates).map(|at| right.contains(&at)).collect()))
}

/// The pools of equal candidates: by key, else by the final answer of the text, else by the recorded
/// pool. A candidate without these has its own pool.
fn pools(question: &str, candidates: &[Candidate]) -> Vec<usize> {
    let question = Question::new(question);
    let answers: Vec<Answer> = (candidates.iter().enumerate())
        .map(|(at, candidate)| answer(at, candidate, &question))
        .collect();
    answer::pools(&answers)
}

/// No final answer of a text has two lines, so these forms do not collide with those of texts.
fn answer(at: usize, candidate: &Candidate, question: &Question) -> Answer {
    match (&candidate.answer, candidate.pool) {
        (Some(answer), _) => Answer::exact(format!("answer\n{answer}")),
        (None, _) if !candidate.text.trim().is_empty() => Answer::new(&candidate.text, question),
        (None, Some(pool)) => Answer::exact(format!("pool\n{pool}")),
        (None, None) => Answer::exact(format!("candidate\n{at}")),
    }
}
