//! What was measured, as Markdown.

use std::fmt::Write as _;

use shoal_consensus::replay::Estimate;

use super::{
    Found, Row,
    curve::{Curve, GOLD, Point},
};

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

/// The page docs/consensus-adversaries.md; its figures lie beside it as [`figure_of`] names them.
pub fn adversaries(curves: &[Curve], how: &str) -> String {
    let mut page = String::new();
    // Writing to a String cannot fail.
    let _ = write_curves(&mut page, curves, how);
    page
}

/// The name of a set's figure.
pub fn figure_of(set: &str) -> String {
    format!("adversaries-{}.svg", set.to_lowercase().replace(' ', "-"))
}

fn write_curves(page: &mut String, curves: &[Curve], how: &str) -> std::fmt::Result {
    writeln!(page, "# What bad members do to recorded rounds\n\n{BAD} Made by `{how}`.\n")?;
    writeln!(page, "## At a third\n")?;
    writeln!(page, "Points of accuracy lost with a third of bad members, against none.\n")?;
    writeln!(page, "| set | bad members | no gold | 5 gold | 20 gold | the vote |")?;
    writeln!(page, "|---|---|---:|---:|---:|---:|")?;
    for curve in curves {
        let Some((none, third)) = curve.points.first().zip(curve.at_a_third()) else { continue };
        let lost = |before: f64, after: f64| format!("{:+.1}", 100.0 * (after - before));
        let [no, few, exam] = [0, 1, 2].map(|at: usize| {
            let of = |point: &Point| point.ours.get(at).copied().unwrap_or_default();
            lost(of(none), of(third))
        });
        let (name, vote) = (curve.adversary.name(), lost(none.theirs, third.theirs));
        writeln!(page, "| {} | {name} | {no} | {few} | {exam} | {vote} |", curve.set)?;
    }
    for of_set in curves.chunk_by(|one, next| one.set == next.set) {
        table(page, of_set)?;
    }
    Ok(())
}

fn table(page: &mut String, curves: &[Curve]) -> std::fmt::Result {
    let Some(first) = curves.first() else { return Ok(()) };
    let (set, members) = (&first.set, first.members);
    writeln!(
        page,
        "\n## {set}\n\n![Accuracy against the share of bad members]({})\n",
        figure_of(set)
    )?;
    write!(page, "| of {members} members are bad | |")?;
    first.points.iter().try_for_each(|one| write!(page, " {} |", one.bad))?;
    write!(page, "\n|---|---|")?;
    first.points.iter().try_for_each(|_| write!(page, "---:|"))?;
    writeln!(page)?;
    for curve in curves {
        let name = curve.adversary.name();
        let mut row = |known: &str, of: &dyn Fn(&Point) -> f64| -> std::fmt::Result {
            write!(page, "| {name} | {known} |")?;
            curve.points.iter().try_for_each(|one| write!(page, " {:.3} |", of(one)))?;
            writeln!(page)
        };
        for (at, gold) in GOLD.iter().enumerate() {
            let known = if *gold == 0 { "no gold".to_owned() } else { format!("{gold} gold") };
            row(&known, &|one| one.ours.get(at).copied().unwrap_or_default())?;
        }
        row(curve.baseline, &|one| one.theirs)?;
    }
    let error = curves.iter().flat_map(|one| &one.points).map(|one| one.error).fold(0.0, f64::max);
    writeln!(page, "\nOne standard error over the draws is at most {error:.3}.")
}

const BAD: &str = "\
Some members of recorded sets (docs/consensus-recorded.md), drawn by lot, are replaced by bad ones, and the \
rounds are ranked by the gateway's own code, learning as it goes: without gold, after 5 and after 20 gold rounds. \
**Inverted ballots**: says the opposite of what it finds. **Position only**: prefers what is shown first. \
**Constant answer**: always the same, and judges honestly. **Copied answer**: that of another. **Text that \
convinces**: always the same text, made so that every judge approves it as it would the right answer, .98 (the \
worst that a null model, arXiv 2410.07137, can do). **Colluders**: all write the same wrong answer and prefer it, \
and each other. **Sleepers**: colluders that are honest in the first half of the rounds; gold comes when its turn \
comes, and only the second half is counted. **Fresh identities**: colluders with a new key in every round, all of \
one operator. Where the answers are given (LLMBar) members only judge, and colluders all say the opposite. A \
replay has no audits, no probation and no choice of whom to ask: what those add, docs/consensus-liars.md says.";
