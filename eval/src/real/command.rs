//! `shoal-eval real`: collect in pieces, attack the judge, make the page.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::{
    collect::{self, Plan, data},
    inject, nodes, page,
    questions::Set,
    record,
};

#[derive(Args, Debug)]
pub struct Real {
    #[command(subcommand)]
    step: Step,
    /// Everything that came of each question, a line each.
    #[arg(long, global = true, default_value = "target/eval/real.jsonl")]
    records: PathBuf,
    /// What the attacks came to, a line each.
    #[arg(long, global = true, default_value = "target/eval/real-attacks.jsonl")]
    attacks: PathBuf,
    /// Folder that holds data/questions and data/prompts.
    #[arg(long, global = true, env = "SHOAL_SHARED", default_value = "../shared")]
    shared: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Step {
    /// Starts the members and asks what is still missing, for so many minutes.
    Collect {
        #[arg(long, value_enum)]
        set: Set,
        /// Questions of this set that there shall be in the end.
        #[arg(long)]
        questions: usize,
        /// No question is begun after this.
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
        /// Questions under way at the same time.
        #[arg(long, default_value_t = 2)]
        at_once: usize,
    },
    /// Lets wrong answers of the records attack the judge.
    Attack {
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
    },
    /// Makes the tables again: eval/results/consensus-real.md, below its mark.
    Page {
        #[arg(long, default_value = "eval/results/consensus-real.md")]
        out: PathBuf,
    },
}

/// What stands above it is written by hand.
const MARK: &str = "<!-- below: shoal-eval real page -->";

/// # Errors
/// What went wrong, in one line.
pub async fn run(real: &Real) -> Result<()> {
    if let Some(folder) = real.records.parent() {
        fs::create_dir_all(folder)?;
    }
    match &real.step {
        Step::Collect { set, questions, minutes, at_once } => {
            let plan = Plan {
                set: *set,
                questions: *questions,
                limit: limit(*minutes),
                at_once: *at_once,
                shared: real.shared.clone(),
                records: real.records.clone(),
            };
            let swarm = nodes::start(&data(&real.records)).await?;
            let added = collect::collect(&swarm, &plan).await;
            swarm.end().await;
            say(&format!("{}: {} more", set.name(), added?));
        }
        Step::Attack { minutes } => {
            let plan = inject::Plan {
                records: real.records.clone(),
                shared: real.shared.clone(),
                keep: real.attacks.clone(),
                limit: limit(*minutes),
            };
            let swarm = nodes::start(&data(&real.records)).await?;
            let added = inject::measure(&swarm, &plan).await;
            swarm.end().await;
            say(&format!("attacks: {} more", added?));
        }
        Step::Page { out } => {
            let before = fs::read_to_string(out).unwrap_or_default();
            let above = before.split(MARK).next().unwrap_or_default().trim_end();
            let above = if above.is_empty() { "# Real models on real questions" } else { above };
            let (taken, attacked) = (record::read(&real.records)?, record::read(&real.attacks)?);
            let page = page::markdown(&taken, &attacked, &format!("{above}\n\n{MARK}"))?;
            fs::write(out, page).with_context(|| format!("cannot write {}", out.display()))?;
            say(&format!("written: {}", out.display()));
        }
    }
    Ok(())
}

fn limit(minutes: f64) -> Duration {
    Duration::from_secs_f64((60.0 * minutes).clamp(0.0, 1e6))
}

#[expect(clippy::print_stdout, reason = "talks to the person who started it")]
fn say(line: &str) {
    println!("{line}");
}
