//! Questions of science that take a step of thought, with labelled options, from a table of this project.
//!
//! They are harder than [`super::knowledge`]: a member that names every capital may still not know why a steel
//! boat floats. They are few, so none is for training.

use std::sync::LazyLock;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{GeneralKind, GeneralQuestion, knowledge::options_question};
use crate::{draw::pick, split::Split};

/// One question on each line: the question, the right option and three wrong ones, between bars.
static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    let lines = include_str!("science.txt").lines();
    lines.filter_map(Item::from_line).collect()
});

struct Item {
    question: &'static str,
    right: &'static str,
    wrong: Vec<&'static str>,
}

impl Item {
    fn from_line(line: &'static str) -> Option<Self> {
        let mut fields = line.split('|');
        Some(Self { question: fields.next()?, right: fields.next()?, wrong: fields.collect() })
    }
}

/// A question of this split, of which [`Split::Test`] has every third and [`Split::Train`] none.
pub(super) fn question(rng: &mut ChaCha8Rng, split: Split) -> GeneralQuestion {
    let is_test = split == Split::Test;
    let numbered = ITEMS.iter().enumerate();
    let items: Vec<(usize, &Item)> =
        numbered.filter(|(at, _)| at.is_multiple_of(3) == is_test).collect();
    let (number, item) = *pick(rng, &items);
    let mut options = item.wrong.clone();
    options.insert(rng.random_range(0..=options.len()), item.right);
    let key = format!("science {number}");
    GeneralQuestion {
        kind: GeneralKind::Science,
        ..options_question(rng, item.question, &options, item.right, key)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_line_has_a_question_of_its_own_and_four_different_options() {
        let questions: HashSet<&str> = ITEMS.iter().map(|item| item.question).collect();
        assert_eq!(questions.len(), ITEMS.len());
        assert!(ITEMS.len() >= 90, "{}", ITEMS.len());
        for item in ITEMS.iter() {
            let options: HashSet<&str> = item.wrong.iter().copied().chain([item.right]).collect();
            assert_eq!(options.len(), 4, "{}", item.question);
            assert!(item.question.ends_with(['?', '.']), "{}", item.question);
        }
    }
}
