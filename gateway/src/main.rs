//! `shoal-gateway`: reads its settings and serves until it is stopped. An error is one line.

use std::{env::VarError, io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Args, Parser, Subcommand};
use shoal_gateway::{config::Config, export, gateway::Gateway, replay, telemetry};
use shoal_proto::Secret;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Serves the OpenAI API: asks a swarm of models and streams the best answer.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    /// Without a command, it serves.
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings file, as config/gateway.toml; options and environment variables override it.
    #[arg(long, env = "SHOAL_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// Address of the API (TCP); port 0 takes a free port.
    #[arg(long, env = "SHOAL_HTTP")]
    http: Option<SocketAddr>,
    /// Listen beyond loopback without keys: anybody who reaches the API may use the swarm.
    #[arg(long, env = "SHOAL_OPEN", num_args = 0..=1, default_missing_value = "true")]
    open: Option<bool>,
    /// Address for nodes (UDP); port 0 takes a free port.
    #[arg(long, env = "SHOAL_QUIC")]
    quic: Option<SocketAddr>,
    /// Folder for the gateway's key and database.
    #[arg(long, env = "SHOAL_DATA", global = true)]
    data: Option<PathBuf>,
    /// Format of the log.
    #[arg(long, env = "SHOAL_LOG")]
    log: Option<telemetry::LogFormat>,
    /// Stop when standard input closes, so that the gateway ends with its parent process.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// The commands.
#[derive(Subcommand, Debug)]
enum Command {
    Rank(replay::Options),
    /// Exports stored rounds.
    Export(ExportArgs),
}

#[derive(Args, Debug)]
struct ExportArgs {
    #[command(subcommand)]
    data: Export,
}

#[derive(Subcommand, Debug)]
enum Export {
    /// Pairs of a better and a worse answer as JSON Lines, from the rounds stored by consent
    /// (`export.consent` in the settings and `store: true` in the request). The gateway may be running.
    Preferences(Preferences),
}

#[derive(Args, Debug)]
struct Preferences {
    /// File to write; default: standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Least difference of the two strengths, in log-odds.
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
        Some(Command::Rank(options)) => return rank(&options),
        Some(Command::Export(ExportArgs { data: Export::Preferences(options) })) => {
            return export_preferences(&config, &options);
        }
        None => {}
    }
    telemetry::start(&config.log).map_err(|why| anyhow!(why))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, options.until_stdin_closes))
}

fn rank(options: &replay::Options) -> Result<()> {
    let summary = options.run()?;
    // Standard output then has the ranked rounds, for the next program.
    if options.uses_stdout() {
        eprintln!("{summary}");
    } else {
        writeln!(std::io::stdout(), "{summary}")?;
    }
    Ok(())
}

fn export_preferences(config: &Config, options: &Preferences) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (store, out) = (config.store(), options.out.as_deref());
    let export = export::command::preferences(&config.export, &store, out, options.min_margin);
    let export::command::Summary { rounds, preferences } = runtime.block_on(export)?;
    eprintln!("{preferences} preferences of {rounds} kept rounds");
    Ok(())
}

/// The revision that the program was built from. A packager sets SHOAL_REVISION at build time. For a
/// build of a checkout it is set at run time (`make run` does), so that a commit alone recompiles
/// nothing.
fn revision() -> String {
    let build_time = option_env!("SHOAL_REVISION").map(str::to_owned);
    let revision = build_time.or_else(|| std::env::var("SHOAL_REVISION").ok());
    let short: String = revision.unwrap_or_default().chars().take(40).collect();
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
    config.http.open = options.open.unwrap_or(config.http.open);
    // Not options: other users of the machine can read the command line.
    if let Some(token) = secret_variable("SHOAL_AUDIT_TOKEN")? {
        config.swarm.audit.token = Secret::new(token);
    }
    if let Some(keys) = secret_variable("SHOAL_API_KEYS")? {
        config.http.keys = keys.split(',').map(|key| Secret::new(key.trim())).collect();
    }
    config.check()?;
    Ok(config)
}

/// A variable that protects something; `None` if it is not set. An empty value is an error: a variable
/// that was forgotten in a compose file must not remove the protection that the file of settings has.
fn secret_variable(name: &str) -> Result<Option<String>> {
    match std::env::var(name) {
        Ok(value) if value.trim().is_empty() => {
            bail!("{name} is empty: give it a value, or remove the variable")
        }
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => bail!("{name} is not UTF-8: give it other characters"),
    }
}

/// Serves until a signal or the parent's end. A second signal stops it without waiting for running
/// requests.
async fn serve(config: Config, until_stdin_closes: bool) -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let gateway = Gateway::bind(config).await?.with_revision(&revision());
    let stop = CancellationToken::new();
    if until_stdin_closes {
        let stop = stop.clone();
        // A separate thread: a blocking read cannot be cancelled, and would block the runtime.
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
        result = gateway.serve(stop.clone()) => result.context("the HTTP server failed"),
        () = signals => bail!("stopped by a second signal before all requests had ended"),
    }
}
