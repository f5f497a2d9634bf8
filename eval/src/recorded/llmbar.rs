//! LLMBar (Z. Zeng et al., 2024): two answers, one of which follows the instruction, and recorded verdicts of
//! six raters in both orders.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result};

use super::{
    files::{self, cell},
    round::{Candidate, Line, OrderedVerdict},
};

/// The prompts of the raters.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub name: &'static str,
    strategies: &'static [&'static str],
}

/// The three main prompts, and the mean of each rater over all three.
pub const SETUPS: [Setup; 4] = [
    Setup { name: "asked plainly with rules", strategies: &["Vanilla"] },
    Setup { name: "asked to reason first", strategies: &["CoT"] },
    Setup { name: "asked without rules", strategies: &["Vanilla_NoRules"] },
    Setup { name: "asked all three ways", strategies: &["Vanilla", "CoT", "Vanilla_NoRules"] },
];

/// In the adversarial part the worse answer is made to look better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Natural,
    Adversarial,
}

impl Part {
    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Natural => "natural",
            Self::Adversarial => "adversarial",
        }
    }

    fn contains(self, subset: &str) -> bool {
        match self {
            Self::Natural => subset == "LLMBar/Natural",
            Self::Adversarial => subset.starts_with("LLMBar/Adversarial/"),
        }
    }
}

/// The target accuracy of the swarm with `gold` canaries.
pub fn target(part: Part, gold: usize) -> Option<f64> {
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
/// If the file is missing or has another format.
pub fn rounds(folder: &Path, setup: Setup, part: Part) -> Result<Vec<Line>> {
    let mut lines: BTreeMap<(String, usize), Line> = BTreeMap::new();
    for row in &files::table(&folder.join("llmbar/votes.csv.gz"))? {
        let subset = cell(row, "subset");
        if !part.contains(subset) || !setup.strategies.contains(&cell(row, "strategy")) {
            continue;
        }
        let at = (subset.to_owned(), cell(row, "idx").parse().context("idx")?);
        let label: usize = cell(row, "gold").parse().context("gold")?;
        let gold = label.checked_sub(1).context("gold starts at 1")?;
        let line = lines.entry(at).or_insert_with_key(|(subset, idx)| Line {
            id: format!("{subset} {idx}"),
            candidates: vec![Candidate::default(); 2],
            gold: Some(vec![gold]),
            ..Line::default()
        });
        let (first, second) = if cell(row, "swapped") == "0" { (0, 1) } else { (1, 0) };
        let p = match cell(row, "winner") {
            "1" => f64::from(u8::from(first == 0)),
            "2" => f64::from(u8::from(first == 1)),
            // A reply without a readable verdict.
            _ => 0.5,
        };
        line.ballots.push(OrderedVerdict {
            judge: cell(row, "rater").to_owned(),
            first,
            second,
            p,
        });
    }
    Ok(lines.into_values().collect())
}
