//! The page of one evaluation in Markdown.

use std::fmt::Write as _;

use crate::{
    stats::Estimate,
    table::{Difference, Row, Table},
};

/// File name of the reliability diagram beside the page.
pub const RELIABILITY: &str = "eval-reliability.svg";

/// The page `eval/results/EVAL.md`. `command` makes it again; `chart` is the file name of the chart.
pub fn markdown(table: &Table, command: &str, chart: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, table, command, chart);
    page
}

fn write(page: &mut String, table: &Table, command: &str, chart: &str) -> std::fmt::Result {
    writeln!(page, "# What the swarm knows that its members do not\n")?;
    writeln!(
        page,
        "{} held-out questions over {} families, sent to the running gateway; none of them \
         is in the training data or in an exam. Accuracy with 95 % intervals (Wilson). Made by \
         `{command}`.\n",
        table.questions,
        table.families.len(),
    )?;
    writeln!(page, "![Accuracy of each member, of each way to pick, and of the swarm]({chart})\n")?;
    if table.failures > 0 {
        writeln!(page, "**{} questions had no answer; they count as wrong.**\n", table.failures)?;
    }
    rows(page, table)?;
    writeln!(page, "\nMean of the single members: {}.\n", percent(table.mean_member))?;
    writeln!(page, "{NOTES}")?;
    writeln!(page, "\n## The differences, over the same questions\n")?;
    writeln!(page, "| | points | 95 % interval | target | |")?;
    writeln!(page, "|---|---:|---|---|---|")?;
    for difference in &table.differences {
        write_difference(page, difference)?;
    }
    writeln!(page, "\n## By family\n")?;
    by_family(page, table)?;
    writeln!(page, "\n## How rounds ended\n")?;
    writeln!(page, "| decided by | rounds | right |")?;
    writeln!(page, "|---|---:|---:|")?;
    for share in &table.decisions {
        let right = share.right as f64 / share.count.max(1) as f64;
        writeln!(page, "| {} | {} | {} |", share.name, share.count, percent(right))?;
    }
    writeln!(page, "\n## Calibration of P(best)\n")?;
    writeln!(
        page,
        "![Share of right answers against P(best), by bins of claims]({RELIABILITY})\n"
    )?;
    writeln!(page, "| claim | rounds | mean claim | right |")?;
    writeln!(page, "|---|---:|---:|---:|")?;
    for bin in &table.reliability {
        let (claim, right) = (percent(bin.claim), percent(bin.right));
        writeln!(page, "| from {:.2} | {} | {claim} | {right} |", bin.from, bin.count)?;
    }
    writeln!(page, "\nExpected calibration error: {:.3}.", table.calibration_error)
}

const NOTES: &str = "\
The best single member is the one that is best on the other half of the questions. The one judge of \
best-of-n is chosen in the same way; best-of-n takes the candidate that is likeliest under this judge's model. Uniform \
Bradley-Terry converts every judge's likelihoods to pair verdicts of equal weight. If a round ended by \
agreement there are no ballots, and both take the majority. Tokens are the mean for an answer, read and \
written by all members together; seconds are the median from question to answer, with several \
questions in progress at the same time.";

fn rows(page: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(page, "| | accuracy | 95 % interval | tokens | seconds |")?;
    writeln!(page, "|---|---:|---|---:|---:|")?;
    for row in &table.rows {
        let Row { accuracy, tokens, seconds, .. } = row;
        let name = title(row);
        let (value, interval) = (percent(accuracy.value), interval(accuracy));
        writeln!(page, "| {name} | {value} | {interval} | {tokens:.0} | {seconds:.2} |")?;
    }
    Ok(())
}

fn title(row: &Row) -> String {
    let name = if row.name == "the swarm" { "**the swarm**".to_owned() } else { row.name.clone() };
    if row.note.is_empty() { name } else { format!("{name} ({})", row.note) }
}

fn write_difference(page: &mut String, row: &Difference) -> std::fmt::Result {
    let Difference { name, difference, target, is_met } = row;
    let points = 100.0 * difference.value;
    let (low, high) = (100.0 * difference.low, 100.0 * difference.high);
    let result = if *is_met { "met" } else { "**missed**" };
    writeln!(page, "| {name} | {points:+.1} | {low:+.1} to {high:+.1} | {target} | {result} |")
}

fn by_family(page: &mut String, table: &Table) -> std::fmt::Result {
    writeln!(page, "| | {} |", table.families.join(" | "))?;
    writeln!(page, "|---|{}", "---:|".repeat(table.families.len()))?;
    for row in &table.rows {
        let cells: Vec<String> =
            row.by_family.iter().map(|share| format!("{:.0}", 100.0 * share)).collect();
        writeln!(page, "| {} | {} |", row.name, cells.join(" | "))?;
    }
    Ok(())
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn interval(estimate: &Estimate) -> String {
    format!("{:.1} to {:.1}", 100.0 * estimate.low, 100.0 * estimate.high)
}
