//! The processes of the swarm: started together, watched, ended together.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use tokio::process::{Child, Command};

/// A program has failed and has printed the reason already.
#[derive(Debug)]
pub(crate) struct SilentFailure;

impl std::fmt::Display for SilentFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("it said why")
    }
}

impl std::error::Error for SilentFailure {}

/// A node finishes running work before it ends, up to its own drain limit.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often ended processes are looked for: people do not notice a quarter of a second.
const LOOK: Duration = Duration::from_millis(250);

/// A program to start, with its name. It can be started again.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    name: String,
    path: PathBuf,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Program {
    /// The binary `file` from the folder that holds this program.
    ///
    /// # Errors
    /// When it does not exist; the error says how to build it.
    pub(crate) fn beside_this_one(file: &str, name: &str) -> Result<Self> {
        let path = std::env::current_exe()?.with_file_name(file);
        if !path.is_file() {
            return Err(anyhow!("{} is missing: build it with `make build`", path.display()));
        }
        let (arguments, variables) = (Vec::new(), Vec::new());
        Ok(Self { name: name.to_owned(), path, arguments, variables })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn subcommand(mut self, name: &str) -> Self {
        self.arguments.push(name.to_owned());
        self
    }

    pub(crate) fn arg(mut self, flag: &str, value: &str) -> Self {
        self.arguments.extend([flag.to_owned(), value.to_owned()]);
        self
    }

    /// Sets a variable, for a secret that others must not read on a command line.
    pub(crate) fn env(mut self, variable: &str, value: &str) -> Self {
        self.variables.push((variable.to_owned(), value.to_owned()));
        self
    }

    /// Its command. The program ends when its standard input closes, so that even `kill -9` of the
    /// launcher leaves no orphan.
    fn command(&self) -> std::process::Command {
        let mut command = std::process::Command::new(&self.path);
        command.args(&self.arguments).arg("--until-stdin-closes").stdin(Stdio::piped());
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A process that is watched.
#[derive(Debug)]
struct Process {
    program: Program,
    child: Child,
    start: Instant,
}

/// The unexpected end of a process.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) program: Program,
    /// The last line of its log.
    pub(crate) why: anyhow::Error,
    /// How long it ran.
    pub(crate) uptime: Duration,
}

/// All processes; their output goes to one log file each.
#[derive(Debug)]
pub(crate) struct Children {
    logs: PathBuf,
    /// Programs that were started before.
    names: BTreeSet<String>,
    alive: Vec<Process>,
}

impl Children {
    /// # Errors
    /// When the folder for the logs cannot be made.
    pub(crate) fn new(logs: PathBuf) -> Result<Self> {
        fs::create_dir_all(&logs)
            .with_context(|| format!("cannot make the log folder {}", logs.display()))?;
        Ok(Self { logs, names: BTreeSet::new(), alive: Vec::new() })
    }

    /// Starts a program in a process group of its own, so that Ctrl-C reaches only the launcher, which
    /// ends the swarm in order. Its log is appended to that of an earlier process of this launcher.
    pub(crate) fn start(&mut self, program: Program) -> Result<()> {
        let path = self.log_of(&program.name);
        let is_first = self.names.insert(program.name.clone());
        let mut options = File::options();
        options.create(true).write(true).truncate(is_first).append(!is_first);
        let log = options.open(path)?;
        let mut command = program.command();
        command.process_group(0).stdout(log.try_clone()?).stderr(log);
        let child = Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.name))?;
        self.alive.push(Process { program, child, start: Instant::now() });
        Ok(())
    }

    /// Runs a program to its end and shows its progress. The program ends when the future is dropped or
    /// when the launcher ends.
    ///
    /// # Errors
    /// When it cannot be started or fails; it has printed the reason.
    pub(crate) async fn finish(program: Program) -> Result<()> {
        let mut command = program.command();
        command.stdout(Stdio::null());
        let name = program.name;
        let child = Command::from(command).kill_on_drop(true).spawn();
        let mut child = child.with_context(|| format!("cannot start {name}"))?;
        // `wait` would close its standard input, which tells it to end.
        let _open = child.stdin.take();
        let status = child.wait().await.with_context(|| format!("lost {name}"))?;
        if status.success() { Ok(()) } else { Err(SilentFailure.into()) }
    }

    pub(crate) fn count(&self) -> usize {
        self.alive.len()
    }

    /// Resolves when a process has ended.
    pub(crate) async fn first_exit(&mut self) -> Exit {
        loop {
            let position = self
                .alive
                .iter_mut()
                .position(|process| !matches!(process.child.try_wait(), Ok(None)));
            if let Some(at) = position {
                let Process { program, mut child, start } = self.alive.swap_remove(at);
                let status = child.try_wait().ok().flatten();
                let why = why(&program.name, status, &self.log_of(&program.name));
                return Exit { program, why, uptime: start.elapsed() };
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Asks every process to end by closing its standard input, waits, then kills the rest.
    pub(crate) async fn stop(&mut self) {
        for process in &mut self.alive {
            drop(process.child.stdin.take());
        }
        let exits = async {
            for process in &mut self.alive {
                let _ = process.child.wait().await;
            }
        };
        if tokio::time::timeout(PATIENCE, exits).await.is_err() {
            for Process { program, child, .. } in &mut self.alive {
                if matches!(child.try_wait(), Ok(None)) {
                    eprintln!("{} did not end in {} s: killed", program.name, PATIENCE.as_secs());
                    let _ = child.kill().await;
                }
            }
        }
        self.alive.clear();
    }

    fn log_of(&self, name: &str) -> PathBuf {
        self.logs.join(format!("{name}.log"))
    }
}

/// The last line of a program that ended by itself is the reason. The last line of one that a signal
/// ended is not.
fn why(name: &str, status: Option<ExitStatus>, log: &Path) -> anyhow::Error {
    let reason = match status {
        Some(status) if status.code().is_some() => {
            last_line(log).unwrap_or_else(|| "it said nothing".to_owned())
        }
        _ => format!("ended from outside; its log is {}", log.display()),
    };
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    anyhow!("{name} ended ({status}): {reason}")
}

fn last_line(log: &Path) -> Option<String> {
    let text = fs::read_to_string(log).ok()?;
    text.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn the_last_line_is_a_reason_only_where_the_program_ended_by_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("alpha.log");
        fs::write(&log, "joined\nthe port is taken\n\n").expect("written");
        let failure = message(1 << 8, &log);
        assert!(failure.ends_with("the port is taken"), "{failure}");
        let kill = message(9, &log);
        assert!(kill.contains("signal: 9") && kill.contains("alpha.log"), "{kill}");
        assert!(!kill.contains("taken"), "{kill}");
    }

    fn message(status: i32, log: &Path) -> String {
        why("alpha", Some(ExitStatus::from_raw(status)), log).to_string()
    }
}
