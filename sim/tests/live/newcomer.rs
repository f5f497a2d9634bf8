//! What a person sees who has just typed `make run`.

use std::{net::TcpListener, process::Command};

use serde_json::{Value, json};

use crate::swarm::{LiveSwarm, eventually, launcher, signal};

const MODELS: [&str; 5] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar"];

#[tokio::test]
async fn one_command_brings_up_a_swarm_that_answers_restarts_a_node_and_ends_cleanly() {
    let mut swarm = LiveSwarm::start(&MODELS);
    for model in MODELS {
        assert!(swarm.output.contains(model), "{model} is not named:\n{}", swarm.output);
    }

    let answer: Value = serde_json::from_str(&pasted_curl(&swarm.output)).unwrap();
    let text = answer["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.contains("432"), "47 + 385 is 432, the swarm says {text:?}");

    every_mode_is_what_it_says(&swarm).await;
    let processes = swarm.children();
    // The gateway, its auditor, and the nodes.
    assert_eq!(processes.len(), 2 + MODELS.len(), "{processes:?}");
    let letters = "--model bundled:shoal-letters ";
    let (victim, _) = processes.iter().find(|(_, line)| line.trim().contains(letters)).unwrap();
    signal("-KILL", *victim);
    let (status, answer) = swarm.ask("shoal", "What is 12 + 30?").await;
    assert_eq!(status, 200, "{answer}");
    eventually("the killed node is started again and answers", async || {
        let is_new = |(pid, line): &(u32, String)| *pid != *victim && line.contains(letters.trim());
        swarm.children().iter().any(is_new)
            && swarm.ask("shoal-letters", "Spell stone backwards.").await.0 == 200
    })
    .await;

    let restarted = swarm.children();
    assert_eq!(swarm.interrupt().code(), Some(0));
    for (pid, line) in processes.into_iter().chain(restarted) {
        assert!(!alive(pid), "{line} outlives its launcher");
    }
}

/// Modes by model name and by body, and what members say of themselves.
async fn every_mode_is_what_it_says(swarm: &LiveSwarm) {
    const QUESTION: &str = "Sort 9, 71, 3 in descending order.";
    let ask = async |model: &str, shoal: Value| swarm.ask_with(model, QUESTION, shoal).await;
    for (model, shoal, writers) in [
        ("shoal-fast", json!({}), 3),
        ("shoal", json!({"mode": "fast"}), 3),
        ("shoal", json!({}), 5),
        ("shoal", json!({"writers": 2, "judges": 1}), 2),
        ("shoal-deep", json!({}), MODELS.len()),
    ] {
        let (status, answer, round) = ask(model, shoal.clone()).await;
        assert_eq!(status, 200, "{answer}");
        // Who was cut as too slow is no candidate.
        assert!((1..=writers).contains(&count(&round, "candidates")), "{model} {shoal}: {round}");
        assert!(count(&round, "ballots") <= MODELS.len(), "{model} {shoal}: {round}");
        // The specialists give likelihoods: nobody is asked for anything dearer.
        let ballots = round["ballots"].as_array().unwrap();
        assert!(ballots.iter().all(|ballot| ballot["scores"].is_array()), "{round}");
    }
    let (_, _, round) = ask("shoal-order", json!({})).await;
    assert_eq!((&round["decided"], count(&round, "candidates")), (&"single".into(), 1));
    let (status, answer, round) = ask("shoal", json!({"fusion": true})).await;
    assert_eq!(status, 200, "{answer}");
    // Marked where a member wrote it; else the winner was sent.
    assert_eq!(round["decided"] == "fused", round["fused"].is_object(), "{round}");
    for wish in [json!({"writers": 99}), json!({"mode": "quick"}), json!({"deadline_ms": 1})] {
        let (status, error, _) = ask("shoal", wish.clone()).await;
        assert_eq!((status, &error["error"]["type"]), (400, &"invalid_request_error".into()));
        let key = wish.as_object().unwrap().keys().next().unwrap();
        assert_eq!(error["error"]["param"], format!("shoal.{key}"), "{error}");
    }
    let nodes = swarm.get("/v1/nodes").await;
    let mut nodes = nodes["data"].as_array().unwrap().iter();
    let letters = nodes.find(|node| node["model"] == "shoal-letters").unwrap();
    assert_eq!(letters["tags"], json!(["letters"]));
}

/// The length of the list `key` in a round's transcript.
fn count(round: &Value, key: &str) -> usize {
    round[key].as_array().unwrap().len()
}

#[tokio::test]
async fn killing_the_launcher_leaves_no_orphan() {
    let swarm = LiveSwarm::start(&["shoal-sum"]);
    let processes = swarm.children();
    assert_eq!(processes.len(), 3);
    swarm.kill();
    for (pid, line) in processes {
        eventually(&format!("{line} ends"), async || !alive(pid)).await;
    }
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let data = tempfile::tempdir().unwrap();
    let output =
        launcher(&address, &data.path().to_string_lossy(), &["shoal-sum"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&address) && stderr.contains("SHOAL_HTTP"), "{stderr}");
}

#[test]
fn an_unknown_model_is_one_clear_line() {
    let data = tempfile::tempdir().unwrap();
    let output = launcher("127.0.0.1:0", &data.path().to_string_lossy(), &["shoal-nobody"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert_eq!(stderr.trim().lines().count(), 1, "{stderr}");
    assert!(
        stderr.contains("no model shoal-nobody") && stderr.contains("smollm2-135m"),
        "{stderr}"
    );
}

/// Runs the printed curl line as a person would paste it.
fn pasted_curl(output: &str) -> String {
    let from = output.find("curl -s").unwrap();
    let line: String = output[from..].lines().take(2).collect::<Vec<_>>().join("\n");
    let reply = Command::new("bash").args(["-c", &line]).output().unwrap();
    String::from_utf8(reply.stdout).unwrap()
}

fn alive(pid: u32) -> bool {
    // A zombie has ended; only its parent has not looked yet.
    std::fs::read_to_string(format!("/proc/{pid}/status"))
        .is_ok_and(|status| !status.contains("State:\tZ"))
}
