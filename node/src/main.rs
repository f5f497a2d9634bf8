//! The program: reads its settings, starts the log, runs the node.

#[path = "main/args.rs"]
mod args;

#[cfg(feature = "burn")]
use std::path::Path;
use std::process::ExitCode;

use anyhow::anyhow;
use clap::Parser as _;
use shoal_node::{
    chat,
    config::{Config, EngineConfig, Settings},
    node, telemetry,
};
use shoal_proto::generate::Sampling;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[cfg(feature = "burn")]
use self::args::OneModel;
use self::args::{ChatArgs, Cli, Command};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let (until_stdin_closes, read) = match cli.command {
        Some(Command::Models) => return exit_code(models(), 1),
        Some(Command::Pull { name, until_stdin_closes }) => {
            return exit_code(pull_model(&name, until_stdin_closes), 1);
        }
        Some(Command::Chat(chat)) => return run_chat(chat),
        #[cfg(feature = "burn")]
        Some(Command::Bench { model, json }) => return exit_code(bench(model, json), 1),
        #[cfg(feature = "burn")]
        Some(Command::EvalQuant { model, text, against }) => {
            return exit_code(eval_quant(model, &text, &against), 1);
        }
        #[cfg(feature = "burn")]
        Some(Command::Logits { model, prompts, tokens, out }) => {
            return exit_code(logits(model, &prompts, tokens, &out), 1);
        }
        Some(Command::Audit(audit)) => (audit.until_stdin_closes, audit.settings()),
        None => (cli.node.until_stdin_closes, cli.node.settings()),
    };
    let (settings, log) = match read {
        Ok(read) => read,
        Err(error) => return exit_code(Err(error), 2),
    };
    telemetry::start(log);
    exit_code(serve(settings, until_stdin_closes), 1)
}

/// One line on stderr, and the exit code.
fn exit_code(result: anyhow::Result<()>, failure: u8) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shoal-node: {error:#}");
            ExitCode::from(failure)
        }
    }
}

#[tokio::main]
async fn serve(settings: Vec<Settings>, until_stdin_closes: bool) -> anyhow::Result<()> {
    let stop = stops(until_stdin_closes)?;
    Ok(node::run(settings, &stop).await?)
}

/// A token that is cancelled when standard input closes, if `until_stdin_closes`.
fn stops(until_stdin_closes: bool) -> std::io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    if until_stdin_closes {
        let stop = stop.clone();
        // A thread of its own: a blocking read cannot be cancelled, and would delay the runtime's end.
        std::thread::Builder::new().name("stdin".into()).spawn(move || {
            let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
            stop.cancel();
        })?;
    }
    Ok(stop)
}

fn models() -> anyhow::Result<()> {
    #[cfg(feature = "burn")]
    say(&shoal_decoder::bundled())?;
    say(&shoal_pull::table(&shoal_pull::Settings::from_env()?))
}

#[tokio::main(flavor = "current_thread")]
async fn pull_model(name: &str, until_stdin_closes: bool) -> anyhow::Result<()> {
    let settings = shoal_pull::Settings::from_env()?;
    let stop = stops(until_stdin_closes)?;
    if let Some(terms) = shoal_pull::terms(name) {
        eprintln!("{terms}");
    }
    let model = tokio::select! {
        model = shoal_pull::pull(name, &settings) => model?,
        _ = tokio::signal::ctrl_c() => return Err(interruption(name)),
        () = stop.cancelled() => return Err(interruption(name)),
    };
    let path = model.place.path().unwrap_or(std::path::Path::new(name));
    say(&path.display())
}

fn interruption(name: &str) -> anyhow::Error {
    anyhow!("{name}: stopped; run it again to go on where it ended")
}

/// Ends as soon as the conversation does, without waiting for a thread that still reads a line.
fn run_chat(chat: ChatArgs) -> ExitCode {
    let mut config = Config::default();
    chat.source.onto(&mut config);
    // There is one user, so there is one request at a time.
    config.slots = 1;
    let engine_config = match config.engine_config() {
        Ok(engine_config) => engine_config,
        Err(error) => return exit_code(Err(error.into()), 2),
    };
    let options = chat::ChatOptions {
        system: chat.system,
        sampling: Sampling {
            temperature: chat.temperature,
            max_tokens: chat.max_tokens,
            seed: chat.seed,
            ..Sampling::default()
        },
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(Err(error.into()), 1),
    };
    let result = runtime.block_on(converse(&engine_config, &options));
    runtime.shutdown_background();
    exit_code(result, 1)
}

async fn converse(engine_config: &EngineConfig, options: &chat::ChatOptions) -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let registry = prometheus::Registry::new();
    let engine = tokio::select! {
        engine = node::open(engine_config, &registry) => engine?,
        _ = interrupt.recv() => return Err(anyhow!("stopped before the model was ready")),
    };
    let stop = tokio::sync::Notify::new();
    let interrupts = async {
        while interrupt.recv().await.is_some() {
            stop.notify_waiters();
        }
        std::future::pending().await
    };
    let mut out = std::io::stdout();
    tokio::select! {
        result = chat::run(&*engine, chat::Lines::stdin()?, &mut out, options, &stop) => Ok(result?),
        never = interrupts => never,
    }
}

#[cfg(feature = "burn")]
impl OneModel {
    /// Its files, and how they are loaded.
    fn files(self) -> anyhow::Result<(shoal_model::Files, shoal_decoder::Options)> {
        let mut config = Config::default();
        self.local.onto(&mut config);
        Ok((node::files(&find(&self.model)?.place)?, config.local()?))
    }
}

#[cfg(feature = "burn")]
fn bench(model: OneModel, json: bool) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let (files, options) = model.files()?;
    let report = shoal_decoder::bench::measure(files, &options).context("cannot measure")?;
    if json { say(&serde_json::to_string(&report)?) } else { say(&report) }
}

#[cfg(feature = "burn")]
fn eval_quant(model: OneModel, text: &Path, against: &[String]) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let read = std::fs::read_to_string(text);
    let text = read.with_context(|| format!("cannot read {}", text.display()))?;
    let (files, options) = model.files()?;
    for quant in against {
        let quant = quant.parse().map_err(|why: String| anyhow!(why))?;
        say(&shoal_decoder::rounding::measure(&files, &options, quant, &text)?)?;
    }
    Ok(())
}

#[cfg(feature = "burn")]
fn logits(model: OneModel, prompts: &Path, tokens: usize, out: &Path) -> anyhow::Result<()> {
    use anyhow::Context as _;
    let read = std::fs::read_to_string(prompts);
    let read = read.with_context(|| format!("cannot read {}", prompts.display()))?;
    let prompts: Vec<String> = read.lines().map(str::to_owned).collect();
    let (files, options) = model.files()?;
    Ok(shoal_decoder::logits::write(files, &options, &prompts, tokens, out)?)
}

#[cfg(feature = "burn")]
#[tokio::main(flavor = "current_thread")]
async fn find(model: &str) -> anyhow::Result<shoal_pull::LocalModel> {
    Ok(shoal_pull::resolve(model, &shoal_pull::Settings::from_env()?).await?)
}

fn say(line: &impl std::fmt::Display) -> anyhow::Result<()> {
    use std::io::Write as _;
    Ok(writeln!(std::io::stdout(), "{line}")?)
}
