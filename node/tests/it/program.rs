//! The program as its owner meets it.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

use crate::endpoint;

fn node(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shoal-node"));
    command.args(arguments).env_clear();
    command
}

/// The one line on stderr, and the exit code.
fn complaint(output: &Output) -> (String, i32) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    (lines[0].to_owned(), output.status.code().unwrap())
}

#[test]
fn a_wrong_setting_is_one_line_and_exit_code_2() {
    let (line, code) = complaint(&node(&[]).output().unwrap());
    assert!(line.starts_with("shoal-node: no model: name one with --model"), "{line}");
    assert_eq!(code, 2);
    let nameless = node(&["--model", "x", "--data", "/tmp"]).output().unwrap();
    let line = "shoal-node: no gateway: name one with --gateway HOST:PORT".to_owned();
    assert_eq!(complaint(&nameless), (line, 2));
}

#[test]
fn an_unknown_key_in_a_file_is_named_with_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "slots = 1\ngatway = []\n").unwrap();
    let file = file.to_str().unwrap();
    let (line, code) = complaint(&node(&["--config", file]).output().unwrap());
    assert!(
        line.starts_with(&format!("shoal-node: {file}, line 2: unknown field `gatway`")),
        "{line}"
    );
    assert_eq!(code, 2);
}

#[test]
fn the_command_line_comes_before_the_environment_and_that_before_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, "gateway = [\"file\"]\nmodel = \"x\"\n").unwrap();
    let mut command = node(&["--config", file.to_str().unwrap(), "--data", "/tmp"]);
    assert_eq!(complaint_line(&mut command), "shoal-node: gateway \"file\" is not HOST:PORT");
    command.env("SHOAL_NODE_GATEWAY", "environment");
    assert_eq!(
        complaint_line(&mut command),
        "shoal-node: gateway \"environment\" is not HOST:PORT"
    );
    command.args(["--gateway", "line"]);
    assert_eq!(complaint_line(&mut command), "shoal-node: gateway \"line\" is not HOST:PORT");
}

#[test]
fn an_auditor_takes_no_token_that_can_be_guessed() {
    let mut command =
        node(&["audit", "--gateway", "127.0.0.1:1", "--model", "x", "--data", "/tmp"]);
    let (line, code) = complaint(&command.env("SHOAL_AUDIT_TOKEN", "herring").output().unwrap());
    assert!(
        line.contains("SHOAL_AUDIT_TOKEN can be guessed") && !line.contains("herring"),
        "{line}"
    );
    assert_eq!(code, 2);
}

fn complaint_line(command: &mut Command) -> String {
    complaint(&command.output().unwrap()).0
}

#[test]
#[cfg(feature = "burn")]
fn a_folder_without_weights_is_one_line_and_exit_code_1() {
    let folder = tempfile::tempdir().unwrap();
    let (model, data) = (folder.path().join("model"), folder.path().join("data"));
    std::fs::create_dir(&model).unwrap();
    let mut command = node(&["--gateway", "127.0.0.1:9", "--model", model.to_str().unwrap()]);
    let output = command.args(["--data", data.to_str().unwrap()]).output().unwrap();
    let (line, code) = complaint(&output);
    let reason = format!("{} has no *.safetensors file", model.canonicalize().unwrap().display());
    assert!(line.starts_with(&format!("shoal-node: {reason}")), "{line}");
    assert_eq!(code, 1);
}

#[test]
#[cfg(feature = "burn")]
fn what_a_rounding_costs_is_told_of_each() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    let line = "Compute 512 plus 20. 215 + 02: 2+0+0=2,0 1+2+0=3,0 5+0+0=5,0 235. Answer: 532\n";
    std::fs::write(&text, line.repeat(6)).unwrap();
    let output = eval(text.to_str().unwrap());
    let report = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<_> = report.lines().map(figures).collect();
    let [baseline, q8, q4] = rows[..] else { panic!("{report}") };
    assert!(baseline.0 > 1.0 && (baseline.1, baseline.2) == (0.0, 100.0), "{report}");
    assert!(0.0 < q8.1 && q8.1 < q4.1, "the fewer bits, the further away: {report}");
    assert!(q8.1 < 0.01 && q4.1 < 0.2 && q8.2 > 98.0, "{report}");
    let (line, code) = complaint(&eval("/no/such/text"));
    assert!(line.starts_with("shoal-node: cannot read /no/such/text: "), "{line}");
    assert_eq!(code, 1);
}

#[cfg(feature = "burn")]
fn eval(text: &str) -> Output {
    let model = ["eval-quant", "--model", "bundled:shoal-sum", "--against", "none,q8,q4"];
    node(&model).args(["--text", text]).output().unwrap()
}

/// Perplexity, divergence and agreement, as one line reports them.
#[cfg(feature = "burn")]
fn figures(line: &str) -> (f64, f64, f64) {
    (number(line, "perplexity"), number(line, "KL"), number(line, "max"))
}

#[cfg(feature = "burn")]
fn number(line: &str, after: &str) -> f64 {
    let (_, rest) = line.split_once(after).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn an_upstream_that_is_not_there_is_one_line_and_exit_code_1() {
    let data = tempfile::tempdir().unwrap();
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{address}/v1");
    let mut command =
        node(&["--gateway", "127.0.0.1:9", "--upstream", &url, "--upstream-model", "m"]);
    let output = command.args(["--data", data.path().to_str().unwrap()]).output().unwrap();
    let (line, code) = complaint(&output);
    assert!(line.starts_with(&format!("shoal-node: cannot reach {url}: ")), "{line}");
    assert_eq!(code, 1);
}

#[test]
fn sigterm_ends_a_node_well() {
    let data = tempfile::tempdir().unwrap();
    let url = format!("http://{}", endpoint::start());
    let mut child =
        node(&["--gateway", "127.0.0.1:9", "--upstream", &url, "--upstream-model", "parrot"])
            .args(["--data", data.path().to_str().unwrap()])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
    let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(log.any(|line| line.unwrap().contains("ready to serve")), "the log ended");
    let status = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    assert!(log.any(|line| line.unwrap().contains("stopping: finishing")), "the log ended");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn help_names_what_matters() {
    let help = node(&["--help"]).output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["--gateway <HOST:PORT>", "--model <MODEL>", "--upstream <URL>", "Examples:"] {
        assert!(help.contains(word), "{word} is missing in {help}");
    }
}
