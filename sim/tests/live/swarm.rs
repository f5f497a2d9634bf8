//! Starts `shoal-swarm` on free ports, and ends it even if the test fails.

use std::{
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

/// With `cargo test` all live tests share a process: one swarm at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A build or a training may run beside the test on the same two cores.
const START_LIMIT: Duration = Duration::from_secs(300);

pub(crate) struct LiveSwarm {
    launcher: Child,
    /// What the launcher printed until it was ready.
    pub(crate) output: String,
    /// `http://127.0.0.1:PORT`.
    pub(crate) base: String,
    /// `127.0.0.1:PORT`.
    pub(crate) quic: String,
    pub(crate) data: tempfile::TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl LiveSwarm {
    /// Starts the swarm and waits until every node is admitted.
    pub(crate) fn start(models: &[&str]) -> Self {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let data = tempfile::tempdir().unwrap();
        let mut launcher = launcher("127.0.0.1:0", &data.path().to_string_lossy(), models)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (lines, receiver) = mpsc::sync_channel(1_000);
        let stdout = launcher.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = lines.send(line);
            }
        });
        let start = Instant::now();
        let mut output = String::new();
        while !output.contains("Ctrl-C ends all of it") {
            let left = START_LIMIT.saturating_sub(start.elapsed());
            let Ok(line) = receiver.recv_timeout(left) else {
                let _ = launcher.kill();
                panic!("the swarm did not come up; it printed:\n{output}");
            };
            output.push_str(&line);
            output.push('\n');
        }
        // Keeps reading, so that the launcher never waits for us.
        std::thread::spawn(move || receiver.into_iter().for_each(drop));
        let base = after(&output, "API ").trim_end_matches("/v1").to_owned();
        let quic = after(&output, "QUIC ");
        Self { launcher, output, base, quic, data, _turn: turn }
    }

    /// Asks a question; the status and the JSON body.
    pub(crate) async fn ask(&self, model: &str, question: &str) -> (u16, Value) {
        let (status, body, _) = self.ask_with(model, question, json!({})).await;
        (status, body)
    }

    /// The same with `shoal` in the body, and the round's transcript where there is one.
    pub(crate) async fn ask_with(
        &self,
        model: &str,
        question: &str,
        shoal: Value,
    ) -> (u16, Value, Value) {
        let messages = json!([{"role": "user", "content": question}]);
        let body = json!({"model": model, "messages": messages, "shoal": shoal});
        let reply = reqwest::Client::new()
            .post(format!("{}/v1/chat/completions", self.base))
            .json(&body)
            .timeout(Duration::from_secs(120))
            .send()
            .await
            .unwrap();
        let status = reply.status().as_u16();
        let round = reply.headers().get("x-shoal-round").map(|id| id.to_str().unwrap().to_owned());
        let answer = reply.json().await.unwrap();
        let Some(round) = round.filter(|_| status == 200) else {
            return (status, answer, Value::Null);
        };
        (status, answer, self.get(&format!("/v1/rounds/{round}")).await)
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let reply = reqwest::get(format!("{}{path}", self.base)).await.unwrap();
        reply.json().await.unwrap()
    }

    /// Names in `GET /v1/models`.
    pub(crate) async fn models(&self) -> Vec<String> {
        let body = self.get("/v1/models").await;
        let data = body["data"].as_array().unwrap();
        data.iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
    }

    /// Process ids of the gateway and the nodes with what they were started with.
    pub(crate) fn children(&self) -> Vec<(u32, String)> {
        let parent = format!("PPid:\t{}\n", self.launcher.id());
        let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        processes
            .filter_map(|entry| {
                let pid = entry.file_name().to_str()?.parse().ok()?;
                let status = std::fs::read_to_string(entry.path().join("status")).ok()?;
                let line = std::fs::read_to_string(entry.path().join("cmdline")).ok()?;
                status.contains(&parent).then(|| (pid, line.replace('\0', " ")))
            })
            .collect()
    }

    /// Stops it as Ctrl-C does; returns the launcher's exit status.
    pub(crate) fn interrupt(&mut self) -> ExitStatus {
        signal("-INT", self.launcher.id());
        self.launcher.wait().unwrap()
    }

    /// Kills the launcher as `kill -9` does.
    pub(crate) fn kill(mut self) {
        self.launcher.kill().unwrap();
        self.launcher.wait().unwrap();
    }
}

impl Drop for LiveSwarm {
    fn drop(&mut self) {
        if matches!(self.launcher.try_wait(), Ok(None)) {
            self.interrupt();
        }
    }
}

/// The launcher with its settings, not started.
pub(crate) fn launcher(http: &str, data: &str, models: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-swarm"));
    command.args(["--http", http, "--quic", "127.0.0.1:0", "--data", data]);
    command.args(["--models", &models.join(",")]);
    command
}

/// A binary of the workspace that `make build` has put beside the launcher.
pub(crate) fn program(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_shoal-swarm")).with_file_name(name)
}

pub(crate) fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([name, &pid.to_string()]).status().unwrap().success());
}

/// An examination of a slow newcomer may take two minutes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(200);

/// Polls until `there` returns true; panics with `condition` when it takes too long.
pub(crate) async fn eventually(condition: &str, mut there: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !there().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "never: {condition}");
}

/// The word after `label` at the start of a printed line.
fn after(output: &str, label: &str) -> String {
    let line = output.lines().find_map(|line| line.trim().strip_prefix(label)).unwrap();
    line.split_whitespace().next().unwrap().to_owned()
}
