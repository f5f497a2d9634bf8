//! Questions drawn from a seed, and the grading of answers.

use rand::{RngExt, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;

use crate::{draw, family::Family, phrase, problem::Problem, split::Split};

/// A question in words, and its right answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The kind of question.
    pub family: Family,
    /// The text that the model reads.
    pub text: String,
    /// The right answer, as a model writes it after `Answer:`.
    pub answer: String,
    /// The problem behind the text.
    pub problem: Problem,
}

/// An endless list of questions, spread evenly over `families` (over all if that is empty). The
/// same seed gives the same list. Small families repeat problems after a few hundred questions.
pub fn questions(families: &[Family], split: Split, seed: u64) -> Questions {
    let families = if families.is_empty() { &Family::ALL } else { families };
    let rng = ChaCha8Rng::seed_from_u64(seed);
    Questions { families: families.to_vec(), pass: Vec::new(), split, rng }
}

/// The iterator of [`questions`].
#[derive(Clone, Debug)]
pub struct Questions {
    families: Vec<Family>,
    /// The rest of the current pass over the families.
    pass: Vec<Family>,
    split: Split,
    rng: ChaCha8Rng,
}

impl Questions {
    /// The next question of one family.
    pub fn next_in_family(&mut self, family: Family) -> Question {
        let problem = loop {
            let problem = draw::problem(family, &mut self.rng);
            if Split::for_problem(&problem) == self.split {
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
        if self.pass.is_empty() {
            self.pass.clone_from(&self.families);
            self.pass.shuffle(&mut self.rng);
        }
        let family = self.pass.pop()?;
        Some(self.next_in_family(family))
    }
}

/// The text after the last `Answer:`, up to the end of the line and without a final full stop.
/// `None` if there is none.
pub fn final_answer(text: &str) -> Option<&str> {
    let (_, tail) = text.rsplit_once("Answer:")?;
    let line = tail.trim_start().lines().next()?.trim();
    let line = line.strip_suffix('.').unwrap_or(line).trim_end();
    (!line.is_empty()).then_some(line)
}

/// Whether the final answer of a model's text is right. The comparison ignores case, spaces, `*`
/// and backticks, and nothing else.
pub fn grade(question: &Question, text: &str) -> bool {
    final_answer(text).is_some_and(|answer| plain(answer) == plain(&question.answer))
}

fn plain(text: &str) -> String {
    let text: String = text.chars().filter(|c| !matches!(c, '*' | '`')).collect();
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    let line = words.join(" ");
    line.strip_suffix('.').map(str::to_owned).unwrap_or(line)
}
