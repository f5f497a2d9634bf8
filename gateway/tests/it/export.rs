//! Rounds stored by consent, and their export.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};

use crate::gateway::{Gateway, ask, node};

const QUESTION: &str = "What is the word that nobody else would store?";

fn question(store: Option<bool>) -> Value {
    let mut body = ask("shoal");
    body["messages"][0]["content"] = json!(QUESTION);
    if let Some(store) = store {
        body["store"] = json!(store);
    }
    body
}

/// Two members that agree and one that does not, so that there is a preference.
async fn start(consent: bool) -> Gateway {
    let nodes = [
        node("digits").says("The answer: 4"),
        node("words").says("The answer: 4"),
        node("letters").says("The answer: four hundred"),
    ];
    Gateway::with(nodes, |config| config.export.consent = consent).await
}

/// Whether any file in the folder contains this text.
fn is_written(data: &Path, text: &str) -> bool {
    // The database's temporary files may disappear after they were listed. No other error may hide a
    // file.
    let files =
        fs::read_dir(data).unwrap().filter_map(|entry| match fs::read(entry.unwrap().path()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            bytes => Some(bytes.unwrap()),
        });
    files.into_iter().any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
}

/// Runs `shoal-gateway export preferences` while the gateway runs.
fn export(data: &Path, consent: bool, arguments: &[&str]) -> Output {
    let settings = data.join("export.toml");
    fs::write(&settings, format!("[export]\nconsent = {consent}\n")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-gateway"));
    for variable in ["SHOAL_DATA", "SHOAL_CONFIG"] {
        command.env_remove(variable);
    }
    command.args(["export", "preferences", "--data"]).arg(data);
    command.arg("--config").arg(settings).args(arguments).output().unwrap()
}

fn lines(text: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(text).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn without_both_consents_nothing_is_written() {
    for (consent, store) in [(false, Some(true)), (true, None), (true, Some(false))] {
        let mut gateway = start(consent).await;
        for stream in [false, true] {
            let mut body = question(store);
            body["stream"] = json!(stream);
            let reply = gateway.post("/v1/chat/completions", &body).await;
            assert!(reply.text().contains("answer"), "{}", reply.text());
        }
        gateway.stop();
        gateway.until_ended().await;
        for text in [QUESTION, "The answer", "four hundred"] {
            assert!(!is_written(gateway.data(), text), "{consent} {store:?}: {text}");
        }
    }
}

#[tokio::test]
async fn with_both_consents_rounds_become_preferences_while_the_gateway_runs_and_after() {
    let mut gateway = start(true).await;
    let mut rounds = Vec::new();
    for stream in [false, true] {
        let mut body = question(Some(true));
        body["stream"] = json!(stream);
        let reply = gateway.post("/v1/chat/completions", &body).await;
        rounds.push(reply.header("x-shoal-round").unwrap().to_owned());
    }
    gateway.until_counted(r#"shoal_export_rounds_total{outcome="kept"} 2"#).await;
    assert!(is_written(gateway.data(), QUESTION));
    let beside = export(gateway.data(), true, &["--min-margin", "0.001"]);
    assert!(beside.status.success(), "{}", String::from_utf8_lossy(&beside.stderr));
    let transcripts = [&rounds[0], &rounds[1]].map(|id| format!("/v1/rounds/{id}"));
    let mut preferences_due = Vec::new();
    for path in &transcripts {
        preferences_due.push(expected_of(&gateway.get(path).await.json()));
    }
    assert_eq!(lines(&beside.stdout), preferences_due);
    let empty_export = export(gateway.data(), true, &["--min-margin", "1000"]);
    assert!(empty_export.status.success() && empty_export.stdout.is_empty());
    gateway.stop();
    gateway.until_ended().await;
    let file = gateway.data().join("pairs.jsonl");
    let after = export(gateway.data(), true, &["--out", file.to_str().unwrap()]);
    assert!(after.status.success() && after.stdout.is_empty());
    assert_eq!(lines(&fs::read(&file).unwrap()), preferences_due);
    let message = String::from_utf8_lossy(&after.stderr).into_owned();
    assert_eq!(message.trim(), format!("{} preferences of 2 kept rounds", preferences_due.len()));
}

/// The line that belongs to the transcript of a round.
fn expected_of(round: &Value) -> Value {
    let winner = usize::try_from(round["winner"].as_u64().unwrap()).unwrap();
    let candidates = round["candidates"].as_array().unwrap();
    let winner_candidate = &candidates[winner];
    let loser =
        candidates.iter().find(|candidate| candidate["pool"] != winner_candidate["pool"]).unwrap();
    let margin =
        winner_candidate["strength"].as_f64().unwrap() - loser["strength"].as_f64().unwrap();
    assert!(margin > 0.0, "{round}");
    let [chosen, rejected] = [winner_candidate, loser]
        .map(|candidate| json!([{"role": "assistant", "content": candidate["text"]}]));
    json!({
        "prompt": [{"role": "user", "content": QUESTION}],
        "chosen": chosen,
        "rejected": rejected,
        "margin": margin,
        "p_best": winner_candidate["p_best"],
        "round": round["id"],
        "decided": round["decided"],
        "models": {"chosen": winner_candidate["model"], "rejected": loser["model"]},
    })
}

#[tokio::test]
async fn the_program_exports_nothing_without_consent_and_makes_no_file() {
    let gateway = start(false).await;
    let refusal = export(gateway.data(), false, &["--out", "/nowhere/x.jsonl"]);
    let message = String::from_utf8_lossy(&refusal.stderr).into_owned();
    assert_eq!(refusal.status.code(), Some(1), "{message}");
    assert!(message.contains("export.consent") && message.trim().lines().count() == 1, "{message}");
    let empty = tempfile::tempdir().unwrap();
    let no_store = export(empty.path(), true, &[]);
    let message = String::from_utf8_lossy(&no_store.stderr).into_owned();
    assert!(no_store.status.code() == Some(1) && message.contains("--data"), "{message}");
    assert!(!empty.path().join("shoal.sqlite").exists());
    let unwritable = export(gateway.data(), true, &["--out", "/nowhere/x.jsonl"]);
    let message = String::from_utf8_lossy(&unwritable.stderr).into_owned();
    assert!(
        unwritable.status.code() == Some(1) && message.contains("/nowhere/x.jsonl"),
        "{message}"
    );
}

#[tokio::test]
async fn a_round_longer_than_allowed_is_counted_and_not_kept() {
    let nodes = [node("digits").says("The answer: 4"), node("words").says("The answer: 5")];
    let gateway = Gateway::with(nodes, |config| {
        config.export.consent = true;
        config.export.round_bytes_max = 100;
    })
    .await;
    gateway.post("/v1/chat/completions", &question(Some(true))).await;
    gateway.until_counted(r#"shoal_export_rounds_total{outcome="too_long"} 1"#).await;
    assert!(!is_written(gateway.data(), QUESTION));
}
