//! The ablations as a page: each part of the round taken away in turn.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::{
    ablate::{self, Ballots, Chosen, Cut, Row},
    record::{Asked, models},
    replay::{Gold, Settings},
};

/// A table of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    pub title: String,
    pub rows: Vec<(String, Row)>,
}

/// All tables. `gold`: what standing is learned from, by other questions than those ranked.
///
/// # Errors
/// When a setting that is varied here is no longer one.
pub fn sections(asked: &[Asked], gold: Gold) -> Result<Vec<Section>> {
    let usual = Settings::default();
    let members = models(asked).len();
    let judges = asked.iter().filter_map(|one| one.round.as_ref());
    let judges = judges.map(|round| round.ballots.len()).max().unwrap_or(0);
    let row = |cut, settings: &Settings| ablate::row(asked, cut, gold, settings);
    let writers = |chosen| {
        (1..=members)
            .map(|n| (format!("N = {n}"), row(Cut { writers: n, chosen, ..Cut::WHOLE }, &usual)))
            .collect()
    };
    let judged = (0..=judges)
        .map(|m| (format!("M = {m}"), row(Cut { judges: m, ..Cut::WHOLE }, &usual)))
        .collect();
    let named = |title: &str, rows| Section { title: title.to_owned(), rows };
    Ok(vec![
        named("Writers, chosen by lot", writers(Chosen::Uniformly)),
        named("Writers, routed by standing on the kind of question", writers(Chosen::ByStanding)),
        named("Judges", judged),
        named("Ballots", ballots(&row, &usual)),
        named("Without one part", parts(&row, &usual)?),
    ])
}

type Made<'a> = &'a dyn Fn(Cut, &Settings) -> Row;

fn ballots(row: Made<'_>, usual: &Settings) -> Vec<(String, Row)> {
    let of = |name: &str, cut| (name.to_owned(), row(cut, usual));
    vec![
        of("as cast: likelihoods of whole candidates", Cut::WHOLE),
        of("as cast, until P(best) is high enough", Cut { adaptive: true, ..Cut::WHOLE }),
        of("turned into verdicts on pairs", Cut { ballots: Ballots::Pairs, ..Cut::WHOLE }),
        of("none", Cut { judges: 0, ..Cut::WHOLE }),
    ]
}

fn parts(row: Made<'_>, usual: &Settings) -> Result<Vec<(String, Row)>> {
    let without = |changes: &[&str]| {
        changes.iter().try_fold(usual.clone(), |settings, change| settings.with(change))
    };
    let mut rows = vec![("everything".to_owned(), row(Cut::WHOLE, usual))];
    let unpooled = Cut { pooled: false, ..Cut::WHOLE };
    rows.push(("equal answers not pooled".to_owned(), row(unpooled, usual)));
    for (name, changes) in [
        ("no standing by kind of question", &["reputation.kinds=false"] as &[&str]),
        ("writers' certainty counts for nobody", &["evidence.certainty=off"]),
        ("neither of the two", &["reputation.kinds=false", "evidence.certainty=off"]),
    ] {
        rows.push((name.to_owned(), row(Cut::WHOLE, &without(changes)?)));
    }
    let nothing = without(&["reputation.kinds=false", "evidence.certainty=off"])?;
    let deaf = Cut { judges: 0, ..Cut::WHOLE };
    rows.push(("neither of the two, and no judges".to_owned(), row(deaf, &nothing)));
    Ok(rows)
}

/// The page.
pub fn markdown(sections: &[Section], questions: usize, how: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, sections, questions, how);
    page
}

fn write(page: &mut String, sections: &[Section], questions: usize, how: &str) -> std::fmt::Result {
    writeln!(
        page,
        "{questions} rounds of the bundled swarm in which every member wrote and judged, cut down and \
         ranked again through the gateway's own code; standing is learned from other questions than \
         those it ranks. Made by `{how}`."
    )?;
    for section in sections {
        writeln!(page, "\n### {}\n", section.title)?;
        writeln!(page, "| | accuracy | 95 % interval | tokens | ballots | seconds | ECE |")?;
        writeln!(page, "|---|---:|---|---:|---:|---:|---:|")?;
        for (name, row) in &section.rows {
            let Row { accuracy, tokens, ballots, seconds, calibration_error } = row;
            let [value, low, high] =
                [accuracy.value, accuracy.low, accuracy.high].map(|share| 100.0 * share);
            writeln!(
                page,
                "| {name} | {value:.1} % | {low:.1} to {high:.1} | {tokens:.0} | {ballots:.1} | \
                 {seconds:.2} | {calibration_error:.3} |"
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::{GOLD, swarm};

    #[test]
    fn every_part_has_a_row_and_taking_all_away_costs_something() {
        let asked = swarm(120, 4, 2, 1);
        let sections = sections(&asked, GOLD).expect("settings that there are");
        assert_eq!(sections.iter().map(|s| s.rows.len()).collect::<Vec<_>>(), [4, 4, 5, 4, 6]);
        let [everything, .., nothing] = sections[4].rows.as_slice() else { panic!("no rows") };
        assert!(nothing.1.accuracy.value < everything.1.accuracy.value - 0.05);
        let page = markdown(&sections, asked.len(), "make eval");
        assert!(page.contains("| N = 3 |") && page.contains("| everything |"), "{page}");
    }
}
