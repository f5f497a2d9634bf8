//! LLMBar (Z. Zeng et al., 2024): two answers, one of which follows the instruction; six raters
//! were recorded in both orders.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};

use super::{
    files,
    round::{Candidate, Line, Order},
};

/// How the raters were asked.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub name: &'static str,
    strategies: &'static [&'static str],
}

/// The three headline ways to ask, and each rater asked in all three: its word is their mean.
pub const SETUPS: [Setup; 4] = [
    Setup { name: "asked plainly with rules", strategies: &["Vanilla"] },
    Setup { name: "asked to reason first", strategies: &["CoT"] },
    Setup { name: "asked without rules", strategies: &["Vanilla_NoRules"] },
    Setup { name: "asked all three ways", strategies: &["Vanilla", "CoT", "Vanilla_NoRules"] },
];

/// The adversarial part was made so that the worse answer looks better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Natural,
    Adversarial,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Adversarial => "adversarial",
        }
    }

    fn holds(self, subset: &str) -> bool {
        match self {
            Self::Natural => subset == "LLMBar/Natural",
            Self::Adversarial => subset.starts_with("LLMBar/Adversarial/"),
        }
    }
}

/// What the swarm is wanted to reach with so many canaries.
pub fn wanted(part: Part, gold: usize) -> Option<f64> {
    match (part, gold) {
        (Part::Natural, 0) => None,
        (Part::Natural, _) => Some(0.96),
        (Part::Adversarial, 0) => Some(0.76),
        (Part::Adversarial, _) => Some(0.87),
    }
}

/// The rounds of one part, in the order of the file.
///
/// # Errors
/// When the file is not there or not as described.
pub fn rounds(folder: &Path, setup: Setup, part: Part) -> Result<Vec<Line>> {
    let mut lines: BTreeMap<(String, usize), Line> = BTreeMap::new();
    for row in files::table(&folder.join("llmbar/votes.csv.gz"))? {
        let cell = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
        if !part.holds(cell("subset")) || !setup.strategies.contains(&cell("strategy")) {
            continue;
        }
        let at = (cell("subset").to_owned(), cell("idx").parse().context("idx")?);
        let gold: usize = cell("gold").parse().context("gold")?;
        let line = lines.entry(at).or_insert_with_key(|(subset, idx)| Line {
            id: format!("{subset} {idx}"),
            candidates: vec![Candidate::default(); 2],
            gold: Some(vec![gold - 1]),
            ..Line::default()
        });
        let (first, second) = if cell("swapped") == "0" { (0, 1) } else { (1, 0) };
        let p = match cell("winner") {
            "1" => f64::from(u8::from(first == 0)),
            "2" => f64::from(u8::from(first == 1)),
            // What could not be read said nothing.
            _ => 0.5,
        };
        line.ballots.push(Order { judge: cell("rater").to_owned(), first, second, p });
    }
    Ok(lines.into_values().collect())
}
