//! `shoal-eval mixed`: collect in pieces, make the page.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};

use super::{
    collect::{self, Answer, Plan},
    coverage, page,
    questions::Set,
};
use crate::{api::Api, real::record};

/// `shoal-eval mixed`.
#[derive(Args, Debug)]
pub struct Mixed {
    #[command(subcommand)]
    step: Step,
    /// Answers, one a line.
    #[arg(long, global = true, default_value = "target/eval/mixed.jsonl")]
    records: PathBuf,
}

#[derive(Subcommand, Debug)]
enum Step {
    /// Asks a running swarm the questions that are not in the records yet.
    Collect {
        /// The gateway's API.
        #[arg(long, env = "SHOAL_API", default_value = "http://127.0.0.1:8080")]
        api: String,
        #[arg(long, value_enum)]
        set: Set,
        /// Number of questions of this set at the end.
        #[arg(long)]
        questions: usize,
        /// Who is asked: the swarm and members by name.
        #[arg(long, value_delimiter = ',', default_value = "shoal")]
        models: Vec<String>,
        /// No question starts after this time.
        #[arg(long, default_value_t = 60.0)]
        minutes: f64,
        /// Questions in progress at the same time.
        #[arg(long, default_value_t = 1)]
        concurrency: usize,
        /// Folder that contains data/questions.
        #[arg(
            long = "shared",
            value_name = "DIR",
            env = "SHOAL_SHARED",
            default_value = "../shared"
        )]
        corpora: PathBuf,
    },
    /// Makes the tables of the page again, below its mark, and the figure beside it.
    Page {
        #[arg(long, default_value = "eval/results/mixed.md")]
        out: PathBuf,
    },
}

/// The text above this line is written by hand.
const MARK: &str = "<!-- below: shoal-eval mixed page -->";

/// Runs one step.
///
/// # Errors
/// If a file cannot be read or written, or the gateway cannot be reached.
#[expect(clippy::print_stdout, reason = "reports to the person who started it")]
pub async fn run(mixed: &Mixed) -> Result<()> {
    if let Some(folder) = mixed.records.parent() {
        fs::create_dir_all(folder)?;
    }
    match &mixed.step {
        Step::Collect { api, set, questions, models, minutes, concurrency, corpora } => {
            let plan = Plan {
                set: *set,
                questions: *questions,
                models: models.clone(),
                limit: Duration::from_secs_f64((60.0 * minutes).clamp(0.0, 1e6)),
                concurrency: *concurrency,
                corpora: corpora.clone(),
                records: mixed.records.clone(),
            };
            let count = collect::collect(&Api::new(api)?, &plan).await?;
            println!("{}: {count} more answers", set.name());
        }
        Step::Page { out } => {
            let before = fs::read_to_string(out).unwrap_or_default();
            let above = before.split(MARK).next().unwrap_or_default().trim_end();
            let above = if above.is_empty() { "# A mixed swarm" } else { above };
            let answers: Vec<Answer> = record::read(&mixed.records)?;
            let tables = page::markdown(&answers);
            fs::write(out, format!("{above}\n\n{MARK}\n{tables}"))
                .with_context(|| format!("cannot write {}", out.display()))?;
            fs::write(out.with_extension("svg"), coverage::svg(&answers))?;
            println!("written: {}", out.display());
        }
    }
    Ok(())
}
