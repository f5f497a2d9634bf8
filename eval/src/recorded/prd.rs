//! PRD (R. Li et al., 2023) on Vicuna80: five models answer 80 questions and judge all ordered
//! pairs of the five answers, the exact shape of a round; people judged the same pairs.

use std::{collections::BTreeMap, path::Path};

use anyhow::Result;

use super::{
    files,
    round::{Candidate, Line, Order},
};

/// The rounds, and what people say of the same answers.
#[derive(Debug)]
pub struct Peers {
    pub rounds: Vec<Line>,
    /// By round: pairs of candidates of which people clearly prefer the first.
    pub people: BTreeMap<String, Vec<(usize, usize)>>,
}

/// # Errors
/// When the files are not there or not as described.
pub fn read(folder: &Path) -> Result<Peers> {
    let folder = folder.join("prd_vicuna80");
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    let peers = files::table(&folder.join("peer_votes.csv.gz"))?;
    let mut models: Vec<String> =
        peers.iter().filter_map(|row| row.get("rater").cloned()).collect();
    models.sort();
    models.dedup();
    let place = |name: &str| models.iter().position(|model| model == name);
    for row in &peers {
        let cell = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
        let (Some(first), Some(second)) = (place(cell("first")), place(cell("second"))) else {
            continue;
        };
        let id = cell("question_id").to_owned();
        let line = lines.entry(id).or_insert_with_key(|id| Line {
            id: id.clone(),
            candidates: (models.iter())
                .map(|model| Candidate { writer: Some(model.clone()), answer: None })
                .collect(),
            ..Line::default()
        });
        let (judge, p) = (cell("rater").to_owned(), said(cell("verdict")));
        line.ballots.push(Order { judge, first, second, p });
    }
    let mut votes: BTreeMap<(String, usize, usize), f64> = BTreeMap::new();
    for row in files::table(&folder.join("human_votes.csv.gz"))? {
        let cell = |name: &str| row.get(name).map(String::as_str).unwrap_or_default();
        let (Some(first), Some(second)) = (place(cell("first")), place(cell("second"))) else {
            continue;
        };
        let toward = said(cell("verdict")) - 0.5;
        let (a, b, toward) =
            if first < second { (first, second, toward) } else { (second, first, -toward) };
        *votes.entry((cell("question_id").to_owned(), a, b)).or_default() += toward;
    }
    let mut people: BTreeMap<String, Vec<(usize, usize)>> = BTreeMap::new();
    for ((id, a, b), lead) in votes.into_iter().filter(|(_, lead)| lead.abs() > 1e-9) {
        people.entry(id).or_default().push(if lead > 0.0 { (a, b) } else { (b, a) });
    }
    Ok(Peers { rounds: lines.into_values().collect(), people })
}

/// 1: the first shown is better, 2: the second, 3: neither.
fn said(verdict: &str) -> f64 {
    match verdict {
        "1" => 1.0,
        "2" => 0.0,
        _ => 0.5,
    }
}
