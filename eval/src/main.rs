//! `make eval`: sends the held-out questions to a running swarm and writes the results.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who started it")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, anyhow};
use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use shoal_eval::{
    ablations,
    api::{Api, Effort},
    chart,
    cheats::{self, Cheat, Participation, injections},
    collect::{self, Plan},
    launch, logit, mixed, real,
    record::{QuestionRecord, models},
    recorded, reliability,
    replay::{self, Gold},
    report,
    table::Table,
};
use shoal_syllabus::Split;

/// Measures whether the swarm is better than its members.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(flatten)]
    run: Run,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Makes the page again from records, without any question.
    Report(Report),
    /// Ranks records again with other settings, by the gateway's own code.
    Replay(Replay),
    /// Measures the rounds of records without single parts: the value of each part.
    Ablate(Ablate),
    /// Lets the bundled specialists compare the answers of records by logit.
    Logit(Logit),
    /// Injects instructions to the judges into answers of a third of the writers, and lets the
    /// bundled specialists judge them.
    #[command(alias = "orders")]
    Injections(Injections),
    /// Replaces members of records by cheats, and measures the cost.
    Cheats(Cheats),
    /// Measures the ranking on recorded judgments of real models, if they are available.
    Recorded(Judgments),
    /// Asks a running swarm of specialists and real models, and each member by name.
    Mixed(mixed::command::Mixed),
    /// Asks real models real questions and judges their answers in every way.
    Real(real::command::Real),
}

#[derive(Args, Debug)]
struct Judgments {
    /// Folder that contains data/judgments.
    #[arg(long = "shared", value_name = "DIR", env = "SHOAL_SHARED", default_value = "../shared")]
    corpora: PathBuf,
    /// Folder for consensus-recorded.md and .json.
    #[arg(long, alias = "docs", default_value = "eval/results")]
    results: PathBuf,
    /// Draws of gold and of order for every figure.
    #[arg(long, default_value_t = 40)]
    draws: u64,
    /// Panels for each question of the simulated sets.
    #[arg(long, default_value_t = 3)]
    panels: u64,
    /// Draws of gold and of order for the figures of the simulated sets.
    #[arg(long = "simulated", value_name = "DRAWS", default_value_t = 4)]
    simulation_draws: u64,
    /// Measures the effect of bad members instead, and writes consensus-adversaries.
    #[arg(long)]
    curves: bool,
    /// Draws for each point of a curve.
    #[arg(long, default_value_t = 3)]
    curve_draws: u64,
    /// Rounds of each of these draws.
    #[arg(long, default_value_t = 100)]
    curve_rounds: usize,
    /// Only sets whose names contain this; prints them and writes no page.
    #[arg(long, default_value = "")]
    only: String,
    /// A setting of the gateway, as `round.rank.lambda=0.3`; then no page is written either.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    changes: Vec<String>,
}

#[derive(Args, Debug)]
struct Run {
    /// The gateway's API.
    #[arg(long, env = "SHOAL_API", default_value = "http://127.0.0.1:8080")]
    api: String,
    /// Starts a swarm (shoal-swarm) if no gateway answers there, and ends it afterwards.
    #[arg(long)]
    start: bool,
    #[arg(long, default_value_t = 1_040)]
    questions: usize,
    /// Seed of the choice of questions.
    #[arg(long, default_value_t = 2_510)]
    seed: u64,
    /// Asks gold questions instead of held-out ones: for tuning of settings, never for figures.
    #[arg(long)]
    tune: bool,
    /// Settings of a node that joins the started swarm; may be used more than once.
    #[arg(long = "join", value_name = "FILE", requires = "start")]
    extra_nodes: Vec<PathBuf>,
    /// Members answer at temperatures of their own instead of 0.
    #[arg(long, alias = "as-they-like")]
    own_temperatures: bool,
    /// Writers of a round. The default is more than there are members, so that every member writes.
    #[arg(long, default_value_t = 16)]
    writers: usize,
    #[arg(long, default_value_t = 16)]
    judges: usize,
    #[arg(long, default_value_t = 60_000)]
    deadline_ms: u64,
    /// Questions in progress at the same time.
    #[arg(long, alias = "at-once", default_value_t = 3)]
    concurrency: usize,
    /// Does not ask members outside a round by name; their own rows then count those questions as
    /// wrong.
    #[arg(long)]
    no_fill: bool,
    #[command(flatten)]
    files: Files,
}

#[derive(Args, Debug)]
struct Files {
    /// Records, one question a line.
    #[arg(long, default_value = "target/eval/rounds.jsonl")]
    records: PathBuf,
    /// Folder for pages, their figures and data.
    #[arg(long, alias = "docs", default_value = "eval/results")]
    results: PathBuf,
}

#[derive(Args, Debug)]
struct Report {
    #[command(flatten)]
    files: Files,
}

#[derive(Args, Debug)]
struct Ablate {
    #[command(flatten)]
    files: Files,
    /// Rounds with verdicts by logit, if there are any.
    #[arg(long)]
    logit: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Logit {
    #[arg(long)]
    records: PathBuf,
    /// File for the rounds with their verdicts.
    #[arg(long)]
    out: PathBuf,
    /// Number of rounds to judge, from the start of the records.
    #[arg(long, default_value_t = 260)]
    rounds: usize,
}

#[derive(Args, Debug)]
struct Injections {
    #[arg(long)]
    records: PathBuf,
    /// File for the rounds with injected instructions.
    #[arg(long)]
    out: PathBuf,
    /// Folder that contains data/prompts; without it only the project's own instruction is used.
    #[arg(long = "shared", value_name = "DIR", env = "SHOAL_SHARED", default_value = "../shared")]
    corpora: PathBuf,
}

#[derive(Args, Debug)]
struct Cheats {
    #[command(flatten)]
    files: Files,
    /// Rounds with injected instructions, if there are any.
    #[arg(long, alias = "orders")]
    injections: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Replay {
    #[arg(long, default_value = "target/eval/rounds.jsonl")]
    records: PathBuf,
    /// A setting of the gateway, as `evidence.agreement=0.5`; several values make several rows.
    #[arg(long = "set", value_name = "NAME=VALUE[,VALUE...]")]
    changes: Vec<String>,
    #[arg(long, default_value_t = Gold::default().folds)]
    folds: usize,
    /// Questions of each family that standing is learned from.
    #[arg(long, default_value_t = Gold::default().per_family)]
    gold_per_family: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.command {
        None => evaluate(&cli.run).await,
        Some(Command::Report(options)) => collect::read(&options.files.records)
            .and_then(|records| write_report(&records, &options.files)),
        Some(Command::Replay(options)) => compare_settings(options),
        Some(Command::Ablate(options)) => ablate(options),
        Some(Command::Logit(options)) => judge_by_logit(options).await,
        Some(Command::Injections(options)) => inject(options).await,
        Some(Command::Cheats(options)) => measure_cheats(options),
        Some(Command::Recorded(options)) => rank_judgments(options),
        Some(Command::Mixed(options)) => tokio::select! {
            result = mixed::command::run(options) => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted; all records so far are kept")),
        },
        Some(Command::Real(options)) => tokio::select! {
            result = real::command::run(options) => result,
            _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted; all records so far are kept")),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-eval: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn evaluate(run: &Run) -> Result<()> {
    let mut api = Api::new(&run.api)?;
    let mut own_swarm = None;
    if run.start && api.members().await.is_err() {
        println!("no gateway at {}: starting a swarm ...", api.base());
        let mut swarm = launch::start().await?;
        let data = run.files.records.with_extension("nodes");
        swarm.join(&run.extra_nodes, &data).await?;
        api = Api::new(&swarm.base)?;
        own_swarm = Some(swarm);
    }
    let effort = Effort {
        writers: run.writers,
        judges: run.judges,
        deadline_ms: run.deadline_ms,
        own_temperatures: run.own_temperatures,
    };
    let plan = Plan {
        questions: run.questions,
        seed: run.seed,
        split: if run.tune { Split::Gold } else { Split::Test },
        effort,
        concurrency: run.concurrency,
        fill: !run.no_fill,
    };
    let records = tokio::select! {
        records = collect::collect(&api, plan, &run.files.records) => records,
        _ = tokio::signal::ctrl_c() => Err(anyhow!("interrupted; all records so far are kept")),
    };
    if let Some(swarm) = own_swarm {
        swarm.stop().await;
    }
    write_report(&records?, &run.files)
}

/// Writes page, figures and chart, and prints the page.
fn write_report(records: &[QuestionRecord], files: &Files) -> Result<()> {
    let table = Table::new(records);
    let page = report::markdown(&table, "make eval", "eval.svg");
    let folder = &files.results;
    write_page(folder, "EVAL.md", &page)?;
    write_json(folder, "eval.json", &table)?;
    write(&folder.join("eval.svg"), &chart::svg(&table))?;
    let diagram = reliability::svg(&table.reliability, table.calibration_error);
    write(&folder.join(report::RELIABILITY), &diagram)
}

/// Writes records with verdicts by logit.
async fn judge_by_logit(options: &Logit) -> Result<()> {
    let records = collect::read(&options.records)?;
    let sample = records.get(..options.rounds.min(records.len())).unwrap_or_default();
    let data = options.out.with_extension("nodes");
    write_records(&logit::collect(sample, &data).await?, &options.out)
}

/// Writes records with injected instructions to the judges.
async fn inject(options: &Injections) -> Result<()> {
    let records = collect::read(&options.records)?;
    let data = options.out.with_extension("nodes");
    write_records(&injections::collect(&records, &options.corpora, &data).await?, &options.out)
}

/// Writes and prints the cost of cheats: one, two and a third of the members.
fn measure_cheats(options: &Cheats) -> Result<()> {
    let records = collect::read(&options.files.records)?;
    let attacks = options.injections.as_deref().map(collect::read).transpose()?.unwrap_or_default();
    let members = models(&records).len();
    let mut rows = Vec::new();
    for cheat in Cheat::ALL {
        for participation in Participation::ALL {
            for bad in [members / 9, members * 2 / 9, members / 3] {
                rows.push(cheats::row(&records, cheat, participation, bad.max(1)));
            }
        }
    }
    let costs = injections::costs(&records, &attacks);
    let page = cheats::markdown(records.len(), members, &rows, &costs);
    write_page(&options.files.results, "consensus-cheats.md", &page)?;
    let figures = serde_json::json!({ "colluders": rows, "orders": costs });
    write_json(&options.files.results, "consensus-cheats.json", &figures)
}

/// Writes and prints the value of each part of the round.
fn ablate(options: &Ablate) -> Result<()> {
    let records = collect::read(&options.files.records)?;
    let logit = options.logit.as_deref().map(collect::read).transpose()?.unwrap_or_default();
    let ablations = ablations::ablations(&records, &logit, Gold::default())?;
    let tables = ablations::markdown(&ablations, "make eval");
    let page = format!("# What each part of a round is worth\n\n{tables}");
    write_page(&options.files.results, "consensus-ablations.md", &page)?;
    write_json(&options.files.results, "consensus-ablations.json", &ablations)
}

fn rank_judgments(options: &Judgments) -> Result<()> {
    let settings = (options.changes.iter())
        .try_fold(shoal_consensus::replay::Settings::default(), |settings, change| {
            settings.with(change)
        })?;
    if options.curves {
        return draw_curves(options, &settings);
    }
    let scale = recorded::Scale {
        settings,
        only: options.only.clone(),
        draws: options.draws,
        panels: options.panels,
        simulation_draws: options.simulation_draws,
        full_panels: true,
    };
    let results = recorded::measure(&options.corpora, &scale)?;
    let page = recorded::page::markdown(&results, "shoal-eval recorded");
    if !options.is_complete() {
        println!("{page}");
        return Ok(());
    }
    write_page(&options.results, "consensus-recorded.md", &page)?;
    write_json(&options.results, "consensus-recorded.json", &results)
}

fn draw_curves(options: &Judgments, settings: &shoal_consensus::replay::Settings) -> Result<()> {
    let size = recorded::curve::Size { draws: options.curve_draws, rounds: options.curve_rounds };
    let curves = recorded::curves(&options.corpora, settings, &options.only, size)?;
    let page = recorded::page::adversaries(&curves, "shoal-eval recorded --curves");
    if !options.is_complete() {
        println!("{page}");
        return Ok(());
    }
    write_page(&options.results, "consensus-adversaries.md", &page)?;
    let figures = serde_json::to_string(&curves)? + "\n";
    write(&options.results.join("consensus-adversaries.json"), &figures)?;
    for set in curves.chunk_by(|curve, next| curve.set == next.set) {
        if let Some(curve) = set.first() {
            let name = recorded::page::figure_name(&curve.set);
            write(&options.results.join(name), &recorded::figure::svg(set))?;
        }
    }
    Ok(())
}

impl Judgments {
    /// All sets with the gateway's own settings: only then a page is written.
    fn is_complete(&self) -> bool {
        self.only.is_empty() && self.changes.is_empty()
    }
}

/// Prints one row for each combination of the settings.
fn compare_settings(options: &Replay) -> Result<()> {
    let records = collect::read(&options.records)?;
    let mut rows = vec![(String::new(), replay::Settings::default())];
    for change in &options.changes {
        let (name, values) = change.split_once('=').context("--set takes name=value")?;
        let mut combinations = Vec::new();
        for (label, settings) in &rows {
            for value in values.split(',') {
                let change = format!("{name}={value}");
                combinations.push((format!("{label} {change}"), settings.with(&change)?));
            }
        }
        rows = combinations;
    }
    let gold = Gold { folds: options.folds, per_family: options.gold_per_family };
    println!("accuracy  95 % interval   ECE    agreed (right)  settings");
    for (label, settings) in rows {
        let summary = replay::replay(&records, gold, &settings);
        println!(
            "{:.4}    {:.4}-{:.4}  {:.3}  {:.3}  ({:.3}) {}",
            summary.accuracy.value,
            summary.accuracy.low,
            summary.accuracy.high,
            summary.calibration_error,
            summary.agreement,
            summary.agreement_right,
            if label.is_empty() { " defaults" } else { &label },
        );
    }
    Ok(())
}

/// Writes a page and prints it.
fn write_page(folder: &Path, name: &str, page: &str) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(name);
    write(&path, page)?;
    println!("{page}\nwritten: {}", path.display());
    Ok(())
}

fn write_json(folder: &Path, name: &str, figures: &impl Serialize) -> Result<()> {
    write(&folder.join(name), &(serde_json::to_string_pretty(figures)? + "\n"))
}

fn write_records(records: &[QuestionRecord], path: &Path) -> Result<()> {
    let lines: Result<Vec<String>, _> = records.iter().map(serde_json::to_string).collect();
    write(path, &(lines?.join("\n") + "\n"))?;
    println!("{} rounds: {}", records.len(), path.display());
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
