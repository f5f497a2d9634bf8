//! The public list of question kinds that the swarm examines in.
//!
//! The trainer draws from [`Split::Train`], the gateway's entrance examination from
//! [`Split::Gold`], the evaluation from [`Split::Test`]. A problem belongs to exactly one split,
//! whatever words it is put in, so nobody is examined in what it was trained on.
//!
//! ```
//! use shoal_syllabus::{Family, Split, grade, questions};
//!
//! let question = questions(&[Family::Add], Split::Test, 7).next().unwrap();
//! assert!(grade(&question, &format!("... Answer: {}", question.answer)));
//! assert!(!grade(&question, "Answer: I would rather not say"));
//! ```

mod problem;
mod draw;
mod phrase;
mod words;
#[cfg(test)]
mod tests;

pub use problem::{DAYS, Measure, Plot, Problem};

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

/// A kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    Add,
    Subtract,
    Multiply,
    /// Whole quotient and remainder.
    Divide,
    /// The largest or smallest of two to five numbers.
    Compare,
    Sort,
    /// How often a letter occurs in a word.
    Count,
    /// A word's letters, or a list of words, backwards.
    Reverse,
    /// The weekday some days before or after another.
    Weekday,
    /// The time some minutes after another.
    Clock,
    /// Units of length, weight, volume and time.
    Convert,
    /// One linear equation in one variable.
    Equation,
    /// Short word problems of one or two steps.
    Story,
}

impl Family {
    pub const ALL: [Self; 13] = [
        Self::Add,
        Self::Subtract,
        Self::Multiply,
        Self::Divide,
        Self::Compare,
        Self::Sort,
        Self::Count,
        Self::Reverse,
        Self::Weekday,
        Self::Clock,
        Self::Convert,
        Self::Equation,
        Self::Story,
    ];

    /// A lower-case word, stable: it names the family in cards, metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Subtract => "subtract",
            Self::Multiply => "multiply",
            Self::Divide => "divide",
            Self::Compare => "compare",
            Self::Sort => "sort",
            Self::Count => "count",
            Self::Reverse => "reverse",
            Self::Weekday => "weekday",
            Self::Clock => "clock",
            Self::Convert => "convert",
            Self::Equation => "equation",
            Self::Story => "story",
        }
    }

    /// The capability tag of who is good at it (PROTOCOL.md).
    pub fn tag(self) -> &'static str {
        match self {
            Self::Add => "addition",
            Self::Subtract => "subtraction",
            Self::Multiply => "multiplication",
            Self::Divide => "division",
            Self::Compare => "comparison",
            Self::Sort => "sorting",
            Self::Count | Self::Reverse => "letters",
            Self::Weekday => "calendar",
            Self::Clock => "time",
            Self::Convert => "units",
            Self::Equation => "equations",
            Self::Story => "word-problems",
        }
    }

    /// The family of that [`name`](Self::name).
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.name() == name)
    }
}

/// What a problem may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// 80 in 100.
    Train,
    /// 8 in 100: examinations and hidden audits.
    Gold,
    /// 12 in 100: what the project's own figures are measured on.
    Test,
}

impl Split {
    /// The split of a problem: FNV-1a of its key, the same on every machine and in every version.
    pub fn of(problem: &Problem) -> Self {
        let start = 0xcbf2_9ce4_8422_2325_u64;
        let hash = problem
            .key()
            .bytes()
            .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // The low bits of FNV depend on few input bits: fold the high half in.
        match ((hash >> 32) ^ hash) % 100 {
            0..80 => Self::Train,
            80..88 => Self::Gold,
            _ => Self::Test,
        }
    }
}

/// A question as it is asked, and what is right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub family: Family,
    /// What the model reads.
    pub text: String,
    /// What stands after `Answer:` when it is right.
    pub answer: String,
    pub problem: Problem,
}

/// Questions without end, evenly over `families` (all of them when empty), the same for the same
/// seed. Problems of the small families come again after some hundreds.
pub fn questions(families: &[Family], split: Split, seed: u64) -> Questions {
    let families = if families.is_empty() { &Family::ALL } else { families };
    let rng = ChaCha8Rng::seed_from_u64(seed);
    Questions { families: families.to_vec(), round: Vec::new(), split, rng }
}

/// See [`questions`].
#[derive(Clone, Debug)]
pub struct Questions {
    families: Vec<Family>,
    /// What is left of the current pass over the families.
    round: Vec<Family>,
    split: Split,
    rng: ChaCha8Rng,
}

impl Questions {
    /// The next question of one family.
    pub fn of(&mut self, family: Family) -> Question {
        let problem = loop {
            let problem = draw::problem(family, &mut self.rng);
            if Split::of(&problem) == self.split {
                break problem;
            }
        };
        let wording = self.rng.random_range(0..u32::MAX) as usize;
        let text = phrase::text(&problem, wording);
        Question { family, text, answer: problem.answer(), problem }
    }
}

impl Iterator for Questions {
    type Item = Question;

    fn next(&mut self) -> Option<Question> {
        if self.round.is_empty() {
            self.round.clone_from(&self.families);
            self.round.shuffle(&mut self.rng);
        }
        let family = self.round.pop()?;
        Some(self.of(family))
    }
}

/// What follows the last `Answer:`, up to the end of the line, without a closing full stop.
pub fn final_answer(text: &str) -> Option<&str> {
    let (_, tail) = text.rsplit_once("Answer:")?;
    let line = tail.trim_start().lines().next()?.trim();
    let line = line.strip_suffix('.').unwrap_or(line).trim_end();
    (!line.is_empty()).then_some(line)
}

/// Whether a model's text ends in the right answer. Case, spaces and `*` or backtick marks around
/// words do not matter; anything else does.
pub fn grade(question: &Question, text: &str) -> bool {
    final_answer(text).is_some_and(|given| plain(given) == plain(&question.answer))
}

fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '*' | '`')).collect();
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let line = words.join(" ");
    line.strip_suffix('.').map(str::to_owned).unwrap_or(line)
}
