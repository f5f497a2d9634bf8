//! The results as Markdown.

use std::fmt::Write as _;

use shoal_consensus::stats::Estimate;

use super::{
    Results, Row,
    curve::{Curve, GOLD, Point},
};

/// The page eval/results/consensus-recorded.md. `command` makes it again.
pub fn markdown(results: &Results, command: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, results, command);
    page
}

fn write(page: &mut String, results: &Results, command: &str) -> std::fmt::Result {
    writeln!(page, "# The ranking on recorded judgments\n")?;
    writeln!(page, "{ABOUT} Made by `{command}`.\n")?;
    writeln!(
        page,
        "| set | members | gold | the swarm | baseline | lead | ECE | all labels | target |"
    )?;
    writeln!(page, "|---|---|---:|---|---|---|---:|---:|---|")?;
    for row in &results.rows {
        line(page, row)?;
    }
    Ok(())
}

const ABOUT: &str = "\
Answers and judgments of real models, recorded by other projects. The gateway's own code ranks them \
through the replay ([docs/REPLAY.md](../../docs/REPLAY.md)) and learns from round to round. The figures are means over many draws of gold and of \
order, without gold rounds, with 95 % bootstrap intervals over questions; the lead is paired. LLMBar: six \
raters, both orders, two answers (in the adversarial part the worse answer is made to look \
better; the recording has as many of its 319 items as the count says). PRD: five models judge \
each other's answers; agreement with the pairs on which people have a majority. ZeroEval: recorded \
answers and simulated judges, whose verdicts depend on their own answers and whose errors are correlated (.3). ECE: \
expected calibration error of P(best). \"All labels\": accuracy of fixed weights of the raters that fit \
every label of the same items, by logistic regression; a ranking that learns from 20 of the labels can hardly be \
better.";

fn line(page: &mut String, row: &Row) -> std::fmt::Result {
    let Row { set, setup, gold, swarm, baseline, baseline_accuracy, lead, .. } = row;
    let calibration_error = row.calibration_error;
    let best_weights = row.best_weights.map_or(String::new(), |value| format!("{value:.3}"));
    let target = row.target.map_or(String::new(), |target| {
        let result = if swarm.value >= target { "reached" } else { "**not reached**" };
        format!("{target:.2}: {result}")
    });
    writeln!(
        page,
        "| {set} ({}) | {setup} | {gold} | {} | {:.3}, {baseline} | {} | {calibration_error:.3} | {best_weights} | {target} |",
        swarm.count,
        estimate(swarm),
        baseline_accuracy.value,
        difference(lead),
    )
}

fn estimate(estimate: &Estimate) -> String {
    let Estimate { value, low, high, .. } = estimate;
    format!("**{value:.3}** ({low:.3} to {high:.3})")
}

fn difference(estimate: &Estimate) -> String {
    let Estimate { value, low, high, .. } = estimate;
    format!("{value:+.3} ({low:+.3} to {high:+.3})")
}

/// The page eval/results/consensus-adversaries.md, with figures beside it ([`figure_name`]). `command` makes
/// it again.
pub fn adversaries(curves: &[Curve], command: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_curves(&mut page, curves, command);
    page
}

/// File name of a set's figure.
pub fn figure_name(set: &str) -> String {
    format!("adversaries-{}.svg", set.to_lowercase().replace(' ', "-"))
}

fn write_curves(page: &mut String, curves: &[Curve], command: &str) -> std::fmt::Result {
    writeln!(
        page,
        "# What bad members do to recorded rounds\n\n{ABOUT_ADVERSARIES} Made by `{command}`.\n"
    )?;
    writeln!(page, "## At a third\n")?;
    writeln!(page, "Points of accuracy with a third of bad members, relative to none.\n")?;
    writeln!(page, "| set | bad members | no gold | 5 gold | 20 gold | the vote |")?;
    writeln!(page, "|---|---|---:|---:|---:|---:|")?;
    for curve in curves {
        let Some((before, after)) = curve.points.first().zip(curve.at_a_third()) else {
            continue;
        };
        write!(page, "| {} | {} |", curve.set, curve.adversary.name())?;
        for (before, after) in before.swarm.iter().zip(&after.swarm) {
            write!(page, " {:+.1} |", 100.0 * (after - before))?;
        }
        writeln!(page, " {:+.1} |", 100.0 * (after.baseline - before.baseline))?;
    }
    for set in curves.chunk_by(|curve, next| curve.set == next.set) {
        table(page, set)?;
    }
    Ok(())
}

fn table(page: &mut String, curves: &[Curve]) -> std::fmt::Result {
    let Some(first) = curves.first() else { return Ok(()) };
    let (set, members) = (&first.set, first.members);
    writeln!(
        page,
        "\n## {set}\n\n![Accuracy against the share of bad members]({})\n",
        figure_name(set)
    )?;
    write!(page, "| of {members} members are bad | |")?;
    first.points.iter().try_for_each(|point| write!(page, " {} |", point.bad))?;
    write!(page, "\n|---|---|")?;
    first.points.iter().try_for_each(|_| write!(page, "---:|"))?;
    writeln!(page)?;
    for curve in curves {
        row(page, curve, "no gold", |point| point.swarm[0])?;
        row(page, curve, &format!("{} gold", GOLD[1]), |point| point.swarm[1])?;
        row(page, curve, &format!("{} gold", GOLD[2]), |point| point.swarm[2])?;
        row(page, curve, curve.baseline, |point| point.baseline)?;
    }
    let points = curves.iter().flat_map(|curve| &curve.points);
    let error = points.map(|point| point.error).fold(0.0, f64::max);
    writeln!(page, "\nOne standard error over the draws is at most {error:.3}.")
}

fn row(
    page: &mut String,
    curve: &Curve,
    label: &str,
    value: fn(&Point) -> f64,
) -> std::fmt::Result {
    write!(page, "| {} | {label} |", curve.adversary.name())?;
    curve.points.iter().try_for_each(|point| write!(page, " {:.3} |", value(point)))?;
    writeln!(page)
}

const ABOUT_ADVERSARIES: &str = "\
Random members of recorded sets ([consensus-recorded.md](consensus-recorded.md)) are replaced by bad ones. The \
gateway's own code ranks the rounds and learns from round to round: without gold, after 5 and after 20 gold rounds. \
**Inverted ballots**: gives the opposite of its own verdicts. **Position only**: prefers the answer that is shown first. \
**Constant answer**: always writes the same, and judges honestly. **Copied answer**: copies another member's. **Deceptive \
text**: always writes the same text, which every judge approves like the right answer, with .98 (the \
most that a null model, arXiv 2410.07137, can do). **Colluders**: all write the same wrong answer and prefer it, \
and each other. **Sleepers**: colluders that are honest in the first half of the rounds; gold is learned at its place in the \
order, and only the second half counts. **Fresh identities**: colluders with a new key in every round, all of \
one operator. On LLMBar the answers are fixed and members only judge; there all colluders give the opposite of their verdicts. A \
replay has no audits, no probation and no choice of members; [consensus-liars.md](consensus-liars.md) shows their effect.";
