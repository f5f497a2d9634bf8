//! The tables of eval/results/consensus-real.md. The text above them is written by hand.

use std::fmt::Write as _;

use anyhow::Result;
use shoal_consensus::replay::Settings;

use super::{
    inject::{Attack, AttackOutcome},
    questions::Set,
    record::JudgedQuestion,
    rows::{Row, Rows},
};
use crate::stats::{self, Estimate};

/// Minimum number of questions for a table: fewer have no meaning by themselves.
const QUESTIONS_MIN: usize = 10;

/// The page of these records. `introduction` is the text before the tables.
///
/// # Errors
/// If a record is not a valid round.
pub fn markdown(
    records: &[JudgedQuestion],
    attacks: &[AttackOutcome],
    introduction: &str,
) -> Result<String> {
    let mut page = format!("{}\n", introduction.trim_end());
    let settings = Settings { claims_count: true, ..Settings::default() };
    for set in Set::ALL {
        let questions: Vec<JudgedQuestion> =
            records.iter().filter(|record| record.set == set.name()).cloned().collect();
        if questions.len() >= QUESTIONS_MIN {
            section(&mut page, set.name(), &questions, &settings)?;
        }
    }
    if records.len() >= QUESTIONS_MIN {
        section(&mut page, "all together", records, &settings)?;
    }
    if !attacks.is_empty() {
        write_attacks(&mut page, attacks)?;
    }
    Ok(page)
}

fn section(
    page: &mut String,
    name: &str,
    records: &[JudgedQuestion],
    settings: &Settings,
) -> Result<()> {
    let rows = Rows::new(records, settings)?;
    writeln!(page, "\n## {name}: {} questions\n", records.len())?;
    writeln!(page, "| | accuracy | 95 % interval | tokens | seconds |")?;
    writeln!(page, "|---|---:|---|---:|---:|")?;
    for row in rows.all() {
        let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
        writeln!(
            page,
            "| {}{note} | {} | {:.0} | {:.1} |",
            row.name,
            interval(stats::share(&row.right)),
            row.tokens,
            row.seconds
        )?;
    }
    writeln!(page, "\nOver the same questions, in points, with a paired bootstrap:\n")?;
    writeln!(page, "| | points | 95 % interval |\n|---|---:|---|")?;
    for row in &rows.methods {
        difference(page, row, &rows.majority)?;
    }
    difference(page, &rows.majority, &rows.best_single)?;
    difference(page, &rows.oracle, &rows.majority)?;
    let (agreements, right) = rows.agreements;
    writeln!(
        page,
        "\nAgreement ended {agreements} rounds, {right} of them right. Expected calibration error of P(best): {}.",
        rows.calibration
            .iter()
            .map(|(name, error)| format!("{name} {error:.3}"))
            .collect::<Vec<_>>()
            .join("; ")
    )?;
    Ok(())
}

fn difference(page: &mut String, row: &Row, baseline: &Row) -> std::fmt::Result {
    let Estimate { value, low, high, .. } =
        stats::paired_difference(&row.right, &baseline.right, 1);
    let [value, low, high] = [value, low, high].map(|share| 100.0 * share);
    let (name, baseline) = (&row.name, &baseline.name);
    writeln!(page, "| {name} - {baseline} | {value:+.1} | {low:+.1} to {high:+.1} |")
}

fn interval(Estimate { value, low, high, .. }: Estimate) -> String {
    format!("{:.1} % | {:.1} to {:.1}", 100.0 * value, 100.0 * low, 100.0 * high)
}

fn write_attacks(page: &mut String, outcomes: &[AttackOutcome]) -> Result<()> {
    writeln!(page, "\n## A wrong answer that attacks its judge\n")?;
    writeln!(
        page,
        "Share of pairs in which the judge prefers it to a right answer, for each kind of ballot, over both orders.\n"
    )?;
    writeln!(page, "| attack | pairs | likelihood | logit | reasoned |\n|---|---:|---|---|---|")?;
    for attack in Attack::ALL {
        let wins: Vec<[bool; 3]> = outcomes
            .iter()
            .filter(|outcome| outcome.attack == attack)
            .map(AttackOutcome::wins)
            .collect();
        write!(page, "| {} | {} |", attack.name(), wins.len())?;
        for kind in 0..3 {
            let count = wins.iter().filter(|wins| wins.get(kind) == Some(&true)).count();
            let share = stats::wilson(count, wins.len());
            let [value, low, high] = [share.value, share.low, share.high].map(|x| 100.0 * x);
            write!(page, " {value:.0} % ({low:.0} to {high:.0}) |")?;
        }
        writeln!(page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::rounds::tests::judged_question;

    #[test]
    fn a_page_has_every_method_with_its_interval() {
        let answers = [("a", "2"), ("b", "1"), ("c", "2"), ("d", "1")];
        let records: Vec<JudgedQuestion> =
            (0..12).map(|id| judged_question(id, &answers)).collect();
        let outcome = AttackOutcome {
            id: "x".to_owned(),
            attack: Attack::Bipia,
            likelihood: [-1.0, -2.0],
            logit: [0.9, 0.8],
            critique: [0.1, 0.2],
        };
        let page = markdown(&records, &[outcome], "# Real").unwrap();
        for line in [
            "# Real",
            "## gsm8k: 12 questions",
            "| oracle (some writer is right) | 100.0 % |",
            "| the swarm, reasoned ballots - majority vote | +100.0 |",
            "| a task at the end (BIPIA) | 1 | 0 % (0 to 79) | 100 % (21 to 100) | 0 % (0 to 79) |",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
        assert!(!page.contains("## svamp"));
        assert!(markdown(&records[..3], &[], "# Real").unwrap().ends_with("# Real\n"));
    }
}
