//! The questions of GSM8K, SVAMP and HumanEval. They are read from a folder outside the project, if it exists.

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

/// One question, and its key.
#[derive(Clone, Debug)]
pub struct Question {
    pub id: String,
    /// The problem without a required form of the answer.
    pub problem: String,
    /// The prompt.
    pub text: String,
    pub key: Key,
    /// Maximum tokens of an answer.
    pub tokens: u32,
}

/// The condition for a right answer.
#[derive(Clone, Debug)]
pub enum Key {
    /// This number, in its shortest form.
    Number(String),
    /// These tests pass.
    Tests { prompt: String, entry: String, tests: String },
}

/// Seed of the order of the questions: it is random, so that the first hundred are a fair sample.
const SEED: u64 = 2_501_024_801;

/// The required end of an answer to a word problem, so that equal answers can be pooled.
const NUMBER: &str = "\n\nReason briefly, in at most five short lines. End with a line \"Answer: N\", \
    where N is the number alone.";

impl Set {
    pub const ALL: [Self; 3] = [Self::Gsm8k, Self::Svamp, Self::Humaneval];

    /// The name in records and tables.
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

    /// All questions, in the order of the experiment.
    ///
    /// # Errors
    /// If the file below `corpora` is missing or has another format.
    pub fn read(self, corpora: &Path) -> Result<Vec<Question>> {
        let path = corpora.join("data/questions").join(self.file());
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
        Ok(match self {
            Self::Gsm8k => {
                let Gsm8k { question, answer } = serde_json::from_str(line)?;
                let Some((_, answer)) = answer.rsplit_once("####") else { bail!("no answer") };
                self.word_problem(at, question, answer.trim())
            }
            Self::Svamp => {
                let Svamp { body, question, answer } = serde_json::from_str(line)?;
                let text = format!("{} {}", body.trim(), question.trim());
                self.word_problem(at, text, &answer.to_string())
            }
            Self::Humaneval => {
                let HumanEval { task_id, prompt, entry_point, test } = serde_json::from_str(line)?;
                let text = format!(
                    "Complete this Python function. Reply with the whole function, without its \
                     docstring, in one block of code and with nothing else.\n\n```python\n{}\n```",
                    prompt.trim()
                );
                let key = Key::Tests { prompt, entry: entry_point, tests: test };
                Question { id: task_id, problem: text.clone(), text, key, tokens: 320 }
            }
        })
    }

    fn word_problem(self, at: usize, text: String, answer: &str) -> Question {
        Question {
            id: format!("{}/{at}", self.name()),
            problem: text.clone(),
            text: text + NUMBER,
            key: Key::Number(agree::final_answer(&format!("Answer: {answer}"))),
            tokens: 220,
        }
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
    /// If a program cannot be run at all.
    pub async fn grade(&self, answer: &str) -> Result<bool> {
        match self {
            Self::Number(number) => Ok(number_in(answer) == *number),
            Self::Tests { prompt, entry, tests } => {
                Program::new(prompt, entry, answer).passes(tests).await
            }
        }
    }
}

/// The number at the end of an answer, without text around it.
fn number_in(answer: &str) -> String {
    let text = agree::final_answer(answer);
    let number = text
        .split_whitespace()
        .map(|word| agree::final_answer(&format!("Answer: {word}")))
        .find(|word| word.contains(|c: char| c.is_ascii_digit()))
        .unwrap_or_else(|| text.clone());
    number.trim_end_matches('%').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_number_is_right_with_any_text_around_it() {
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
        let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
        if !corpora.join("data/questions").is_dir() {
            eprintln!("skipped: there is no ../shared with data/questions");
            return;
        }
        for (set, count) in [(Set::Gsm8k, 1319), (Set::Svamp, 300), (Set::Humaneval, 164)] {
            let questions = set.read(corpora).unwrap();
            assert!(questions.len() >= count, "{}: {}", set.name(), questions.len());
            let ids: std::collections::BTreeSet<_> =
                questions.iter().map(|question| &question.id).collect();
            assert_eq!(ids.len(), questions.len());
        }
    }
}
