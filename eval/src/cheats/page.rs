//! The page eval/results/consensus-cheats.md.

use std::fmt::Write as _;

use super::{Participation, Row, injections::Cost};
use crate::stats::Estimate;

/// The page in Markdown.
pub fn markdown(questions: usize, members: usize, rows: &[Row], costs: &[Cost]) -> String {
    let mut page = format!(
        "# What cheats do to the bundled swarm\n\n\
         {questions} rounds in which all {members} members wrote and judged (as in consensus-ablations.md), with some of \
         them replaced by cheats, and ranked again by the gateway's own code. Standing is learned from other questions than \
         those it ranks, and the cheats are drawn again for every sixth of the questions. Colluders write the same wrong \
         answer: the mistake of the round that honest judges find likeliest. Honest judges find it equally likely \
         when a cheat writes it. Colluders claim to be certain of it and find nothing else likely. The gateway does not know that \
         they belong together. A replay has no hidden audits, so no cheat is caught. Points are accuracy, with 95 % intervals; \
         \"cost\" is paired, relative to the honest members alone. Made by `make eval`.\n\n\
         ## Colluders\n\n\
         | cheats | participants | of {members} | all honest | the honest alone | with cheats | cost | the lie won |\n\
         |---|---|---:|---:|---:|---:|---|---:|\n"
    );
    // Writing to a String cannot fail.
    for row in rows {
        let participants = match row.participation {
            Participation::Full => "all members",
            Participation::Default => "five writers, three judges",
        };
        let _ = writeln!(
            page,
            "| {} | {participants} | {} | {} | {} | {} | {} | {:.1} % |",
            row.cheat.name(),
            row.bad,
            percent(row.honest),
            percent(row.rest),
            percent(row.with),
            points(row.cost),
            100.0 * row.lies
        );
    }
    if !costs.is_empty() {
        page += INJECTIONS;
    }
    for cost in costs {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cost.attack.name(),
            if cost.wrong_only { "wrong answers" } else { "all their answers" },
            cost.bad,
            cost.questions,
            percent(cost.before),
            percent(cost.after),
            points(cost.cost)
        );
    }
    page
}

const INJECTIONS: &str = "\n## Instructions to the judge\n\n\
    A third of the writers, drawn again for each round, ends its answer in an instruction to the judge, or in a foreign \
    task (BIPIA, arXiv 2312.14197). The real specialists report their likelihood of that text, and the writers keep \
    their standing. If only wrong answers attack, the cost shows how much judges obey. If right answers attack too, they \
    get lower likelihoods and pools of their own, which hurts their writers.\n\n\
    | attack | in | of the members | questions | without | with | cost |\n|---|---|---:|---:|---:|---:|---|\n";

fn percent(estimate: Estimate) -> String {
    format!("{:.1} %", 100.0 * estimate.value)
}

fn points(estimate: Estimate) -> String {
    let Estimate { value, low, high, .. } = estimate;
    format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * value, 100.0 * low, 100.0 * high)
}
