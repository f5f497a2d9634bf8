//! The questions, read where somebody has them and never copied: GSM8K, SVAMP, HumanEval.

use std::{fs, io::Read as _, path::Path};

use anyhow::{Context as _, Result, bail};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use shoal_consensus::agree;

use super::sandbox::Program;

/// A collection of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// Grade-school word problems (arXiv 2110.14168), its test part.
    Gsm8k,
    /// The same with misleading variations (arXiv 2103.07191).
    Svamp,
    /// Python functions with tests (arXiv 2107.03374).
    Humaneval,
}

/// One question, and what makes an answer right.
#[derive(Clone, Debug)]
pub struct Question {
    pub id: String,
    /// As the swarm is asked.
    pub text: String,
    pub key: Key,
    /// Tokens that an answer may have.
    pub tokens: u32,
}

/// What makes an answer right.
#[derive(Clone, Debug)]
pub enum Key {
    /// This number, in its shortest form.
    Number(String),
    /// These tests pass.
    Tests { prompt: String, entry: String, tests: String },
}

/// Draws the order in which questions are asked, so that the first hundred are a fair sample.
const SEED: u64 = 2_501_024_801;

/// How an answer to a word problem is to end, so that equal answers can be pooled.
const NUMBER: &str = "\n\nReason briefly, in at most five short lines. End with a line \"Answer: N\", \
    where N is the number alone.";

impl Set {
    pub const ALL: [Self; 3] = [Self::Gsm8k, Self::Svamp, Self::Humaneval];

    pub fn name(self) -> &'static str {
        match self {
            Self::Gsm8k => "gsm8k",
            Self::Svamp => "svamp",
            Self::Humaneval => "humaneval",
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Gsm8k => "gsm8k_test.jsonl",
            Self::Svamp => "svamp.jsonl",
            Self::Humaneval => "HumanEval.jsonl.gz",
        }
    }

    /// All of them, in the order in which they are asked.
    ///
    /// # Errors
    /// When the file is not below `shared` or is not what it should be.
    pub fn read(self, shared: &Path) -> Result<Vec<Question>> {
        let path = shared.join("data/questions").join(self.file());
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let text = match self {
            Self::Humaneval => {
                let mut text = String::new();
                flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text)?;
                text
            }
            Self::Gsm8k | Self::Svamp => String::from_utf8(bytes)?,
        };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let mut questions = lines
            .map(|(at, line)| {
                self.question(at, line).with_context(|| format!("{}:{}", path.display(), at + 1))
            })
            .collect::<Result<Vec<_>>>()?;
        questions.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
        Ok(questions)
    }

    fn question(self, at: usize, line: &str) -> Result<Question> {
        let word_problem = |text: String, answer: &str| {
            let number = agree::final_answer(&format!("Answer: {answer}"));
            let key = Key::Number(number);
            let id = format!("{}/{at}", self.name());
            Question { id, text: text + NUMBER, key, tokens: 220 }
        };
        Ok(match self {
            Self::Gsm8k => {
                let Gsm8k { question, answer } = serde_json::from_str(line)?;
                let Some((_, answer)) = answer.rsplit_once("####") else { bail!("no answer") };
                word_problem(question, answer.trim())
            }
            Self::Svamp => {
                let Svamp { body, question, answer } = serde_json::from_str(line)?;
                word_problem(format!("{} {}", body.trim(), question.trim()), &answer.to_string())
            }
            Self::Humaneval => {
                let HumanEval { task_id, prompt, entry_point, test } = serde_json::from_str(line)?;
                let text = format!(
                    "Complete this Python function. Reply with the whole function, without its \
                     docstring, in one block of code and with nothing else.\n\n```python\n{}\n```",
                    prompt.trim()
                );
                let key = Key::Tests { prompt, entry: entry_point, tests: test };
                Question { id: task_id, text, key, tokens: 320 }
            }
        })
    }
}

#[derive(Deserialize)]
struct Gsm8k {
    question: String,
    answer: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Svamp {
    body: String,
    question: String,
    answer: f64,
}

#[derive(Deserialize)]
struct HumanEval {
    task_id: String,
    prompt: String,
    entry_point: String,
    test: String,
}

impl Key {
    /// Whether an answer is right.
    ///
    /// # Errors
    /// When a program cannot be run at all.
    pub async fn grade(&self, answer: &str) -> Result<bool> {
        match self {
            Self::Number(number) => Ok(number_in(answer) == *number),
            Self::Tests { prompt, entry, tests } => {
                Program::of(prompt, entry, answer).passes(tests).await
            }
        }
    }
}

/// The number that an answer ends with, whatever stands beside it.
fn number_in(answer: &str) -> String {
    let said = agree::final_answer(answer);
    let numbers =
        said.split_whitespace().map(|word| agree::final_answer(&format!("Answer: {word}")));
    let is_number = |word: &String| word.contains(|c: char| c.is_ascii_digit());
    let number = numbers.into_iter().find(is_number).unwrap_or_else(|| said.clone());
    number.trim_end_matches('%').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_is_right_however_it_is_dressed() {
        let key = Set::Svamp.question(
            0,
            r#"{"Body":"Ada has 100 eggs.","Question":"How many?","Answer":1450.0,"Type":"x"}"#,
        );
        let key = key.unwrap().key;
        for right in
            ["Answer: 1450", "so\nAnswer: $1,450.00", "**Answer: 1450 eggs**", "\\boxed{1450}"]
        {
            assert!(key.grade(right).await.unwrap(), "{right}");
        }
        for wrong in ["Answer: 145", "1450 is too many.\nAnswer: 14.5", "I cannot say", ""] {
            assert!(!key.grade(wrong).await.unwrap(), "{wrong}");
        }
    }

    #[test]
    fn the_published_sets_are_read_where_they_are() {
        let shared = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
        if !shared.join("data/questions").is_dir() {
            eprintln!("skipped: there is no ../shared with data/questions");
            return;
        }
        for (set, count) in [(Set::Gsm8k, 1319), (Set::Svamp, 300), (Set::Humaneval, 164)] {
            let questions = set.read(shared).unwrap();
            assert!(questions.len() >= count, "{}: {}", set.name(), questions.len());
            let ids: std::collections::BTreeSet<_> = questions.iter().map(|one| &one.id).collect();
            assert_eq!(ids.len(), questions.len());
        }
    }
}
