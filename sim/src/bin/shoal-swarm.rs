//! `make run`: one gateway and a swarm of bundled specialists, each a process of its own.
//!
//! It starts the processes that a person would start by hand, shows progress, and stops them on Ctrl-C.
#![expect(clippy::print_stdout, reason = "a program that talks to the person who started it")]

#[path = "shoal-swarm/children.rs"]
mod children;
#[path = "shoal-swarm/members.rs"]
mod members;
#[path = "shoal-swarm/ready.rs"]
mod ready;
#[path = "shoal-swarm/restarts.rs"]
mod restarts;

use std::{io::Write as _, path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Result;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

use children::{Children, Program};
use members::Member;
use ready::{Addresses, Gateway};
use restarts::Restarts;

/// Admission examines every node, on a busy two-core machine one after the other.
const ADMISSION_LIMIT: Duration = Duration::from_secs(300);

/// More time for each model that is not bundled: these are a hundred to a thousand times as large.
const LARGE_LIMIT: Duration = Duration::from_secs(300);

/// A gateway opens a store and two sockets: seconds even on a busy machine.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The gateway's program, and its name here.
const GATEWAY: &str = "shoal-gateway";

/// Where gateway and auditor look for the token that makes a node an auditor.
const TOKEN: &str = "SHOAL_AUDIT_TOKEN";

/// Where nodes look for the number of models that share this machine's memory.
const MODELS_HERE: &str = "SHOAL_NODE_MODELS_HERE";

/// Starts a gateway and a swarm of bundled specialists on this machine.
#[derive(Parser, Debug)]
#[command(version)]
struct Options {
    /// Where the API listens.
    #[arg(long, env = "SHOAL_HTTP", default_value = "127.0.0.1:8080")]
    http: String,
    /// Where nodes dial in (QUIC, UDP).
    #[arg(long, env = "SHOAL_QUIC", default_value = "127.0.0.1:8443")]
    quic: String,
    /// Settings of the gateway, as in config/gateway.toml.
    #[arg(long, env = "SHOAL_CONFIG")]
    config: Option<PathBuf>,
    /// Models to start, one node each. Bundled ones: only these instead of all. Others (a folder, a
    /// .gguf file, a name that `shoal-node models` lists, a hub's org/name): beside the bundled
    /// ones, pulled first where they are not here.
    #[arg(long, env = "MODELS", value_delimiter = ',')]
    models: Vec<String>,
    /// Keys, standing and logs.
    #[arg(long, env = "SHOAL_DATA", default_value = ".data")]
    data: PathBuf,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !error.is::<children::SilentFailure>() {
                eprintln!("shoal-swarm: {error:#}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut children = Children::new(options.data.join("logs"))?;
    let outcome = tokio::select! {
        outcome = bring_up_and_watch(&options, &mut children) => outcome,
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
    };
    println!("\nstopping {} processes ...", children.count());
    children.stop().await;
    outcome
}

/// Returns only when the swarm cannot start. Processes that end later are restarted.
async fn bring_up_and_watch(options: &Options, children: &mut Children) -> Result<()> {
    let members = members::members(&options.models)?;
    // Before the gateway: nobody waits for it while gigabytes come.
    for member in &members {
        if let Some(pull) = member.pull()? {
            Children::finish(pull).await?;
        }
    }
    let token = token();
    let gateway = start_gateway(options, &token, children).await?;
    let models = models_here(&members).to_string();
    children.start(auditor(options, &members, &token, &gateway)?.env(MODELS_HERE, &models))?;
    for member in &members {
        children.start(node(member, options, &gateway)?.env(MODELS_HERE, &models))?;
    }
    let bar = ready::progress(members.len());
    let large = members.iter().filter(|member| !member.is_bundled()).count();
    let limit = ADMISSION_LIMIT + LARGE_LIMIT * u32::try_from(large).unwrap_or(u32::MAX);
    let admission = tokio::select! {
        admission = gateway.wait_for_members(&members, &bar, limit) => admission,
        exit = children.first_exit() => Err(exit.why),
    };
    bar.finish_and_clear();
    admission?;
    print!("{}", ready::summary(options, &members, &gateway));
    std::io::stdout().flush()?;
    watch(options, &token, &gateway, children).await
}

/// Restarts processes that end, each after a wait. Returns only with an error.
async fn watch(
    options: &Options,
    token: &str,
    gateway: &Gateway,
    children: &mut Children,
) -> Result<()> {
    let mut restarts = Restarts::default();
    loop {
        tokio::select! {
            mut exit = children.first_exit() => {
                println!("{:#}", exit.why);
                if exit.program.name() == GATEWAY {
                    // Where the nodes look for it, even if it was free to choose.
                    let Addresses { http, quic, .. } = &gateway.addresses;
                    exit.program = gateway_program(options, (http, quic), token)?;
                }
                let name = exit.program.name().to_owned();
                let wait = restarts.plan(exit);
                println!("starting {name} again in {} s", wait.as_secs_f64());
            }
            program = restarts.next() => children.start(program)?,
        }
    }
}

async fn start_gateway(options: &Options, token: &str, children: &mut Children) -> Result<Gateway> {
    println!("starting the gateway on {} ...", options.http);
    let data = options.data.join("gateway");
    Gateway::forget(&data);
    children.start(gateway_program(options, (&options.http, &options.quic), token)?)?;
    tokio::select! {
        gateway = Gateway::wait_for(&data, START_LIMIT) => gateway,
        exit = children.first_exit() => Err(exit.why),
    }
}

fn gateway_program(options: &Options, (http, quic): (&str, &str), token: &str) -> Result<Program> {
    let program = Program::beside_this_one(GATEWAY, GATEWAY)?
        .arg("--http", http)
        .arg("--quic", quic)
        .arg("--data", &options.data.join("gateway").to_string_lossy())
        .env(TOKEN, token);
    Ok(match &options.config {
        Some(config) => program.arg("--config", &config.to_string_lossy()),
        None => program,
    })
}

/// The auditor: one process with the weights of all specialists, which recomputes their claims. It has no
/// large models: a second copy would cost too much memory, so their claims do not count.
fn auditor(
    options: &Options,
    members: &[Member],
    token: &str,
    gateway: &Gateway,
) -> Result<Program> {
    let specialists = members.iter().filter(|member| member.is_bundled());
    let models: Vec<&str> = specialists.map(|member| member.model.as_str()).collect();
    Ok(Program::beside_this_one("shoal-node", "auditor")?
        .subcommand("audit")
        .arg("--gateway", &gateway.addresses.quic)
        .arg("--gateway-id", &gateway.addresses.id)
        .arg("--model", &models.join(","))
        .arg("--data", &options.data.join("auditor").to_string_lossy())
        .env(TOKEN, token))
}

/// The models that are loaded on this machine: each member's, and the auditor's of the bundled ones.
fn models_here(members: &[Member]) -> usize {
    members.len() + members.iter().filter(|member| member.is_bundled()).count()
}

/// A new token for each start, so that no other node can be an auditor.
fn token() -> String {
    format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>())
}

fn node(member: &Member, options: &Options, gateway: &Gateway) -> Result<Program> {
    let label = member.label();
    Ok(Program::beside_this_one("shoal-node", &label)?
        .arg("--gateway", &gateway.addresses.quic)
        .arg("--gateway-id", &gateway.addresses.id)
        .arg("--model", &member.model)
        .arg("--name", &member.name)
        .arg("--data", &options.data.join("nodes").join(&label).to_string_lossy()))
}
