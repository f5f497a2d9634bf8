//! `shoal-gateway`: reads its settings, serves until told to stop, and says in one line why it
//! cannot.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use shoal_gateway::{config::Config, export, gateway::Gateway, replay, telemetry};
use shoal_proto::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Speaks the OpenAI API, asks a swarm of models, and streams the best answer.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    /// Serves when there is none.
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings, as in config/gateway.toml; what is given here or in the environment comes first.
    #[arg(long, env = "SHOAL_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Where the API listens (TCP); port 0 takes a free one.
    #[arg(long, env = "SHOAL_HTTP")]
    http: Option<SocketAddr>,
    /// Where nodes dial in (UDP); port 0 takes a free one.
    #[arg(long, env = "SHOAL_QUIC")]
    quic: Option<SocketAddr>,
    /// Folder for the gateway's key and memory.
    #[arg(long, env = "SHOAL_DATA", global = true)]
    data: Option<PathBuf>,
    /// How a line of the log looks.
    #[arg(long, env = "SHOAL_LOG")]
    log: Option<telemetry::Format>,
    /// Stop when standard input closes: for a parent process that must not leave orphans.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// What it does instead of serving.
#[derive(Subcommand, Debug)]
enum Command {
    Rank(replay::Options),
    /// Writes what the gateway has kept.
    Export(ExportArgs),
}

#[derive(Args, Debug)]
struct ExportArgs {
    #[command(subcommand)]
    what: Export,
}

#[derive(Subcommand, Debug)]
enum Export {
    /// Pairs of a better and a worse answer as JSON Lines, from the rounds kept by consent
    /// (`export.consent` in the settings and `store: true` in the request). The gateway may run.
    Preferences(Preferences),
}

#[derive(Args, Debug)]
struct Preferences {
    /// Where to write; standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Only pairs whose strengths differ by so much (log-odds).
    #[arg(long, value_name = "LOG_ODDS", default_value_t = 0.0)]
    min_margin: f64,
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<()> {
    let config = settings(&options)?;
    match options.command {
        Some(Command::Rank(asked)) => return rank(&asked),
        Some(Command::Export(ExportArgs { what: Export::Preferences(asked) })) => {
            return export_preferences(&config, &asked);
        }
        None => {}
    }
    telemetry::start(&config.log).map_err(|why| anyhow!(why))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, options.until_stdin_closes))
}

fn rank(asked: &replay::Options) -> Result<()> {
    let summary = asked.run()?;
    // Ranked rounds on standard output are for the next program.
    if asked.fills_stdout() {
        eprintln!("{summary}");
    } else {
        writeln!(std::io::stdout(), "{summary}")?;
    }
    Ok(())
}

fn export_preferences(config: &Config, asked: &Preferences) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (store, out) = (config.store(), asked.out.as_deref());
    let exporting = export::command::preferences(&config.export, &store, out, asked.min_margin);
    let export::command::Summary { rounds, preferences } = runtime.block_on(exporting)?;
    eprintln!("{preferences} preferences of {rounds} kept rounds");
    Ok(())
}

/// What the build was made from. A packager sets SHOAL_REVISION when it is built; who starts a fresh
/// build of a checkout says it now (`make run` does), so that a commit alone compiles nothing.
fn revision() -> String {
    let built = option_env!("SHOAL_REVISION").map(str::to_owned);
    let told = built.or_else(|| std::env::var("SHOAL_REVISION").ok());
    let short: String = told.unwrap_or_default().chars().take(40).collect();
    if short.is_empty() { "unknown".to_owned() } else { short }
}

fn settings(options: &Options) -> Result<Config> {
    let mut config = match &options.config {
        Some(path) => Config::read(path)?,
        None => Config::default(),
    };
    config.http.listen = options.http.unwrap_or(config.http.listen);
    config.quic.listen = options.quic.unwrap_or(config.quic.listen);
    config.data = options.data.clone().unwrap_or(config.data);
    config.log.format = options.log.unwrap_or(config.log.format);
    // No option of the command line: others can read that.
    if let Ok(token) = std::env::var("SHOAL_AUDIT_TOKEN") {
        config.swarm.audit.token = Secret::new(token);
    }
    if let Ok(keys) = std::env::var("SHOAL_API_KEYS") {
        let keys = keys.split(',').map(str::trim).filter(|key| !key.is_empty());
        config.http.keys = keys.map(Secret::new).collect();
    }
    config.check()?;
    Ok(config)
}

/// Serves until a signal or the parent's end; a second signal does not wait for what still runs.
async fn serve(config: Config, until_stdin_closes: bool) -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let gateway = Gateway::bind(config).await?.built_from(&revision());
    let stop = CancellationToken::new();
    if until_stdin_closes {
        let stop = stop.clone();
        // A thread of its own: a blocking read cannot be cancelled, and must not hold the runtime.
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            stop.cancel();
        })?;
    }
    let signals = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        served = gateway.serve(stop.clone()) => served.context("the HTTP side broke"),
        () = signals => bail!("stopped by a second signal before all requests had ended"),
    }
}
