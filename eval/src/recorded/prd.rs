//! PRD (R. Li et al., 2023) on Vicuna80: five models answer 80 questions and judge all ordered
//! pairs of the five answers, as in a round. People judged the same pairs.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{
    files::{self, TableRow, cell},
    round::{Candidate, Line, OrderedVerdict},
};

/// The rounds, and people's votes on the same answers.
#[derive(Debug)]
pub struct Peers {
    pub rounds: Vec<Line>,
    /// By round: pairs of candidates of which people clearly prefer the first.
    pub preferences: BTreeMap<String, Vec<(usize, usize)>>,
}

/// Reads the set.
///
/// # Errors
/// If the files are missing or have another format.
pub fn read(folder: &Path) -> Result<Peers> {
    let folder = folder.join("prd_vicuna80");
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let peers = files::table(&folder.join("peer_votes.csv.gz"))?;
    let mut models: Vec<String> =
        peers.iter().filter_map(|row| row.get("rater").cloned()).collect();
    models.sort();
    models.dedup();
    for row in &peers {
        let Some((first, second)) = pair(row, &models) else { continue };
        let id = cell(row, "question_id").to_owned();
        let line = lines.entry(id).or_insert_with_key(|id| Line {
            id: id.clone(),
            candidates: (models.iter())
                .map(|model| Candidate { writer: Some(model.clone()), answer: None })
                .collect(),
            ..Line::default()
        });
        let (judge, p) = (cell(row, "rater").to_owned(), preference(cell(row, "verdict")));
        line.ballots.push(OrderedVerdict { judge, first, second, p });
    }
    let mut votes: BTreeMap<(String, usize, usize), f64> = BTreeMap::new();
    for row in &files::table(&folder.join("human_votes.csv.gz"))? {
        let Some((first, second)) = pair(row, &models) else { continue };
        let toward = preference(cell(row, "verdict")) - 0.5;
        let (a, b, toward) =
            if first < second { (first, second, toward) } else { (second, first, -toward) };
        *votes.entry((cell(row, "question_id").to_owned(), a, b)).or_default() += toward;
    }
    let mut preferences: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for ((id, a, b), lead) in votes.into_iter().filter(|(_, lead)| lead.abs() > 1e-9) {
        preferences.entry(id).or_default().push(if lead > 0.0 { (a, b) } else { (b, a) });
    }
    Ok(Peers { rounds: lines.into_values().collect(), preferences })
}

/// Indices of the two models of a vote; None if one is not a rater.
fn pair(row: &TableRow, models: &[String]) -> Option<(usize, usize)> {
    let first = models.iter().position(|model| model == cell(row, "first"))?;
    let second = models.iter().position(|model| model == cell(row, "second"))?;
    Some((first, second))
}

/// P(the first shown is better) for the codes 1 (the first), 2 (the second) and 3 (neither).
fn preference(verdict: &str) -> f64 {
    match verdict {
        "1" => 1.0,
        "2" => 0.0,
        _ => 0.5,
    }
}
