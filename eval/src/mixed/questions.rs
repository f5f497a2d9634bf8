//! The questions of a mixed swarm with the protocol of their makers: word problems step by step with the
//! answer in a box and 512 tokens, a choice by its letter.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;
use shoal_consensus::agree;
use shoal_syllabus::{Split, accepts, questions};

use crate::real::questions as real;

/// A collection of questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Set {
    /// Questions of this project, twenty of each of twelve kinds.
    Plain,
    /// Held-out questions of the families that the bundled specialists know.
    Families,
    /// ARC-Challenge (arXiv 1803.05457), its test part: the letter only.
    Arc,
    /// Grade-school word problems (arXiv 2110.14168), their test part.
    Gsm8k,
    /// The same with misleading variations (arXiv 2103.07191).
    Svamp,
    /// Python functions with tests (arXiv 2107.03374).
    Humaneval,
    /// Five tasks of BIG-bench-hard (arXiv 2210.09261).
    Bbh,
}

/// One question, and its key.
#[derive(Clone, Debug)]
pub struct Question {
    pub id: String,
    pub text: String,
    pub key: Key,
    /// Maximum tokens of an answer.
    pub tokens: u32,
}

/// The condition for a right answer.
#[derive(Clone, Debug)]
pub enum Key {
    /// One of these stands in the answer as a whole word.
    Words(Vec<String>),
    /// The first letter of an option in the answer.
    Letter(char),
    /// A question of a family.
    Family(Box<shoal_syllabus::Question>),
    /// This final answer.
    Final(String),
    /// A number, or tests that pass.
    Real(real::Key),
}

/// Seed of the order of the questions: it is random, so that the first hundred are a fair sample.
const SEED: u64 = 1_611_301_130;

const PLAIN: &str = include_str!("../../mixed/plain.tsv");

/// Questions of the families that can be asked for.
const FAMILY_QUESTIONS: usize = 1_300;

const STEPS: &str = "\n\nPlease reason step by step, and put your final answer within \\boxed{}.";

impl Set {
    pub const ALL: [Self; 7] = [
        Self::Plain,
        Self::Families,
        Self::Arc,
        Self::Gsm8k,
        Self::Svamp,
        Self::Humaneval,
        Self::Bbh,
    ];

    /// The name in records and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Families => "families",
            Self::Arc => "arc",
            Self::Gsm8k => "gsm8k",
            Self::Svamp => "svamp",
            Self::Humaneval => "humaneval",
            Self::Bbh => "bbh",
        }
    }

    /// All questions, in the order of the experiment.
    ///
    /// # Errors
    /// If a file below `corpora` is missing or has another format.
    pub fn read(self, corpora: &Path) -> Result<Vec<Question>> {
        let folder = corpora.join("data/questions");
        let mut questions = match self {
            Self::Plain => plain(),
            Self::Families => families(),
            Self::Arc => arc(&folder.join("ARC-challenge_test.jsonl"))?,
            Self::Gsm8k => published(real::Set::Gsm8k, corpora)?,
            Self::Svamp => published(real::Set::Svamp, corpora)?,
            Self::Humaneval => published(real::Set::Humaneval, corpora)?,
            Self::Bbh => bbh(&folder.join("bbh"))?,
        };
        questions.shuffle(&mut ChaCha8Rng::seed_from_u64(SEED));
        Ok(questions)
    }
}

fn plain() -> Vec<Question> {
    let lines = PLAIN.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.filter_map(|line| {
        let mut cells = line.split('\t');
        Some((cells.next()?, cells.next()?, cells.next()?))
    });
    rows.enumerate()
        .map(|(at, (kind, text, accepted))| Question {
            id: format!("plain/{kind}/{at}"),
            text: text.to_owned(),
            key: Key::Words(accepted.split('|').map(str::to_lowercase).collect()),
            tokens: 256,
        })
        .collect()
}

fn families() -> Vec<Question> {
    let list = questions(&[], Split::Test, SEED).take(FAMILY_QUESTIONS).enumerate();
    list.map(|(at, question)| Question {
        id: format!("families/{}/{at}", question.family.tag()),
        text: question.text.clone(),
        key: Key::Family(Box::new(question)),
        tokens: 256,
    })
    .collect()
}

fn arc(path: &Path) -> Result<Vec<Question>> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        question: Stem,
        #[serde(rename = "answerKey")]
        key: String,
    }
    #[derive(Deserialize)]
    struct Stem {
        stem: String,
        choices: Vec<Choice>,
    }
    #[derive(Deserialize)]
    struct Choice {
        text: String,
        label: String,
    }
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .map(|line| {
            let Line { id, question, key } = serde_json::from_str(line)?;
            let place = question.choices.iter().position(|choice| choice.label == key);
            let place = place.with_context(|| format!("{id}: no option {key}"))?;
            let options: Vec<String> = ('A'..='E')
                .zip(&question.choices)
                .map(|(letter, choice)| format!("{letter}) {}", choice.text))
                .collect();
            let text =
                format!("{}\n{}\nAnswer with the letter only.", question.stem, options.join("\n"));
            let letter =
                ('A'..='E').nth(place).with_context(|| format!("{id}: too many options"))?;
            Ok(Question { id: format!("arc/{id}"), text, key: Key::Letter(letter), tokens: 64 })
        })
        .collect()
}

fn published(set: real::Set, corpora: &Path) -> Result<Vec<Question>> {
    let questions = set.read(corpora)?.into_iter().map(|question| {
        let text = match &question.key {
            real::Key::Number(_) => question.problem + STEPS,
            real::Key::Tests { .. } => question.text,
        };
        Question { id: question.id, text, key: Key::Real(question.key), tokens: 512 }
    });
    Ok(questions.collect())
}

fn bbh(folder: &Path) -> Result<Vec<Question>> {
    #[derive(Deserialize)]
    struct Task {
        examples: Vec<Example>,
    }
    #[derive(Deserialize)]
    struct Example {
        input: String,
        target: String,
    }
    let mut questions = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<_> = entries.collect::<Result<Vec<_>, _>>()?;
    paths.sort_by_key(fs::DirEntry::path);
    for entry in paths {
        let path = entry.path();
        let task: Task = serde_json::from_str(&fs::read_to_string(&path)?)
            .with_context(|| path.display().to_string())?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        questions.extend(task.examples.into_iter().enumerate().map(|(at, example)| Question {
            id: format!("bbh/{name}/{at}"),
            text: example.input + STEPS,
            key: Key::Final(final_form(&example.target)),
            tokens: 512,
        }));
    }
    Ok(questions)
}

/// The final answer without brackets around it and commas in it, so that `(A)` and `a, b` are `A` and `a b`.
fn final_form(text: &str) -> String {
    let answer = agree::final_answer(&format!("Answer: {text}"));
    let words = answer.split([' ', ',']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

impl Key {
    /// Whether an answer is right.
    ///
    /// # Errors
    /// If a program cannot be run at all.
    pub async fn grade(&self, answer: &str) -> Result<bool> {
        Ok(match self {
            Self::Words(accepted) => {
                let answer = answer.to_lowercase();
                accepted.iter().any(|words| holds(&answer, words))
            }
            Self::Letter(letter) => first_letter(answer) == Some(*letter),
            Self::Family(question) => accepts(question, answer),
            Self::Final(key) => final_form(&agree::final_answer(answer)) == *key,
            Self::Real(key) => key.grade(answer).await?,
        })
    }
}

/// Whether `words` stand in `text` with no letter or digit directly beside them. Signs need no space.
fn holds(text: &str, words: &str) -> bool {
    let is_inner = |sign: Option<char>| sign.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + words.len()..).and_then(|after| after.chars().next());
        let begins = words.chars().next().is_some_and(char::is_alphanumeric);
        let ends = words.chars().next_back().is_some_and(char::is_alphanumeric);
        let is_part = (begins && is_inner(before)) || (ends && is_inner(after));
        !is_part
    })
}

/// The first capital letter from A to E that stands alone.
fn first_letter(text: &str) -> Option<char> {
    let words = text.split(|sign: char| !sign.is_alphanumeric());
    words
        .filter_map(|word| {
            let mut letters = word.chars();
            letters.next().filter(|letter| ('A'..='E').contains(letter) && letters.next().is_none())
        })
        .next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_right_where_the_words_stand() {
        let key = Key::Words(vec!["paris".into(), "[::-1]".into(), "au".into()]);
        for right in ["It is Paris.", "**PARIS**", "s[::-1]", "Its symbol is Au."] {
            assert!(key.grade(right).await.unwrap(), "{right}");
        }
        for wrong in ["Parisian food", "London", "because", ""] {
            assert!(!key.grade(wrong).await.unwrap(), "{wrong}");
        }
        let key = Key::Letter('C');
        for (text, right) in [("C", true), ("C) iron", true), ("The answer is C.", true)] {
            assert_eq!(key.grade(text).await.unwrap(), right, "{text}");
        }
        assert!(!key.grade("B, not C").await.unwrap());
        let key = Key::Final(final_form("(A)"));
        assert!(key.grade("So it is \\boxed{(A)}").await.unwrap());
        assert!(key.grade("The answer is\n\\boxed{A}").await.unwrap());
        let key = Key::Final(final_form("alpha beta"));
        assert!(key.grade("\\boxed{alpha, beta}").await.unwrap());
    }

    #[test]
    fn there_are_plain_questions_of_twelve_kinds_and_none_twice() {
        let questions = plain();
        let texts: std::collections::BTreeSet<_> = questions.iter().map(|q| &q.text).collect();
        assert_eq!((questions.len(), texts.len()), (240, 240));
        let kinds: std::collections::BTreeSet<_> =
            questions.iter().filter_map(|q| q.id.split('/').nth(1)).collect();
        assert_eq!(kinds.len(), 12);
    }

    #[test]
    fn the_published_sets_are_read_where_they_are() {
        let corpora = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
        if !corpora.join("data/questions").is_dir() {
            eprintln!("skipped: there is no ../shared with data/questions");
            return;
        }
        for set in Set::ALL {
            let questions = set.read(corpora).unwrap();
            assert!(questions.len() >= 164, "{}: {}", set.name(), questions.len());
        }
    }
}
