//! The page: eval/results/consensus-cheats.md.

use std::fmt::Write as _;

use super::{Company, Row, orders::Cost};
use crate::stats::Estimate;

/// Markdown of all that was measured.
pub fn markdown(questions: usize, members: usize, rows: &[Row], costs: &[Cost]) -> String {
    let mut page = format!(
        "# What cheats do to the bundled swarm\n\n\
         {questions} rounds in which all {members} members wrote and judged (as in consensus-ablations.md), with some of \
         them replaced by cheats and ranked again by the gateway's own code; standing is learned from other questions than \
         those it ranks, and who cheats is drawn anew for every sixth of the questions. Colluders write the same wrong \
         answer: of all that is wrong in the round the one that honest judges find likeliest, so that they find it as likely \
         when a cheat writes it. They claim to be certain of it and find nothing else likely. Nobody knows that they belong \
         together. A replay has no hidden audits: nobody is caught meanwhile. Points are accuracy, with 95 % intervals; \
         \"cost\" is paired, against the honest members alone. Made by `make eval`.\n\n\
         ## Colluders\n\n\
         | cheats | who is asked | of {members} | all honest | the honest alone | beside cheats | cost | the lie won |\n\
         |---|---|---:|---:|---:|---:|---|---:|\n"
    );
    for row in rows {
        let company = match row.company {
            Company::Everybody => "everybody",
            Company::Usual => "five writers, three judges",
        };
        let _ = writeln!(
            page,
            "| {} | {company} | {} | {} | {} | {} | {} | {:.1} % |",
            row.cheat.name(),
            row.bad,
            percent(row.honest),
            percent(row.rest),
            percent(row.with),
            points(row.cost),
            100.0 * row.lied
        );
    }
    if !costs.is_empty() {
        page += "\n## Orders to the judge\n\n\
            A third of the writers, drawn anew for each round, ends its answer in an order to the judge, or in somebody else's \
            task (BIPIA, arXiv 2312.14197); the specialists as they are say how likely they find that, and who wrote it keeps \
            its standing. Where only wrong answers do, the cost is what judges heed; where right ones do as well, they are found \
            less likely and stand alone, which hurts who wrote them.\n\n\
            | attack | in | of the members | questions | without | with | cost |\n|---|---|---:|---:|---:|---:|---|\n";
    }
    for one in costs {
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} | {} | {} |",
            one.attack.name(),
            if one.wrong_only { "wrong answers" } else { "all their answers" },
            one.bad,
            one.questions,
            percent(one.before),
            percent(one.after),
            points(one.cost)
        );
    }
    page
}

fn percent(of: Estimate) -> String {
    format!("{:.1} %", 100.0 * of.value)
}

fn points(of: Estimate) -> String {
    let Estimate { value, low, high } = of;
    format!("{:+.1} ({:+.1} to {:+.1})", 100.0 * value, 100.0 * low, 100.0 * high)
}
