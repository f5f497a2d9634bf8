//! Questions that no specialist answers. A specialist learns to abstain on them.
//!
//! The texts are drawn from templates and word tables of this project (`outside/*.txt`), and from
//! [`noise`]. Every eighth entry of each table is held out: training never sees it, so that
//! questions of [`Part::HeldOut`] measure whether abstention generalises.

mod dress;
mod noise;
mod template;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use template::{Entries, Template};

/// The use of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Train,
    /// Only templates, and words where the table has enough, that training never uses.
    HeldOut,
}

/// Kinds of questions outside of the syllabus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// General knowledge, in one sentence.
    Facts,
    /// Writing, code, translation, formats.
    Requests,
    /// Calculations and dates that look like the syllabus and are not in it.
    Numbers,
    /// Word problems beyond the syllabus' plots.
    Stories,
    /// A text with numbers, and a question about it.
    Passages,
    /// Questions with lettered choices.
    Choices,
    /// Greetings, fragments, conversations, system texts.
    SmallTalk,
    /// Languages other than English.
    Foreign,
    /// Random letters, words and marks.
    Noise,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Facts,
        Self::Requests,
        Self::Numbers,
        Self::Stories,
        Self::Passages,
        Self::Choices,
        Self::SmallTalk,
        Self::Foreign,
        Self::Noise,
    ];

    /// Its name in cards.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Facts => "facts",
            Self::Requests => "requests",
            Self::Numbers => "numbers",
            Self::Stories => "stories",
            Self::Passages => "passages",
            Self::Choices => "choices",
            Self::SmallTalk => "small talk",
            Self::Foreign => "other languages",
            Self::Noise => "noise",
        }
    }

    /// The templates; `None` for [`Kind::Noise`], which has none.
    fn templates(self) -> Option<&'static str> {
        match self {
            Self::Facts => Some(include_str!("outside/facts.txt")),
            Self::Requests => Some(include_str!("outside/requests.txt")),
            Self::Numbers => Some(include_str!("outside/numbers.txt")),
            Self::Stories => Some(include_str!("outside/stories.txt")),
            Self::Passages => Some(include_str!("outside/passages.txt")),
            Self::Choices => Some(include_str!("outside/choices.txt")),
            Self::SmallTalk => Some(include_str!("outside/smalltalk.txt")),
            Self::Foreign => Some(include_str!("outside/foreign.txt")),
            Self::Noise => None,
        }
    }

    /// Its share of the questions. Calculations are the most frequent, because they are the easiest
    /// to mistake for the syllabus.
    fn weight(self) -> u32 {
        match self {
            Self::Numbers => 30,
            Self::Facts | Self::Requests => 16,
            Self::Stories | Self::Choices => 9,
            Self::SmallTalk => 8,
            Self::Passages | Self::Noise => 5,
            Self::Foreign => 2,
        }
    }
}

/// Longest question in bytes: long rows make a training step slow.
const LONGEST: usize = 440;

/// A question of a random kind.
pub(crate) fn question(part: Part, rng: &mut ChaCha8Rng) -> String {
    let sum: u32 = Kind::ALL.iter().map(|kind| kind.weight()).sum();
    let mut place = rng.random_range(0..sum);
    let kind = Kind::ALL.into_iter().find(|kind| {
        let entry_index = place < kind.weight();
        place = place.saturating_sub(kind.weight());
        entry_index
    });
    question_of_kind(kind.unwrap_or(Kind::Facts), part, rng)
}

/// A question of that kind, at most [`LONGEST`] bytes long.
pub(crate) fn question_of_kind(kind: Kind, part: Part, rng: &mut ChaCha8Rng) -> String {
    loop {
        let text = match kind.templates() {
            Some(lines) => {
                let lines = Entries::lines(lines);
                Template { part }.expand(lines.pick(part, rng), rng)
            }
            None => noise::text(part, rng),
        };
        let text = dress::outside(text, part, rng);
        if text.len() <= LONGEST {
            return text;
        }
    }
}

/// A question of the syllabus in the wrapping that other questions have too (politeness, lower case,
/// a missing full stop), so that the wrapping alone is no reason to abstain.
pub(crate) fn wrap(question: &str, rng: &mut ChaCha8Rng) -> String {
    dress::inside(question.to_owned(), rng)
}
