//! The ablations as a page: each part of the round taken away in turn.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::Result;
use serde::Serialize;

use crate::{
    ablate::{self, Ballots, Chosen, Cut, Learned, Row},
    record::{Asked, models},
    replay::{Gold, Settings},
    stats,
};

/// A table of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    pub title: String,
    pub rows: Vec<(String, Row)>,
    /// The first row is what the others are held against.
    pub against_first: bool,
}

/// What `shoal` asks for when nobody says otherwise, until it is clear.
const USUAL: Cut =
    Cut { writers: 5, judges: 3, chosen: Chosen::Routed, adaptive: true, ..Cut::WHOLE };

/// Judges of the page's tables at most.
const JUDGES_MAX: usize = 7;

/// Every number of writers with every number of judges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// Judges of each column.
    pub judges: Vec<usize>,
    /// Writers, and the row of each number of judges.
    pub rows: Vec<(usize, Vec<Row>)>,
}

/// The page's figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ablations {
    pub questions: usize,
    pub members: usize,
    /// Distinct weights among them.
    pub weights: usize,
    pub sections: Vec<Section>,
    pub grid: Grid,
}

/// All tables. `compared`: rounds with verdicts by logit, none where they were not collected. `gold`: what standing is learned from, by other questions than those ranked.
///
/// # Errors
/// When a setting that is varied here is no longer one.
pub fn ablations(asked: &[Asked], compared: &[Asked], gold: Gold) -> Result<Ablations> {
    let all = All::of(asked, gold)?;
    let members = models(asked).len();
    let judges = asked.iter().filter_map(|one| one.round.as_ref());
    let judges = judges.map(|round| round.ballots.len()).max().unwrap_or(0).min(JUDGES_MAX);
    let writers = |chosen| {
        let of = |writers| Cut { writers, chosen, ..Cut::WHOLE };
        (1..=members).map(|n| (format!("N = {n}"), all.usual(of(n)))).collect()
    };
    let judged = |pooled| {
        let of = |judges| Cut { judges, pooled, ..Cut::WHOLE };
        (0..=judges).map(|m| (format!("M = {m}"), all.usual(of(m)))).collect()
    };
    let plain = |title: &str, rows| Section { title: title.to_owned(), rows, against_first: false };
    let held = |title: &str, rows| Section { title: title.to_owned(), rows, against_first: true };
    let cell = |writers, judges| Cut { writers, judges, chosen: Chosen::Routed, ..Cut::WHOLE };
    let row = |n| (n, (0..=judges).map(|m| all.usual(cell(n, m))).collect());
    let mut found = Ablations {
        questions: asked.len(),
        members,
        weights: members - twins(asked),
        sections: vec![
            plain("Writers, chosen by lot", writers(Chosen::Uniformly)),
            plain("Writers, routed", writers(Chosen::Routed)),
            plain("Judges", judged(true)),
            plain("Judges, equal answers not pooled", judged(false)),
            held("Ballots", all.ballots()),
            held("Ballots, where nothing else speaks", all.ballots_alone()),
            held("Without one part, everybody writing and judging", all.parts(Cut::WHOLE)),
            held("Without one part, as `shoal` asks: five writers, three judges", all.parts(USUAL)),
        ],
        grid: Grid { judges: (0..=judges).collect(), rows: (1..=members).map(row).collect() },
    };
    found.sections.extend(by_logit(asked, compared, gold)?);
    Ok(found)
}

/// Ballots of both kinds on the rounds in which some pair fits the judges' context.
fn by_logit(asked: &[Asked], compared: &[Asked], gold: Gold) -> Result<Option<Section>> {
    let voted = |one: &&Asked| one.round.as_ref().is_some_and(|round| !round.ballots.is_empty());
    let compared: Vec<Asked> = compared.iter().filter(voted).cloned().collect();
    if compared.is_empty() {
        return Ok(None);
    }
    let same = |one: &&Asked| compared.iter().any(|other| other.question == one.question);
    let scored: Vec<Asked> = asked.iter().filter(same).cloned().collect();
    let (scored, compared) = (All::of(&scored, gold)?, All::of(&compared, gold)?);
    let deaf = Cut { judges: 0, ..Cut::WHOLE };
    let of = |name: &str, all: &All<'_>, cut| (name.to_owned(), all.usual(cut));
    let alone = |name: &str, all: &All<'_>, cut| {
        (format!("{name}, where nothing else speaks"), ablate::row(all.asked, cut, &all.neither))
    };
    let rows = vec![
        of("likelihoods", &scored, Cut::WHOLE),
        of("verdicts by logit", &compared, Cut::WHOLE),
        of("none", &scored, deaf),
        alone("likelihoods", &scored, Cut::WHOLE),
        alone("verdicts by logit", &compared, Cut::WHOLE),
        alone("none", &scored, deaf),
    ];
    let title =
        format!("Verdicts by logit, on the {} rounds with a pair that fits", rows_of(&rows));
    Ok(Some(Section { title, rows, against_first: true }))
}

fn rows_of(rows: &[(String, Row)]) -> usize {
    rows.first().map_or(0, |(_, row)| row.right.len())
}

/// Members that serve what another serves already.
fn twins(asked: &[Asked]) -> usize {
    let kin = asked.first().map(|one| &one.kin);
    let distinct: BTreeSet<&String> = kin.iter().flat_map(|kin| kin.values()).collect();
    kin.map_or(0, |kin| kin.len()) - distinct.len()
}

/// What is known of members, with one source after the other taken away.
struct All<'a> {
    asked: &'a [Asked],
    usual: Learned,
    alike: Learned,
    kindless: Learned,
    uncertain: Learned,
    neither: Learned,
}

type Rows = Vec<(String, Row)>;

impl<'a> All<'a> {
    fn of(asked: &'a [Asked], gold: Gold) -> Result<Self> {
        let usual = Settings::default();
        let without = |changes: &[&str]| -> Result<Learned> {
            let mut changes = changes.iter();
            let settings = changes.try_fold(usual.clone(), |all, change| all.with(change))?;
            Ok(Learned::of(asked, gold, &settings, false))
        };
        Ok(Self {
            asked,
            usual: without(&[])?,
            alike: Learned::of(asked, gold, &usual, true),
            kindless: without(&["reputation.kinds=false"])?,
            uncertain: without(&["evidence.certainty=off"])?,
            neither: without(&["reputation.kinds=false", "evidence.certainty=off"])?,
        })
    }

    fn usual(&self, cut: Cut) -> Row {
        ablate::row(self.asked, cut, &self.usual)
    }

    fn ballots(&self) -> Rows {
        let of = |name: &str, cut| (name.to_owned(), self.usual(cut));
        vec![
            of("as cast: likelihoods of whole candidates", Cut::WHOLE),
            of("as cast, until P(best) is high enough", Cut { adaptive: true, ..Cut::WHOLE }),
            of("turned into verdicts on pairs", Cut { ballots: Ballots::Pairs, ..Cut::WHOLE }),
            of(
                "turned into verdicts, until P(best) is high enough",
                Cut { ballots: Ballots::Pairs, adaptive: true, ..Cut::WHOLE },
            ),
            of("none", Cut { judges: 0, ..Cut::WHOLE }),
        ]
    }

    /// Neither certainty nor kinds of questions say who is right.
    fn ballots_alone(&self) -> Rows {
        let of = |name: &str, cut| (name.to_owned(), ablate::row(self.asked, cut, &self.neither));
        vec![
            of("as cast: likelihoods of whole candidates", Cut::WHOLE),
            of("turned into verdicts on pairs", Cut { ballots: Ballots::Pairs, ..Cut::WHOLE }),
            of("one judge, as cast", Cut { judges: 1, ..Cut::WHOLE }),
            of("three judges, as cast", Cut { judges: 3, ..Cut::WHOLE }),
            of("none: the largest pool by standing", Cut { judges: 0, ..Cut::WHOLE }),
        ]
    }

    fn parts(&self, whole: Cut) -> Rows {
        let of =
            |name: &str, cut, learned| (name.to_owned(), ablate::row(self.asked, cut, learned));
        let deaf = Cut { judges: 0, ..whole };
        let mut rows = vec![of("everything", whole, &self.usual)];
        let unpooled = Cut { pooled: false, ..whole };
        rows.push(of("equal answers not pooled", unpooled, &self.usual));
        rows.push(of("all members believed alike", whole, &self.alike));
        if whole.chosen == Chosen::Routed {
            let lot = Cut { chosen: Chosen::Uniformly, ..whole };
            rows.push(of("writers and judges by lot", lot, &self.usual));
        }
        if whole.adaptive {
            let all = Cut { adaptive: false, ..whole };
            rows.push(of("every judge is heard", all, &self.usual));
        }
        rows.push(of("no standing by kind of question", whole, &self.kindless));
        rows.push(of("writers' certainty counts for nobody", whole, &self.uncertain));
        rows.push(of("no judges", deaf, &self.usual));
        rows.push(of("neither kinds nor certainty", whole, &self.neither));
        rows.push(of("neither of the two, and no judges", deaf, &self.neither));
        rows
    }
}

/// The page.
pub fn markdown(found: &Ablations, how: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, found, how);
    page
}

fn write(page: &mut String, found: &Ablations, how: &str) -> std::fmt::Result {
    let Ablations { questions, members, weights, .. } = found;
    writeln!(
        page,
        "{questions} rounds of the bundled swarm in which every member wrote and judged, cut down and \
         ranked again through the gateway's own code; standing is learned from other questions than \
         those it ranks. Made by `{how}`.\n\n\
         {members} members of {weights} weights: three of the six bundled specialists serve twice, the \
         second time at another temperature and seed (`eval/everybody/`). Such a pair makes much the same \
         mistakes as a writer, and as a judge says the same. Accuracy has Wilson's 95 % interval; differences \
         to a table's first row are over the same questions, with a percentile bootstrap. Tokens are read and \
         written by all members for an answer, seconds those of the slowest writer and, where a ballot was \
         heard, of the whole judging, with several questions under way at once."
    )?;
    for section in &found.sections {
        table(page, section)?;
    }
    writeln!(
        page,
        "\n### Writers and judges, routed\n\nAccuracy in percent by writers N and judges M.\n"
    )?;
    matrix(page, &found.grid, |row| format!("{:.1}", 100.0 * row.accuracy.value))?;
    writeln!(page, "\nTokens for an answer.\n")?;
    matrix(page, &found.grid, |row| format!("{:.0}", row.tokens))?;
    writeln!(page, "\nSeconds for an answer.\n")?;
    matrix(page, &found.grid, |row| format!("{:.2}", row.seconds))
}

fn table(page: &mut String, section: &Section) -> std::fmt::Result {
    let (against, line) =
        if section.against_first { (" difference in points |", "---|") } else { ("", "") };
    writeln!(page, "\n### {}\n", section.title)?;
    writeln!(page, "| | accuracy | 95 % interval |{against} tokens | ballots | seconds | ECE |")?;
    writeln!(page, "|---|---:|---|{line}---:|---:|---:|---:|")?;
    let first = section.rows.first().map(|(_, row)| row.right.as_slice()).unwrap_or_default();
    for (at, (name, row)) in section.rows.iter().enumerate() {
        let Row { accuracy, tokens, ballots, seconds, calibration_error, .. } = row;
        let [value, low, high] =
            [accuracy.value, accuracy.low, accuracy.high].map(|share| 100.0 * share);
        write!(page, "| {name} | {value:.1} % | {low:.1} to {high:.1} |")?;
        if section.against_first && at == 0 {
            write!(page, " |")?;
        } else if section.against_first {
            let d = stats::paired_difference(&row.right, first, 1);
            let [value, low, high] = [d.value, d.low, d.high].map(|share| 100.0 * share);
            write!(page, " {value:+.1} ({low:+.1} to {high:+.1}) |")?;
        }
        writeln!(page, " {tokens:.0} | {ballots:.1} | {seconds:.2} | {calibration_error:.3} |")?;
    }
    Ok(())
}

fn matrix(page: &mut String, grid: &Grid, told: impl Fn(&Row) -> String) -> std::fmt::Result {
    let head: Vec<String> = grid.judges.iter().map(|m| format!("M = {m}")).collect();
    writeln!(page, "| | {} |", head.join(" | "))?;
    writeln!(page, "|---{}|", "|---:".repeat(head.len()))?;
    for (writers, row) in &grid.rows {
        let cells: Vec<String> = row.iter().map(&told).collect();
        writeln!(page, "| N = {writers} | {} |", cells.join(" | "))?;
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
        let found = ablations(&asked, &[], GOLD).expect("settings that there are");
        let rows: Vec<usize> = found.sections.iter().map(|section| section.rows.len()).collect();
        assert_eq!(rows, [4, 4, 5, 5, 5, 5, 8, 10]);
        assert_eq!((found.members, found.weights, found.grid.rows.len()), (4, 4, 4));
        let [everything, .., nothing] = found.sections[6].rows.as_slice() else {
            panic!("no rows")
        };
        assert!(nothing.1.accuracy.value < everything.1.accuracy.value - 0.05);
        let page = markdown(&found, "make eval");
        assert!(page.contains("| N = 3 |") && page.contains("| everything |"), "{page}");
        assert!(page.contains("(-") && page.contains("| | M = 0 | M = 1 |"), "{page}");
    }

    #[test]
    fn verdicts_by_logit_are_held_against_likelihoods_on_the_same_rounds() {
        let mut asked = swarm(60, 4, 2, 1);
        for (at, one) in asked.iter_mut().enumerate() {
            one.question = format!("{} for number {at}", one.question);
        }
        let mut compared = asked[..40].to_vec();
        for (at, one) in compared.iter_mut().enumerate() {
            let rights = one.rights.clone();
            let round = one.round.as_mut().unwrap();
            round.ballots.truncate(if at < 30 { 1 } else { 0 });
            for ballot in &mut round.ballots {
                ballot.scores.clear();
                let p = if rights[1] { 0.9 } else { 0.4 };
                ballot.pairs = vec![crate::record::Pair { a: 1, b: 2, p, flipped: false }];
            }
        }
        let found = ablations(&asked, &compared, GOLD).unwrap();
        let last = found.sections.last().unwrap();
        assert_eq!((last.rows.len(), last.rows[0].1.right.len()), (6, 30));
        assert!((last.rows[1].1.ballots - 1.0).abs() < 1e-12, "{:?}", last.rows[1].1);
    }

    #[test]
    fn who_serves_what_another_serves_is_told_apart_from_new_weights() {
        let mut asked = swarm(1, 4, 2, 1);
        asked[0].kin = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")]
            .map(|(member, of)| (member.to_owned(), of.to_owned()))
            .into();
        assert_eq!(twins(&asked), 2);
    }
}
