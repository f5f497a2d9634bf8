//! docs/consensus-real.md: the tables; what they mean stands in docs/CONSENSUS.md.

use std::fmt::Write as _;

use anyhow::Result;
use shoal_consensus::replay::Settings;

use super::{
    inject::{Attack, Attacked},
    questions::Set,
    record::Taken,
    rows::{Row, Rows},
};
use crate::stats::{self, Estimate};

/// Fewer questions say nothing by themselves.
const FEW: usize = 10;

/// The page of these records. `reading` is put before the tables: what they mean is not computed.
///
/// # Errors
/// When a record is no round.
pub fn markdown(taken: &[Taken], attacked: &[Attacked], reading: &str) -> Result<String> {
    let mut page = format!("{}\n", reading.trim_end());
    let settings = Settings { claims_count: true, ..Settings::default() };
    for set in Set::ALL {
        let of_set: Vec<Taken> =
            taken.iter().filter(|one| one.set == set.name()).cloned().collect();
        if of_set.len() >= FEW {
            section(&mut page, set.name(), &of_set, &settings)?;
        }
    }
    if taken.len() >= FEW {
        section(&mut page, "all together", taken, &settings)?;
    }
    if !attacked.is_empty() {
        attacks(&mut page, attacked)?;
    }
    Ok(page)
}

fn section(page: &mut String, name: &str, taken: &[Taken], settings: &Settings) -> Result<()> {
    let rows = Rows::of(taken, settings)?;
    writeln!(page, "\n## {name}: {} questions\n", taken.len())?;
    writeln!(page, "| | accuracy | 95 % interval | tokens | seconds |")?;
    writeln!(page, "|---|---:|---|---:|---:|")?;
    for row in rows.all() {
        let right = row.right.iter().filter(|right| **right).count();
        let note = if row.note.is_empty() { String::new() } else { format!(" ({})", row.note) };
        writeln!(
            page,
            "| {}{note} | {} | {:.0} | {:.1} |",
            row.name,
            share(stats::wilson(right, row.right.len())),
            row.tokens,
            row.seconds
        )?;
    }
    writeln!(page, "\nOver the same questions, in points, with a paired bootstrap:\n")?;
    writeln!(page, "| | points | 95 % interval |\n|---|---:|---|")?;
    let against = |page: &mut String, row: &Row, other: &Row| {
        let Estimate { value, low, high } = stats::paired_difference(&row.right, &other.right, 1);
        let [value, low, high] = [value, low, high].map(|share| 100.0 * share);
        let (name, other) = (&row.name, &other.name);
        writeln!(page, "| {name} - {other} | {value:+.1} | {low:+.1} to {high:+.1} |")
    };
    for row in &rows.ways {
        against(page, row, &rows.majority)?;
    }
    against(page, &rows.majority, &rows.best_single)?;
    against(page, &rows.oracle, &rows.majority)?;
    let (ended, right) = rows.agreed;
    writeln!(
        page,
        "\nAgreement ended {ended} rounds, {right} of them right. Expected calibration error of P(best): {}.",
        rows.calibration
            .iter()
            .map(|(name, error)| format!("{name} {error:.3}"))
            .collect::<Vec<_>>()
            .join("; ")
    )?;
    Ok(())
}

fn share(Estimate { value, low, high }: Estimate) -> String {
    format!("{:.1} % | {:.1} to {:.1}", 100.0 * value, 100.0 * low, 100.0 * high)
}

fn attacks(page: &mut String, attacked: &[Attacked]) -> Result<()> {
    writeln!(page, "\n## A wrong answer that attacks its judge\n")?;
    writeln!(
        page,
        "How often the judge prefers it to a right answer, by each kind of ballot, both orders taken together.\n"
    )?;
    writeln!(page, "| attack | pairs | likelihood | logit | reasoned |\n|---|---:|---|---|---|")?;
    for attack in Attack::ALL {
        let won: Vec<[bool; 3]> =
            attacked.iter().filter(|one| one.attack == attack).map(Attacked::won).collect();
        let kind = |at: usize| {
            let count = won.iter().filter(|won| won.get(at) == Some(&true)).count();
            let Estimate { value, low, high } = stats::wilson(count, won.len());
            format!("{:.0} % ({:.0} to {:.0})", 100.0 * value, 100.0 * low, 100.0 * high)
        };
        writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            attack.name(),
            won.len(),
            kind(0),
            kind(1),
            kind(2)
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::real::rounds::tests::taken;

    #[test]
    fn a_page_has_every_way_with_its_interval() {
        let split = [("a", "2"), ("b", "1"), ("c", "2"), ("d", "1")];
        let all: Vec<Taken> = (0..12).map(|id| taken(id, &split)).collect();
        let attacked = Attacked {
            id: "x".to_owned(),
            attack: Attack::Bipia,
            likelihood: [-1.0, -2.0],
            logit: [0.9, 0.8],
            reasoned: [0.1, 0.2],
        };
        let page = markdown(&all, &[attacked], "# Real").unwrap();
        for line in [
            "# Real",
            "## gsm8k: 12 questions",
            "| oracle (some writer is right) | 100.0 % |",
            "| the swarm, reasoned ballots - majority vote | +100.0 |",
            "| a task at its end (BIPIA) | 1 | 0 % (0 to 79) | 100 % (21 to 100) | 0 % (0 to 79) |",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
        assert!(!page.contains("## svamp"));
        assert!(markdown(&all[..3], &[], "# Real").unwrap().ends_with("# Real\n"));
    }
}
