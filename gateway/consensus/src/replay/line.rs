//! A recorded round, as JSON Lines hold it. docs/REPLAY.md is the reference.
//!
//! Three shapes are read: rounds written for a replay, transcripts as `GET /v1/rounds/{id}` gives
//! them, and the records that `make eval` keeps.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use shoal_proto::{NodeId, generate::Finish};

use super::{
    pairing,
    recorded::{Candidate, Label, RecordedRound, node},
};
use crate::{
    agree::answer::{self, Answer},
    reputation::Kin,
};
use crate::{ballot, candidate};

/// A round, ready to be ranked.
#[derive(Clone, Debug)]
pub struct Round {
    pub id: String,
    /// Empty when it was not kept.
    pub question: String,
    pub kind: Option<String>,
    pub candidates: Vec<candidate::Candidate>,
    /// Both orders of a pair are one verdict, as a live round has it.
    pub ballots: Vec<ballot::CastBallot>,
    /// Whether each candidate is right; None without a label.
    pub right: Option<Vec<bool>>,
    /// Whether it may be used as gold; None when nothing is said.
    pub canary: Option<bool>,
    /// Unix time; 0 when it was not kept.
    pub created_seconds: u64,
    /// Everybody who has a name, by the id that stands for it.
    pub members: BTreeMap<NodeId, String>,
    /// Who shares an operator, a family or weights with whom.
    pub kin: BTreeMap<NodeId, Kin>,
    /// Judges that showed some pair in one order only.
    pub one_sided: BTreeSet<NodeId>,
}

/// What is wrong with a line, and where.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct LineError {
    /// From 1.
    pub line: usize,
    pub why: String,
}

/// Reads rounds, one a line; empty lines are skipped.
///
/// # Errors
/// [`LineError`] for the first line that is no round.
pub fn read(text: &str) -> Result<Vec<Round>, LineError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(at, line)| {
            let wrong = |why: String| LineError { line: at + 1, why };
            let written: RecordedRound =
                serde_json::from_str(line).map_err(|error| wrong(named(&error)))?;
            written.round(at + 1).map_err(wrong)
        })
        .collect()
}

/// serde_json says "at line 1 column 7", which would be read as a line of the file.
fn named(error: &serde_json::Error) -> String {
    let said = error.to_string();
    let what = said.split(" at line ").next().unwrap_or(&said);
    format!("{what} (column {})", error.column())
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
        let written = self.candidates.ok_or("there are no `candidates`")?;
        let id = self.id.unwrap_or_else(|| format!("line {line}"));
        let right = label(self.gold, self.rights, written.len())?;
        let judged = pairing::cast(self.ballots, written.len())?;
        let mut members: BTreeMap<NodeId, String> = BTreeMap::new();
        members.extend(judged.names.iter().map(|name| (node(name), name.clone())));
        let named = written.iter().filter_map(|one| one.writer.as_ref());
        members.extend(named.map(|name| (node(name), name.clone())));
        let pools = pools(&written);
        let candidates = written.into_iter().zip(pools).enumerate().map(|(at, (one, pool))| {
            // Who wrote it was not kept: nobody who could be learned about.
            let writer = one.writer.unwrap_or_else(|| format!("candidate {at} of {id}"));
            candidate::Candidate {
                writer: node(&writer),
                model: one.model,
                text: one.text,
                tool_calls: Vec::new(),
                tokens: Vec::new(),
                finish: Finish::Stop,
                prompt_tokens: one.prompt_tokens,
                completion_tokens: one.completion_tokens,
                cached_tokens: 0,
                logprob: one.logprob,
                took: Duration::from_secs_f64(one.took_ms.clamp(0.0, 1e9) / 1e3),
                first_piece: Duration::ZERO,
                pool,
            }
        });
        Ok(Round {
            candidates: candidates.collect(),
            question: self.question.unwrap_or_default(),
            kind: self.kind,
            ballots: judged.ballots,
            right,
            canary: self.canary,
            created_seconds: self.created.unwrap_or(0),
            kin: self.members.into_iter().map(|(name, kin)| (node(&name), kin)).collect(),
            one_sided: judged.one_sided,
            members,
            id,
        })
    }
}

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
    if let Some(none) = right.iter().find(|at| **at >= candidates) {
        return Err(format!("`gold` names candidate {none} of {candidates}, counted from 0"));
    }
    Ok(Some((0..candidates).map(|at| right.contains(&at)).collect()))
}

/// Which candidates say the same: by key, else by what the text says in the end, else as kept;
/// one that has nothing of these stands alone.
fn pools(candidates: &[Candidate]) -> Vec<usize> {
    // No text says anything of two lines in the end.
    let said = |(at, one): (usize, &Candidate)| match (&one.answer, one.pool) {
        (Some(answer), _) => Answer::exact(format!("answer\n{answer}")),
        (None, _) if !one.text.trim().is_empty() => Answer::of(&one.text),
        (None, Some(pool)) => Answer::exact(format!("pool\n{pool}")),
        (None, None) => Answer::exact(format!("candidate\n{at}")),
    };
    let answers: Vec<Answer> = candidates.iter().enumerate().map(said).collect();
    answer::pools(&answers)
}
