//! `shoal-gateway`: reads its settings, serves until told to stop, and says in one line why it
//! cannot.

use std::{io::Write as _, net::SocketAddr, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::{Parser, Subcommand};
use shoal_gateway::{config::Config, gateway::Gateway, replay, swarm::Secret, telemetry};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Speaks the OpenAI API, asks a swarm of models, and streams the best answer.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings, as in config/gateway.toml; what is given here or in the environment comes first.
    #[arg(long, env = "SHOAL_CONFIG")]
    config: Option<PathBuf>,
    /// Where the API listens (TCP); port 0 takes a free one.
    #[arg(long, env = "SHOAL_HTTP")]
    http: Option<SocketAddr>,
    /// Where nodes dial in (UDP); port 0 takes a free one.
    #[arg(long, env = "SHOAL_QUIC")]
    quic: Option<SocketAddr>,
    /// Folder for the gateway's key and memory.
    #[arg(long, env = "SHOAL_DATA")]
    data: Option<PathBuf>,
    /// How a line of the log looks.
    #[arg(long, env = "SHOAL_LOG")]
    log: Option<telemetry::Format>,
    /// Stop when standard input closes: for a parent process that must not leave orphans.
    #[arg(long)]
    until_stdin_closes: bool,
}

/// What else it can do; without one of these it serves.
#[derive(Subcommand, Debug)]
enum Command {
    Rank(replay::command::Options),
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
    if let Some(Command::Rank(rank)) = &options.command {
        let summary = rank.run()?;
        // Ranked rounds on standard output are for the next program.
        if rank.fills_stdout() {
            eprintln!("{summary}");
        } else {
            writeln!(std::io::stdout(), "{summary}")?;
        }
        return Ok(());
    }
    let config = settings(&options)?;
    telemetry::start(&config.log).map_err(|why| anyhow!(why))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config, options.until_stdin_closes))
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
    config.check()?;
    Ok(config)
}

/// Serves until a signal or the parent's end; a second signal does not wait for what still runs.
async fn serve(config: Config, until_stdin_closes: bool) -> Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let gateway = Gateway::bind(config).await?;
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
