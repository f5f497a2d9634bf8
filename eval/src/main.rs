//! `make eval`: asks a running swarm the held-out questions and writes what came of it.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who started it")]

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use shoal_eval::{
    ablations,
    api::{Api, Effort},
    chart,
    cheats::{self, Cheat, Company},
    collect::{self, Plan},
    launch, logit, real,
    record::{Asked, models},
    recorded, reliability,
    replay::{self, Gold},
    report,
    table::Table,
};
use shoal_syllabus::Split;

/// Is the swarm better than its members?
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
    /// Makes the tables again from kept records, asking nobody.
    Report(Report),
    /// Ranks kept records again with other settings, through the gateway's own code.
    Replay(Replay),
    /// Takes each part of the round away in turn: what it is worth.
    Ablate(Ablate),
    /// Lets the bundled specialists compare the answers of kept rounds by logit.
    Logit(Logit),
    /// Lets a third of the writers of kept rounds give orders to their judges, the bundled specialists.
    Orders(Orders),
    /// Replaces members of kept rounds by cheats: what those cost.
    Cheats(Cheats),
    /// Measures the ranking on recorded judgments of real models, where somebody has them.
    Recorded(Recorded),
    /// Asks real models real questions and judges their answers in every way.
    Real(real::command::Real),
}

#[derive(Args, Debug)]
struct Recorded {
    /// Folder that holds data/judgments.
    #[arg(long, env = "SHOAL_SHARED", default_value = "../shared")]
    shared: PathBuf,
    /// Folder for consensus-recorded.md and .json.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
    /// Draws of gold and of order behind every figure.
    #[arg(long, default_value_t = 40)]
    draws: u64,
    /// Panels drawn for each question of the simulated sets.
    #[arg(long, default_value_t = 3)]
    panels: u64,
    /// Draws of gold and of order behind the figures of the simulated sets.
    #[arg(long, default_value_t = 4)]
    simulated: u64,
    /// Measures what bad members do instead, and writes consensus-adversaries.
    #[arg(long)]
    curves: bool,
    /// Draws behind each point of a curve.
    #[arg(long, default_value_t = 3)]
    curve_draws: u64,
    /// Rounds of each of these draws.
    #[arg(long, default_value_t = 100)]
    curve_rounds: usize,
    /// Only sets whose names hold this; prints them and writes no page.
    #[arg(long, default_value = "")]
    only: String,
    /// A setting of the gateway, as `round.rank.lambda=0.3`; then no page is written either.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    set: Vec<String>,
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
    /// Which questions.
    #[arg(long, default_value_t = 2_510)]
    seed: u64,
    /// Asks gold questions instead of held-out ones: to tune settings on, never for figures.
    #[arg(long)]
    tune: bool,
    /// Settings of a node that joins the swarm that was started; may be given more than once.
    #[arg(long, value_name = "FILE", requires = "start")]
    join: Vec<PathBuf>,
    /// Members answer at temperatures of their own instead of 0.
    #[arg(long)]
    as_they_like: bool,
    /// More than there are members: everybody writes.
    #[arg(long, default_value_t = 16)]
    writers: usize,
    #[arg(long, default_value_t = 16)]
    judges: usize,
    #[arg(long, default_value_t = 60_000)]
    deadline_ms: u64,
    /// Questions under way at the same time.
    #[arg(long, default_value_t = 3)]
    at_once: usize,
    /// Does not ask members by name that a round did without; their own rows then count those
    /// questions as wrong.
    #[arg(long)]
    no_fill: bool,
    #[command(flatten)]
    out: Out,
}

#[derive(Args, Debug)]
struct Out {
    /// Records, one question a line.
    #[arg(long, default_value = "target/eval/rounds.jsonl")]
    records: PathBuf,
    /// Folder for EVAL.md, eval.json and their figures.
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
}

#[derive(Args, Debug)]
struct Report {
    #[command(flatten)]
    out: Out,
}

#[derive(Args, Debug)]
struct Ablate {
    #[command(flatten)]
    out: Out,
    /// Rounds with verdicts by logit, if there are any.
    #[arg(long)]
    logit: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Logit {
    #[arg(long)]
    records: PathBuf,
    /// Where the rounds with their verdicts go.
    #[arg(long)]
    out: PathBuf,
    /// Rounds that are judged, the first of the records.
    #[arg(long, default_value_t = 260)]
    rounds: usize,
}

#[derive(Args, Debug)]
struct Orders {
    #[arg(long)]
    records: PathBuf,
    /// Where the rounds with orders in them go.
    #[arg(long)]
    out: PathBuf,
    /// Folder that holds data/prompts; without it the orders are our own.
    #[arg(long, env = "SHOAL_SHARED", default_value = "../shared")]
    shared: PathBuf,
}

#[derive(Args, Debug)]
struct Cheats {
    #[command(flatten)]
    out: Out,
    /// Rounds with orders in them, if there are any.
    #[arg(long)]
    orders: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct Replay {
    #[arg(long, default_value = "target/eval/rounds.jsonl")]
    records: PathBuf,
    /// A setting of the gateway, as `evidence.agreement=0.5`; several values make several rows.
    #[arg(long = "set", value_name = "NAME=VALUE[,VALUE...]")]
    set: Vec<String>,
    #[arg(long, default_value_t = Gold::default().folds)]
    folds: usize,
    /// Questions of each family that standing is learned from.
    #[arg(long, default_value_t = Gold::default().per_family)]
    gold_per_family: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        None => run(&cli.run).await,
        Some(Command::Report(report)) => {
            collect::read(&report.out.records).and_then(|asked| write(&asked, &report.out))
        }
        Some(Command::Replay(replay)) => replay_all(replay),
        Some(Command::Ablate(ablate)) => ablated(ablate),
        Some(Command::Logit(logit)) => logit_all(logit).await,
        Some(Command::Orders(orders)) => ordered(orders).await,
        Some(Command::Cheats(cheats)) => cheated(cheats),
        Some(Command::Recorded(recorded)) => recorded_all(recorded),
        Some(Command::Real(real)) => tokio::select! {
            done = real::command::run(real) => done,
            _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; what was collected is kept")),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-eval: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(run: &Run) -> Result<()> {
    let mut api = Api::new(&run.api)?;
    let mut own = None;
    if run.start && api.members().await.is_err() {
        println!("no gateway at {}: starting a swarm ...", api.base());
        let mut swarm = launch::start().await?;
        let data = run.out.records.with_extension("nodes");
        swarm.join(&run.join, &data).await?;
        api = Api::new(&swarm.base)?;
        own = Some(swarm);
    }
    let effort = Effort {
        writers: run.writers,
        judges: run.judges,
        deadline_ms: run.deadline_ms,
        as_they_like: run.as_they_like,
    };
    let plan = Plan {
        questions: run.questions,
        seed: run.seed,
        split: if run.tune { Split::Gold } else { Split::Test },
        effort,
        at_once: run.at_once,
        fill: !run.no_fill,
    };
    let asked = tokio::select! {
        asked = collect::collect(&api, plan, &run.out.records) => asked,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted; records so far are kept")),
    };
    if let Some(own) = own {
        own.stop().await;
    }
    write(&asked?, &run.out)
}

/// Writes page, figures and chart, and prints the page.
fn write(asked: &[Asked], out: &Out) -> Result<()> {
    let table = Table::of(asked);
    let page = report::markdown(&table, "make eval", "eval.svg");
    std::fs::create_dir_all(&out.docs)
        .with_context(|| format!("cannot make {}", out.docs.display()))?;
    put(&out.docs.join("EVAL.md"), &page)?;
    put(&out.docs.join("eval.json"), &(serde_json::to_string_pretty(&table)? + "\n"))?;
    put(&out.docs.join("eval.svg"), &chart::svg(&table))?;
    let diagram = reliability::svg(&table.reliability, table.calibration_error);
    put(&out.docs.join(report::RELIABILITY), &diagram)?;
    println!("{page}\nwritten: {}", out.docs.join("EVAL.md").display());
    Ok(())
}

/// Kept records with verdicts by logit.
async fn logit_all(options: &Logit) -> Result<()> {
    let asked = collect::read(&options.records)?;
    let few = asked.get(..options.rounds.min(asked.len())).unwrap_or_default();
    keep(&logit::collect(few, &options.out.with_extension("nodes")).await?, &options.out)
}

/// Kept records with orders to the judges in them.
async fn ordered(options: &Orders) -> Result<()> {
    let asked = collect::read(&options.records)?;
    let data = options.out.with_extension("nodes");
    keep(&cheats::orders::collect(&asked, &options.shared, &data).await?, &options.out)
}

fn keep(rounds: &[Asked], out: &Path) -> Result<()> {
    let lines: Result<Vec<String>, _> = rounds.iter().map(serde_json::to_string).collect();
    put(out, &(lines?.join("\n") + "\n"))?;
    println!("{} rounds: {}", rounds.len(), out.display());
    Ok(())
}

/// Writes and prints what cheats cost: one, two and a third of the members.
fn cheated(options: &Cheats) -> Result<()> {
    let asked = collect::read(&options.out.records)?;
    let attacked = options.orders.as_deref().map(collect::read).transpose()?.unwrap_or_default();
    let members = models(&asked).len();
    let mut rows = Vec::new();
    for cheat in Cheat::ALL {
        for company in Company::ALL {
            let of = |bad| cheats::row(&asked, cheat, company, bad);
            rows.extend([members / 9, members * 2 / 9, members / 3].map(|bad| of(bad.max(1))));
        }
    }
    let costs = cheats::orders::costs(&asked, &attacked);
    let page = cheats::markdown(asked.len(), members, &rows, &costs);
    put(&options.out.docs.join("consensus-cheats.md"), &page)?;
    let figures = serde_json::json!({ "colluders": rows, "orders": costs });
    let figures = serde_json::to_string_pretty(&figures)? + "\n";
    put(&options.out.docs.join("consensus-cheats.json"), &figures)?;
    println!("{page}\nwritten: {}", options.out.docs.join("consensus-cheats.md").display());
    Ok(())
}

/// Writes and prints what each part of the round is worth.
fn ablated(options: &Ablate) -> Result<()> {
    let out = &options.out;
    let asked = collect::read(&out.records)?;
    let compared = options.logit.as_deref().map(collect::read).transpose()?.unwrap_or_default();
    let found = ablations::ablations(&asked, &compared, Gold::default())?;
    let page = ablations::markdown(&found, "make eval");
    put(
        &out.docs.join("consensus-ablations.json"),
        &(serde_json::to_string_pretty(&found)? + "\n"),
    )?;
    put(
        &out.docs.join("consensus-ablations.md"),
        &format!("# What each part of a round is worth\n\n{page}"),
    )?;
    println!("{page}\nwritten: {}", out.docs.join("consensus-ablations.md").display());
    Ok(())
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn recorded_all(options: &Recorded) -> Result<()> {
    let settings = (options.set.iter())
        .try_fold(shoal_consensus::replay::Settings::default(), |all, one| all.with(one))?;
    if options.curves {
        return curves_all(options, &settings);
    }
    let scale = recorded::Scale {
        settings,
        only: options.only.clone(),
        draws: options.draws,
        panels: options.panels,
        simulated: options.simulated,
        everybody: true,
    };
    let found = recorded::measure(&options.shared, &scale)?;
    let page = recorded::page::markdown(&found, "shoal-eval recorded");
    if !options.only.is_empty() || !options.set.is_empty() {
        println!("{page}");
        return Ok(());
    }
    std::fs::create_dir_all(&options.docs)
        .with_context(|| format!("cannot make {}", options.docs.display()))?;
    put(&options.docs.join("consensus-recorded.md"), &page)?;
    let figures = serde_json::to_string_pretty(&found)? + "\n";
    put(&options.docs.join("consensus-recorded.json"), &figures)?;
    println!("{page}");
    Ok(())
}

fn curves_all(options: &Recorded, settings: &shoal_consensus::replay::Settings) -> Result<()> {
    let size = recorded::curve::Size { draws: options.curve_draws, rounds: options.curve_rounds };
    let curves = recorded::curves(&options.shared, settings, &options.only, size)?;
    let page = recorded::page::adversaries(&curves, "shoal-eval recorded --curves");
    println!("{page}");
    if !options.only.is_empty() || !options.set.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(&options.docs)
        .with_context(|| format!("cannot make {}", options.docs.display()))?;
    put(&options.docs.join("consensus-adversaries.md"), &page)?;
    let figures = serde_json::to_string(&curves)? + "\n";
    put(&options.docs.join("consensus-adversaries.json"), &figures)?;
    for of_set in curves.chunk_by(|one, next| one.set == next.set) {
        let Some(first) = of_set.first() else { continue };
        let figure = recorded::figure::svg(of_set);
        put(&options.docs.join(recorded::page::figure_of(&first.set)), &figure)?;
    }
    Ok(())
}

/// One row for each combination of the settings.
fn replay_all(options: &Replay) -> Result<()> {
    let asked = collect::read(&options.records)?;
    let mut rows = vec![(String::new(), replay::Settings::default())];
    for set in &options.set {
        let (name, values) = set.split_once('=').context("--set takes name=value")?;
        let mut next = Vec::new();
        for (label, settings) in &rows {
            for value in values.split(',') {
                let change = format!("{name}={value}");
                next.push((format!("{label} {change}"), settings.with(&change)?));
            }
        }
        rows = next;
    }
    let gold = Gold { folds: options.folds, per_family: options.gold_per_family };
    println!("accuracy  95 % interval   ECE    agreed (right)  settings");
    for (label, settings) in rows {
        let found = replay::replay(&asked, gold, &settings);
        println!(
            "{:.4}    {:.4}-{:.4}  {:.3}  {:.3}  ({:.3}) {}",
            found.accuracy.value,
            found.accuracy.low,
            found.accuracy.high,
            found.calibration_error,
            found.agreed,
            found.agreed_right,
            if label.is_empty() { " defaults" } else { &label },
        );
    }
    Ok(())
}
