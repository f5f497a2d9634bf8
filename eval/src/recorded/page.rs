//! What was measured, as Markdown.

use std::fmt::Write as _;

use shoal_gateway::replay::Estimate;

use super::{Found, Row, measure::Curve};

/// The page docs/consensus-recorded.md. `how`: the command that makes it again.
pub fn markdown(found: &Found, how: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut page, found, how);
    page
}

fn write(page: &mut String, found: &Found, how: &str) -> std::fmt::Result {
    writeln!(page, "# The ranking on recorded judgments\n")?;
    writeln!(page, "{ABOUT} Made by `{how}`.\n")?;
    writeln!(
        page,
        "| set | members | gold | the swarm | baseline | lead | ECE | all labels | wanted |"
    )?;
    writeln!(page, "|---|---|---:|---|---|---|---:|---:|---|")?;
    for row in &found.rows {
        line(page, row)?;
    }
    if !found.curves.is_empty() {
        writeln!(page, "\n## With bad members\n\n{CURVES}\n")?;
    }
    for curve in &found.curves {
        bad(page, curve)?;
    }
    Ok(())
}

const ABOUT: &str = "\
Answers and judgments of real models, recorded by others and ranked by the gateway's own code \
through the replay (docs/REPLAY.md), learning as it goes. Means over many draws of gold and of \
order, gold left out; 95 % bootstrap intervals over questions, the lead paired. LLMBar: six \
raters, both orders, two answers (the adversarial part is made so that the worse one looks \
better; of its 319 items the recording here holds as many as the count says). PRD: five models judge \
each other's answers; agreement with the pairs on which people have a majority. ZeroEval: recorded \
answers, simulated judges that are coupled to their own answer and err together (correlation .3). ECE: \
expected calibration error of P(best). \"All labels\": what fixed weights of the raters come to that were \
fitted to every label of the very same items, by logistic regression; who learns from 20 of them can \
hardly do better.";

const CURVES: &str = "\
A share of the members (rounded, drawn) is replaced. Inverted: says the opposite. Position: prefers \
what is shown first. Colluders: all write the same wrong answer and prefer each other's. Constant: \
always the same answer. Copied: the answer of another. Where half of all collude and no gold is \
known, nothing can tell them from the honest.";

fn line(page: &mut String, row: &Row) -> std::fmt::Result {
    let Row { set, setup, gold, ours, baseline, theirs, lead, calibration_error, fitted, wanted } =
        row;
    let fitted = fitted.map_or(String::new(), |fitted| format!("{fitted:.3}"));
    let wanted = wanted.map_or(String::new(), |wanted| {
        let reached = if ours.value >= wanted { "reached" } else { "**not reached**" };
        format!("{wanted:.2}: {reached}")
    });
    writeln!(
        page,
        "| {set} ({}) | {setup} | {gold} | {} | {:.3}, {baseline} | {} | {calibration_error:.3} | {fitted} | {wanted} |",
        ours.count,
        estimate(ours),
        theirs.value,
        signed(lead),
    )
}

fn estimate(one: &Estimate) -> String {
    format!("**{:.3}** ({:.3} to {:.3})", one.value, one.low, one.high)
}

fn signed(one: &Estimate) -> String {
    format!("{:+.3} ({:+.3} to {:+.3})", one.value, one.low, one.high)
}

fn bad(page: &mut String, curve: &Curve) -> std::fmt::Result {
    writeln!(page, "### {}: {}\n", curve.set, curve.adversary.name())?;
    writeln!(page, "| bad | no gold | 20 gold | {} |", curve.baseline)?;
    writeln!(page, "|---:|---:|---:|---:|")?;
    for one in &curve.points {
        let share = 100.0 * one.share;
        writeln!(page, "| {share:.0} % | {:.3} | {:.3} | {:.3} |", one.none, one.gold, one.theirs)?;
    }
    writeln!(page)
}
