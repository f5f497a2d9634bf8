//! A question with its answers and ballots: a line of `target/eval/real.jsonl`.

use std::{fs, io::ErrorKind, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use crate::record::Score;

/// One question, answered by all members and judged in every way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JudgedQuestion {
    /// Name of the collection of questions.
    pub set: String,
    pub id: String,
    pub question: String,
    pub candidates: Vec<Candidate>,
    /// Likelihoods of all candidates, one ballot for each judging model.
    pub likelihood: Vec<LikelihoodBallot>,
    /// Verdicts on both orders of pairs of pools, by the probability of the verdict's letter; None if the writers
    /// agree.
    pub logit: Option<PairBallot>,
    /// The same after a critique.
    #[serde(rename = "reasoned")]
    pub critique: Option<PairBallot>,
}

/// One member's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    pub writer: String,
    pub family: String,
    pub digest: String,
    pub text: String,
    pub right: bool,
    pub logprob: Option<f64>,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub took_ms: f64,
}

/// A likelihood ballot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodBallot {
    pub judge: Judge,
    pub scores: Vec<Score>,
    pub cost: Cost,
}

/// A judging model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judge {
    pub name: String,
    pub family: String,
    pub digest: String,
}

/// A ballot over pairs of candidates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairBallot {
    pub judge: Judge,
    pub orders: Vec<OrderedVerdict>,
    pub cost: Cost,
}

/// A verdict on two candidates in the order in which the judge read them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderedVerdict {
    pub first: usize,
    pub second: usize,
    /// P(the first is better).
    pub p: f64,
}

/// Tokens and time of a ballot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    #[serde(rename = "read")]
    pub prompt_tokens: u32,
    #[serde(rename = "written")]
    pub completion_tokens: u32,
    pub took_ms: f64,
}

impl Cost {
    /// Prompt and completion tokens together.
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }
}

impl Candidate {
    /// Prompt and completion tokens together.
    pub fn tokens(&self) -> u64 {
        u64::from(self.prompt_tokens) + u64::from(self.completion_tokens)
    }

    /// Whether the writer takes part in rounds. A specialist is asked outside the round, because a gateway
    /// with experience would not ask it for prose.
    pub fn is_general(&self) -> bool {
        !self.writer.starts_with("shoal-")
    }
}

/// All lines of a file; none if there is no file. An incomplete last line is ignored.
///
/// # Errors
/// If the file cannot be read or another line is not a record.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let whole = text.rfind('\n').and_then(|end| text.get(..end)).unwrap_or_default();
    let lines = whole.lines().enumerate();
    lines
        .map(|(at, line)| {
            serde_json::from_str(line).with_context(|| format!("{}:{}", path.display(), at + 1))
        })
        .collect()
}

/// Adds a line, after removing an incomplete line of an interrupted run.
///
/// # Errors
/// If the file cannot be written.
pub fn append<T: Serialize>(path: &Path, record: &T) -> Result<()> {
    use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
    let mut options = fs::OpenOptions::new();
    let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0))?;
    let line = serde_json::to_string(record)? + "\n";
    file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_continues_after_the_last_complete_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("real.jsonl");
        assert!(read::<u32>(&path).unwrap().is_empty());
        append(&path, &1).unwrap();
        fs::write(&path, "1\n2").unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), [1]);
        append(&path, &3).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), [1, 3]);
        fs::write(&path, "1\nx\n2\n").unwrap();
        assert!(read::<u32>(&path).unwrap_err().to_string().ends_with(":2"));
    }
}
