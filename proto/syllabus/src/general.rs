//! General questions: what any assistant is asked, generated from a seed, each with a program that
//! checks the answer. No name, number or program in them stands anywhere else, except in the common
//! knowledge.

mod check;
mod rules;
mod pools;
mod scene;
mod reading;
mod instructions;
mod knowledge;
mod code;
mod extraction;
mod recall;
mod science;
#[cfg(test)]
mod tests;

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{draw::pick, split::Split};

pub use check::{Check, Choice, Names, Number, Sequence, Unknown};
pub use rules::Rule;

/// A kind of general question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GeneralKind {
    /// A question about a fact in a passage of invented facts.
    Reading,
    /// An instruction that a program can verify.
    Instructions,
    /// Common knowledge.
    Knowledge,
    /// Common knowledge with labelled options, of which the letter is the answer.
    Choice,
    /// Science that takes a step of thought, with labelled options. Not for training.
    Science,
    /// The output of a small program.
    Code,
    /// A value to find in a text, or a text to transform.
    Extraction,
    /// A question about something that the user said earlier in the conversation.
    Recall,
    /// A question that the passage does not answer.
    Unanswerable,
}

impl GeneralKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::Reading,
        Self::Instructions,
        Self::Knowledge,
        Self::Choice,
        Self::Science,
        Self::Code,
        Self::Extraction,
        Self::Recall,
        Self::Unanswerable,
    ];

    /// Whether the split has questions of this kind.
    pub fn is_in(self, split: Split) -> bool {
        self != Self::Science || split != Split::Train
    }

    /// The name in records, metrics and tables. It never changes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reading => "general/reading",
            Self::Instructions => "general/instructions",
            Self::Knowledge => "general/knowledge",
            Self::Choice => "general/choice",
            Self::Science => "general/science",
            Self::Code => "general/code",
            Self::Extraction => "general/extraction",
            Self::Recall => "general/recall",
            Self::Unanswerable => "general/unanswerable",
        }
    }
}

/// The speaker of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// The person who asks.
    User,
    /// The model.
    Assistant,
}

impl Role {
    /// The name in the messages of a chat.
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// Its speaker.
    pub role: Role,
    /// The text.
    pub content: String,
}

impl Turn {
    pub(crate) fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// A general question with a known answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneralQuestion {
    /// The kind of question.
    pub kind: GeneralKind,
    /// The conversation. The last message is the user's.
    pub messages: Vec<Turn>,
    /// A right answer, as a model may write it.
    pub answer: String,
    /// At least two wrong answers in the style of the right one.
    pub wrong: Vec<String>,
    /// How an answer is graded.
    pub check: Check,
    /// The problem without its wording: [`Split`] depends on it.
    pub(crate) key: String,
}

impl GeneralQuestion {
    /// Whether a model's text is right. Sentences, markdown, case and punctuation around the answer do
    /// not matter; a text that offers several answers is wrong.
    pub fn grade(&self, text: &str) -> bool {
        self.check.grade(text)
    }
}

/// An endless list of general questions, spread evenly over `kinds` (over all if that is empty) that have
/// questions of this split. The same seed gives the same list.
pub fn general_questions(kinds: &[GeneralKind], split: Split, seed: u64) -> GeneralQuestions {
    let kinds = if kinds.is_empty() { &GeneralKind::ALL } else { kinds };
    let kinds = kinds.iter().copied().filter(|kind| kind.is_in(split)).collect();
    let rng = ChaCha8Rng::seed_from_u64(seed);
    GeneralQuestions { kinds, pass: Vec::new(), split, rng }
}

/// The iterator of [`general_questions`].
#[derive(Clone, Debug)]
pub struct GeneralQuestions {
    kinds: Vec<GeneralKind>,
    /// The rest of the current pass over the kinds.
    pass: Vec<GeneralKind>,
    split: Split,
    rng: ChaCha8Rng,
}

impl GeneralQuestions {
    fn next_of_kind(&mut self, kind: GeneralKind) -> GeneralQuestion {
        loop {
            let question = match kind {
                GeneralKind::Reading => reading::answerable(&mut self.rng),
                GeneralKind::Instructions => instructions::question(&mut self.rng),
                GeneralKind::Knowledge => knowledge::question(&mut self.rng),
                GeneralKind::Choice => knowledge::choice(&mut self.rng),
                GeneralKind::Science => return science::question(&mut self.rng, self.split),
                GeneralKind::Code => code::question(&mut self.rng),
                GeneralKind::Extraction => extraction::question(&mut self.rng),
                GeneralKind::Recall => recall::question(&mut self.rng),
                GeneralKind::Unanswerable => reading::unanswerable(&mut self.rng),
            };
            if Split::for_key(&question.key) == self.split {
                return question;
            }
        }
    }
}

impl Iterator for GeneralQuestions {
    type Item = GeneralQuestion;

    fn next(&mut self) -> Option<GeneralQuestion> {
        if self.pass.is_empty() {
            self.pass.clone_from(&self.kinds);
            self.pass.shuffle(&mut self.rng);
        }
        let kind = self.pass.pop()?;
        Some(self.next_of_kind(kind))
    }
}

/// Replaces `{0}`, `{1}` and so on.
fn fill(template: &str, values: &[&str]) -> String {
    let mut text = template.to_owned();
    for (index, value) in values.iter().enumerate() {
        text = text.replace(&format!("{{{index}}}"), value);
    }
    text
}

/// Different elements of a list, in random order: `count` of them or all.
fn sample<'a>(rng: &mut ChaCha8Rng, list: &[&'a str], count: usize) -> Vec<&'a str> {
    let mut list = list.to_vec();
    list.shuffle(rng);
    list.truncate(count);
    list
}

/// A random element of a list that is never empty.
fn wording<'a>(rng: &mut ChaCha8Rng, list: &[&'a str]) -> &'a str {
    let word: &&str = pick(rng, list);
    word
}

/// A text with its first letter in upper case, unless it is an e-mail address.
fn capitalize(text: &str) -> String {
    if text.contains('@') && !text.contains(' ') {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The right answer and the wrong ones in one style: as they are, as a sentence, after `Answer:`, or in
/// bold. `sentence` has `{}` where the answer stands.
fn in_one_style(
    rng: &mut ChaCha8Rng,
    sentence: &str,
    right: &str,
    wrong: &[String],
) -> (String, Vec<String>) {
    let style = rng.random_range(0..4);
    let wrong_texts = wrong.iter().map(|answer| text_in_style(style, sentence, answer)).collect();
    (text_in_style(style, sentence, right), wrong_texts)
}

fn text_in_style(style: usize, sentence: &str, answer: &str) -> String {
    match style {
        0 => capitalize(answer),
        1 => capitalize(&sentence.replace("{}", answer)),
        2 => format!("Answer: {answer}"),
        _ => capitalize(&sentence.replace("{}", &format!("**{answer}**"))),
    }
}
