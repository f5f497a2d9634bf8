//! `shoal-eval real`: collect in pieces, attack the judge, make the page.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::{
    collect::{self, Plan, data_folder},
    inject, nodes, page,
    questions::Set,
    record,
};

/// `shoal-eval real`.
#[derive(Args, Debug)]
pub struct Real {
    #[command(subcommand)]
    step: Step,
    /// Answers and ballots of each question, one question a line.
    #[arg(long, global = true, default_value = "target/eval/real.jsonl")]
    records: PathBuf,
    /// Results of the attacks, one a line.
    #[arg(long, global = true, default_value = "target/eval/real-attacks.jsonl")]
    attacks: PathBuf,
    /// Folder that contains data/questions and data/prompts.
    #[arg(
        long = "shared",
        value_name = "DIR",
        global = true,
        env = "SHOAL_SHARED",
        default_value = "../shared"
    )]
    corpora: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Step {
    /// Starts the members and asks the questions that are not in the records yet.
    Collect {
        #[arg(long, value_enum)]
        set: Set,
        /// Number of questions of this set at the end.
        #[arg(long)]
        questions: usize,
        /// No question starts after this time.
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
        /// Questions in progress at the same time.
        #[arg(long, alias = "at-once", default_value_t = 2)]
        concurrency: usize,
    },
    /// Lets wrong answers of the records attack the judge.
    Attack {
        #[arg(long, default_value_t = 3.0)]
        minutes: f64,
    },
    /// Makes the tables of eval/results/consensus-real.md again, below its mark.
    Page {
        #[arg(long, default_value = "eval/results/consensus-real.md")]
        out: PathBuf,
    },
}

/// The text above this line is written by hand.
const MARK: &str = "<!-- below: shoal-eval real page -->";

/// Runs one step.
///
/// # Errors
/// If a file cannot be read or written, or a member fails.
pub async fn run(real: &Real) -> Result<()> {
    if let Some(folder) = real.records.parent() {
        fs::create_dir_all(folder)?;
    }
    match &real.step {
        Step::Collect { set, questions, minutes, concurrency } => {
            let plan = Plan {
                set: *set,
                questions: *questions,
                limit: limit(*minutes),
                concurrency: *concurrency,
                corpora: real.corpora.clone(),
                records: real.records.clone(),
            };
            let swarm = nodes::start(&data_folder(&real.records)).await?;
            let count = collect::collect(&swarm, &plan).await;
            swarm.end().await;
            print_line(&format!("{}: {} more", set.name(), count?));
        }
        Step::Attack { minutes } => {
            let plan = inject::Plan {
                records: real.records.clone(),
                corpora: real.corpora.clone(),
                outcomes: real.attacks.clone(),
                limit: limit(*minutes),
            };
            let swarm = nodes::start(&data_folder(&real.records)).await?;
            let count = inject::measure(&swarm, &plan).await;
            swarm.end().await;
            print_line(&format!("attacks: {} more", count?));
        }
        Step::Page { out } => {
            let before = fs::read_to_string(out).unwrap_or_default();
            let above = before.split(MARK).next().unwrap_or_default().trim_end();
            let above = if above.is_empty() { "# Real models on real questions" } else { above };
            let (records, attacks) = (record::read(&real.records)?, record::read(&real.attacks)?);
            let page = page::markdown(&records, &attacks, &format!("{above}\n\n{MARK}"))?;
            fs::write(out, page).with_context(|| format!("cannot write {}", out.display()))?;
            print_line(&format!("written: {}", out.display()));
        }
    }
    Ok(())
}

fn limit(minutes: f64) -> Duration {
    Duration::from_secs_f64((60.0 * minutes).clamp(0.0, 1e6))
}

#[expect(clippy::print_stdout, reason = "reports to the person who started it")]
fn print_line(line: &str) {
    println!("{line}");
}
