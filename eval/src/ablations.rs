//! The page of the ablations: a round without single parts of it.

use std::{collections::BTreeSet, fmt::Write as _};

use anyhow::Result;
use serde::Serialize;

use crate::{
    ablate::{self, Ballots, Cut, FoldStandings, Row, Selection, Trust},
    record::{QuestionRecord, models},
    replay::{Gold, Pooling, Settings},
    stats,
};

/// A table of the page.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Section {
    pub title: String,
    pub rows: Vec<(String, Row)>,
    /// Whether the table shows differences to its first row.
    pub against_first: bool,
}

/// The effort of the model `shoal`: five writers and three judges until the winner is clear.
const DEFAULT: Cut =
    Cut { writers: 5, judges: 3, selection: Selection::Routing, adaptive: true, ..Cut::WHOLE };

/// No judges at all.
const WITHOUT_JUDGES: Cut = Cut { judges: 0, ..Cut::WHOLE };

/// All ballots as verdicts on pairs.
const PAIRS: Cut = Cut { ballots: Ballots::Pairs, ..Cut::WHOLE };

/// Maximum number of judges in the tables.
const JUDGES_MAX: usize = 7;

/// Every number of writers with every number of judges.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Grid {
    /// Judges of each column.
    pub judges: Vec<usize>,
    /// Writers, and the row for each number of judges.
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

/// All tables. `logit`: rounds with verdicts by logit, empty if there are none. `gold`: the questions that
/// standing is learned from; they are other questions than those ranked.
///
/// # Errors
/// If a setting that is varied here does not exist.
pub fn ablations(
    records: &[QuestionRecord],
    logit: &[QuestionRecord],
    gold: Gold,
) -> Result<Ablations> {
    let variants = Variants::new(records, gold)?;
    let members = models(records).len();
    let rounds = records.iter().filter_map(|record| record.round.as_ref());
    let judges = rounds.map(|round| round.ballots.len()).max().unwrap_or(0).min(JUDGES_MAX);
    let mut sections = vec![
        plain("Writers, chosen at random", variants.by_writers(members, Selection::Uniform)),
        plain("Writers, routed", variants.by_writers(members, Selection::Routing)),
        plain("Judges", variants.by_judges(judges, Pooling::Equal)),
        plain("Judges, equal answers not pooled", variants.by_judges(judges, Pooling::Separate)),
        differences("Ballots", variants.ballots()),
        differences("Ballots, without other evidence", variants.ballots_alone()),
        differences("Without one part, every member writes and judges", variants.parts(Cut::WHOLE)),
        differences(
            "Without one part, as `shoal` asks: five writers, three judges",
            variants.parts(DEFAULT),
        ),
    ];
    sections.extend(logit_section(records, logit, gold)?);
    Ok(Ablations {
        questions: records.len(),
        members,
        weights: members - twins(records),
        sections,
        grid: variants.grid(members, judges),
    })
}

fn plain(title: &str, rows: Rows) -> Section {
    Section { title: title.to_owned(), rows, against_first: false }
}

fn differences(title: &str, rows: Rows) -> Section {
    Section { title: title.to_owned(), rows, against_first: true }
}

/// Ballots of both kinds on the rounds in which some pair fits the judges' context.
fn logit_section(
    records: &[QuestionRecord],
    logit: &[QuestionRecord],
    gold: Gold,
) -> Result<Option<Section>> {
    let logit: Vec<QuestionRecord> = logit
        .iter()
        .filter(|record| record.round.as_ref().is_some_and(|round| !round.ballots.is_empty()))
        .cloned()
        .collect();
    if logit.is_empty() {
        return Ok(None);
    }
    let questions: BTreeSet<&str> = logit.iter().map(|record| record.question.as_str()).collect();
    let likelihood: Vec<QuestionRecord> = records
        .iter()
        .filter(|record| questions.contains(record.question.as_str()))
        .cloned()
        .collect();
    let (likelihood, logit) = (Variants::new(&likelihood, gold)?, Variants::new(&logit, gold)?);
    let mut rows = vec![
        ("likelihoods".to_owned(), likelihood.default_row(Cut::WHOLE)),
        ("verdicts by logit".to_owned(), logit.default_row(Cut::WHOLE)),
        ("none".to_owned(), likelihood.default_row(WITHOUT_JUDGES)),
    ];
    for (name, variants, cut) in [
        ("likelihoods", &likelihood, Cut::WHOLE),
        ("verdicts by logit", &logit, Cut::WHOLE),
        ("none", &likelihood, WITHOUT_JUDGES),
    ] {
        rows.push((
            format!("{name}, without other evidence"),
            ablate::row(variants.records, cut, &variants.without_kinds_and_certainty),
        ));
    }
    let rounds = rows.first().map_or(0, |(_, row)| row.right.len());
    let title = format!("Verdicts by logit, on the {rounds} rounds with a pair that fits");
    Ok(Some(Section { title, rows, against_first: true }))
}

/// Members whose weights another member serves already.
fn twins(records: &[QuestionRecord]) -> usize {
    let Some(record) = records.first() else { return 0 };
    let distinct: BTreeSet<&String> = record.digests.values().collect();
    record.digests.len() - distinct.len()
}

/// The standing of the members, in variants without one source or another.
struct Variants<'a> {
    records: &'a [QuestionRecord],
    default: FoldStandings,
    uniform_trust: FoldStandings,
    without_kinds: FoldStandings,
    without_certainty: FoldStandings,
    without_kinds_and_certainty: FoldStandings,
}

type Rows = Vec<(String, Row)>;

impl<'a> Variants<'a> {
    fn new(records: &'a [QuestionRecord], gold: Gold) -> Result<Self> {
        let settings = Settings::default();
        let without_kinds = settings.with("reputation.kinds=false")?;
        let without_certainty = settings.with("evidence.certainty=off")?;
        let without_kinds_and_certainty = without_kinds.with("evidence.certainty=off")?;
        let [default, without_kinds, without_certainty, without_kinds_and_certainty] =
            [&settings, &without_kinds, &without_certainty, &without_kinds_and_certainty]
                .map(|settings| FoldStandings::learn(records, gold, settings, Trust::Individual));
        Ok(Self {
            records,
            default,
            uniform_trust: FoldStandings::learn(records, gold, &settings, Trust::Uniform),
            without_kinds,
            without_certainty,
            without_kinds_and_certainty,
        })
    }

    fn default_row(&self, cut: Cut) -> Row {
        ablate::row(self.records, cut, &self.default)
    }

    fn by_writers(&self, members: usize, selection: Selection) -> Rows {
        (1..=members)
            .map(|writers| {
                let cut = Cut { writers, selection, ..Cut::WHOLE };
                (format!("N = {writers}"), self.default_row(cut))
            })
            .collect()
    }

    fn by_judges(&self, max: usize, pooling: Pooling) -> Rows {
        (0..=max)
            .map(|judges| {
                let cut = Cut { judges, pooling, ..Cut::WHOLE };
                (format!("M = {judges}"), self.default_row(cut))
            })
            .collect()
    }

    fn grid(&self, members: usize, judges_max: usize) -> Grid {
        let rows = (1..=members).map(|writers| {
            let row = (0..=judges_max).map(|judges| {
                self.default_row(Cut {
                    writers,
                    judges,
                    selection: Selection::Routing,
                    ..Cut::WHOLE
                })
            });
            (writers, row.collect())
        });
        Grid { judges: (0..=judges_max).collect(), rows: rows.collect() }
    }

    fn ballots(&self) -> Rows {
        [
            ("as cast: likelihoods of whole candidates", Cut::WHOLE),
            ("as cast, until P(best) is high enough", Cut { adaptive: true, ..Cut::WHOLE }),
            ("as verdicts on pairs", PAIRS),
            ("as verdicts, until P(best) is high enough", Cut { adaptive: true, ..PAIRS }),
            ("none", WITHOUT_JUDGES),
        ]
        .map(|(name, cut)| (name.to_owned(), self.default_row(cut)))
        .to_vec()
    }

    /// Without certainty and kinds of questions as evidence.
    fn ballots_alone(&self) -> Rows {
        [
            ("as cast: likelihoods of whole candidates", Cut::WHOLE),
            ("as verdicts on pairs", PAIRS),
            ("one judge, as cast", Cut { judges: 1, ..Cut::WHOLE }),
            ("three judges, as cast", Cut { judges: 3, ..Cut::WHOLE }),
            ("none: the largest pool by standing", WITHOUT_JUDGES),
        ]
        .map(|(name, cut)| {
            let row = ablate::row(self.records, cut, &self.without_kinds_and_certainty);
            (name.to_owned(), row)
        })
        .to_vec()
    }

    /// The rows of `whole` without one part after the other.
    fn parts(&self, whole: Cut) -> Rows {
        let without_judges = Cut { judges: 0, ..whole };
        let mut parts = vec![
            ("everything", whole, &self.default),
            (
                "equal answers not pooled",
                Cut { pooling: Pooling::Separate, ..whole },
                &self.default,
            ),
            ("the same standing for all members", whole, &self.uniform_trust),
        ];
        if whole.selection == Selection::Routing {
            let random = Cut { selection: Selection::Uniform, ..whole };
            parts.push(("random writers and judges", random, &self.default));
        }
        if whole.adaptive {
            parts.push(("all ballots count", Cut { adaptive: false, ..whole }, &self.default));
        }
        let neither = &self.without_kinds_and_certainty;
        parts.extend([
            ("no standing by kind of question", whole, &self.without_kinds),
            ("writers' certainty does not count", whole, &self.without_certainty),
            ("no judges", without_judges, &self.default),
            ("neither kinds nor certainty", whole, neither),
            ("neither of the two, and no judges", without_judges, neither),
        ]);
        parts
            .into_iter()
            .map(|(name, cut, standings)| {
                (name.to_owned(), ablate::row(self.records, cut, standings))
            })
            .collect()
    }
}

/// The page; `command` makes it again.
pub fn markdown(ablations: &Ablations, command: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, ablations, command);
    page
}

fn write(page: &mut String, ablations: &Ablations, command: &str) -> std::fmt::Result {
    let Ablations { questions, members, weights, .. } = ablations;
    writeln!(
        page,
        "{questions} rounds of the bundled swarm in which every member wrote and judged, reduced and \
         ranked again by the gateway's own code. Standing is learned from other questions than \
         those it ranks. Made by `{command}`.\n\n\
         {members} members of {weights} weights: three of the six bundled specialists serve twice, the \
         second time at another temperature and seed (`eval/everybody/`). The two of such a pair make nearly the same \
         mistakes as writers, and give the same ballots as judges. Accuracy has Wilson's 95 % interval; differences \
         to a table's first row are over the same questions, with a percentile bootstrap. Tokens for an answer are read and \
         written by all members; seconds are those of the slowest writer and, if a ballot \
         counted, of the whole judging, with several questions in progress at the same time."
    )?;
    for section in &ablations.sections {
        table(page, section)?;
    }
    writeln!(
        page,
        "\n### Writers and judges, routed\n\nAccuracy in percent by writers N and judges M.\n"
    )?;
    matrix(page, &ablations.grid, |row| format!("{:.1}", 100.0 * row.accuracy.value))?;
    writeln!(page, "\nTokens for an answer.\n")?;
    matrix(page, &ablations.grid, |row| format!("{:.0}", row.tokens))?;
    writeln!(page, "\nSeconds for an answer.\n")?;
    matrix(page, &ablations.grid, |row| format!("{:.2}", row.seconds))
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

fn matrix(page: &mut String, grid: &Grid, cell: impl Fn(&Row) -> String) -> std::fmt::Result {
    let head: Vec<String> = grid.judges.iter().map(|m| format!("M = {m}")).collect();
    writeln!(page, "| | {} |", head.join(" | "))?;
    writeln!(page, "|---{}|", "|---:".repeat(head.len()))?;
    for (writers, row) in &grid.rows {
        let cells: Vec<String> = row.iter().map(&cell).collect();
        writeln!(page, "| N = {writers} | {} |", cells.join(" | "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::{GOLD, swarm};

    #[test]
    fn every_part_has_a_row_and_a_round_without_all_parts_is_worse() {
        let records = swarm(120, 4, 2, 1);
        let ablations = ablations(&records, &[], GOLD).expect("settings that exist");
        let rows: Vec<usize> =
            ablations.sections.iter().map(|section| section.rows.len()).collect();
        assert_eq!(rows, [4, 4, 5, 5, 5, 5, 8, 10]);
        assert_eq!((ablations.members, ablations.weights, ablations.grid.rows.len()), (4, 4, 4));
        let [whole, .., least] = ablations.sections[6].rows.as_slice() else { panic!("no rows") };
        assert!(least.1.accuracy.value < whole.1.accuracy.value - 0.05);
        let page = markdown(&ablations, "make eval");
        assert!(page.contains("| N = 3 |") && page.contains("| everything |"), "{page}");
        assert!(page.contains("(-") && page.contains("| | M = 0 | M = 1 |"), "{page}");
    }

    #[test]
    fn verdicts_by_logit_are_compared_with_likelihoods_on_the_same_rounds() {
        let mut records = swarm(60, 4, 2, 1);
        for (at, record) in records.iter_mut().enumerate() {
            record.question = format!("{} for number {at}", record.question);
        }
        let mut logit = records[..40].to_vec();
        for (at, record) in logit.iter_mut().enumerate() {
            let rights = record.rights.clone();
            let round = record.round.as_mut().unwrap();
            round.ballots.truncate(if at < 30 { 1 } else { 0 });
            for ballot in &mut round.ballots {
                ballot.scores.clear();
                let p = if rights[1] { 0.9 } else { 0.4 };
                ballot.pairs = vec![crate::record::Pair { a: 1, b: 2, p, flip: false }];
            }
        }
        let ablations = ablations(&records, &logit, GOLD).unwrap();
        let last = ablations.sections.last().unwrap();
        assert_eq!((last.rows.len(), last.rows[0].1.right.len()), (6, 30));
        assert!((last.rows[1].1.ballots - 1.0).abs() < 1e-12, "{:?}", last.rows[1].1);
    }

    #[test]
    fn members_with_the_same_weights_are_twins() {
        let mut records = swarm(1, 4, 2, 1);
        records[0].digests = [("a", "x"), ("b", "x"), ("c", "y"), ("d", "y")]
            .map(|(member, of)| (member.to_owned(), of.to_owned()))
            .into();
        assert_eq!(twins(&records), 2);
    }
}
