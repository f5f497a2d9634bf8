//! Who may know whom, and how long a file may be. The rules stand in ARCHITECTURE.md.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A source file of the project.
struct Source {
    /// From the workspace's root, with `/`.
    path: String,
    text: String,
}

impl Source {
    /// Lines that are code, with their numbers. A comment may name what the code may not know.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
        lines.filter(|(_, line)| !line.starts_with("//"))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file under these folders of the workspace.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    let mut open: Vec<PathBuf> = folders.iter().map(PathBuf::from).collect();
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(root().join(&folder)) else { continue };
        for entry in entries {
            let entry = entry.expect("a folder that can be read");
            let path = folder.join(entry.file_name());
            if entry.path().is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(entry.path()).expect("a file that can be read");
                let path = path.to_string_lossy().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    assert!(found.len() > 5, "found next to nothing under {folders:?}");
    found
}

/// Nothing under `folders` may name `what`, but for the places in `except`.
fn nobody_knows(what: &[&str], folders: &[&str], except: &[&str]) {
    let mut broken = Vec::new();
    for source in sources(folders).iter().filter(|source| !source.is_in(except)) {
        for (at, line) in source.code() {
            if what.iter().any(|name| names(line, name)) {
                broken.push(format!("{}:{at}: {line}", source.path));
            }
        }
    }
    assert!(broken.is_empty(), "{what:?} is none of their business:\n{}", broken.join("\n"));
}

/// The name stands in the line as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + name.len()..].chars().next();
        !before.is_some_and(word) && !after.is_some_and(word)
    })
}

const ALL: &[&str] = &[
    "proto/src",
    "gateway/src",
    "node/src",
    "node/engine/src",
    "node/kernel/src",
    "node/model/src",
    "node/decoder/src",
    "node/train/src",
    "node/pull/src",
    "sim/src",
    "eval/src",
];

#[test]
fn only_http_knows_actix() {
    nobody_knows(&["actix_web"], ALL, &["gateway/src/http", "gateway/src/gateway.rs"]);
}

#[test]
fn only_the_quic_link_and_tls_know_quinn_and_rustls() {
    nobody_knows(&["quinn", "rustls"], ALL, &["proto/src/link/quic", "proto/src/tls"]);
}

#[test]
fn only_the_store_knows_sql() {
    nobody_knows(&["sqlx", "SELECT", "INSERT"], ALL, &["gateway/src/store/"]);
}

#[test]
fn only_the_engine_and_the_trainer_know_burn() {
    nobody_knows(&["burn::"], &["proto/src", "gateway/src", "sim/src"], &[]);
    nobody_knows(
        &["use burn"],
        &["node/src", "node/engine/src", "node/model/src", "node/pull/src"],
        &[],
    );
}

#[test]
fn only_the_upstream_engine_and_the_wire_types_know_async_openai() {
    nobody_knows(
        &["async_openai"],
        ALL,
        // The telemetry names it as the target of log lines that nobody wants.
        &["node/src/upstream", "gateway/src/http/", "gateway/src/ask", "node/src/telemetry"],
    );
}

#[test]
fn only_pulls_unpack_and_only_the_chat_edits_lines() {
    // Wheels are zipped, and so are published questions.
    nobody_knows(&["flate2"], ALL, &["node/pull/src", "eval/src/real"]);
    nobody_knows(&["rustyline"], ALL, &["node/src/chat"]);
}

#[test]
fn gateway_and_node_do_not_know_each_other_and_proto_knows_neither() {
    nobody_knows(&["shoal_node"], &["gateway/src", "proto/src"], &[]);
    nobody_knows(&["shoal_gateway"], &["node/src", "node/engine/src", "proto/src"], &[]);
}

#[test]
fn the_kernels_know_nothing_but_numbers() {
    let others = ["burn", "tokio", "shoal_node", "shoal_proto", "tracing"];
    nobody_knows(&others, &["node/kernel/src"], &[]);
}

#[test]
fn decisions_know_no_runtime_and_no_clock() {
    let pure = [
        "gateway/src/ask",
        "gateway/src/reputation",
        "gateway/src/round/select",
        "gateway/src/round/agree",
        "gateway/src/round/evidence",
        "gateway/src/round/rank",
        "gateway/src/round/decide",
        "gateway/src/round/judge/next",
        "gateway/src/round/judge/bench",
        "gateway/src/round/judge/sheet",
        "gateway/src/http/rate",
        "node/src/session/backoff",
    ];
    let runtime = ["tokio", "Instant::now", "SystemTime::now", "rand::rng"];
    for source in sources(&["gateway/src", "node/src"]).iter().filter(|s| s.is_in(&pure)) {
        for (at, line) in source.code() {
            let known = runtime.iter().find(|name| names(line, name));
            assert!(known.is_none(), "{}:{at}: {line}", source.path);
        }
    }
}

#[test]
fn what_is_below_does_not_know_what_is_above() {
    nobody_knows(&["crate::http"], &["gateway/src"], ABOVE);
    nobody_knows(
        &["crate::round"],
        &["gateway/src/swarm", "gateway/src/store", "gateway/src/reputation", "gateway/src/ask"],
        &[],
    );
    nobody_knows(
        &["crate::swarm"],
        &["gateway/src/store", "gateway/src/reputation", "gateway/src/ask"],
        &[],
    );
    nobody_knows(&["crate::store"], &["gateway/src/reputation", "gateway/src/ask"], &[]);
}

#[test]
fn rounds_do_not_know_whether_they_are_kept() {
    nobody_knows(&["crate::export"], &["gateway/src"], ABOVE);
    let keepers = ["gateway/src/export"];
    for source in sources(&["gateway/src"]).iter().filter(|s| s.is_in(&keepers)) {
        for (at, line) in source.code() {
            let above = ["crate::round", "crate::swarm", "crate::reputation"];
            let known = above.iter().find(|name| names(line, name));
            assert!(known.is_none(), "{}:{at}: {line}", source.path);
        }
    }
}

/// They gather what all parts bring.
const ABOVE: &[&str] = &[
    "gateway/src/http",
    "gateway/src/gateway.rs",
    "gateway/src/main.rs",
    "gateway/src/config",
    "gateway/src/metrics",
];

#[test]
fn nobody_knows_those_who_know_everything() {
    nobody_knows(&["crate::gateway"], &["gateway/src"], &["gateway/src/main.rs"]);
    nobody_knows(&["crate::node"], &["node/src"], &["node/src/main.rs"]);
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let tests = ["gateway/tests", "node/tests", "node/kernel/tests", "sim/tests", "proto/tests"];
    let everything = [ALL, &tests].concat();
    let long: Vec<String> = sources(&everything)
        .iter()
        .map(|source| (source.text.lines().count(), &source.path))
        .filter(|(lines, _)| *lines >= 500)
        .map(|(lines, path)| format!("{path}: {lines}"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn a_name_is_a_word_of_its_own() {
    assert!(names("use quinn::Endpoint;", "quinn"));
    assert!(!names("let quinnish = 1;", "quinn"));
    assert!(!names("requinn::x", "quinn"));
}
