//! schemathesis against `/openapi.json`: it generates valid and invalid requests from the document, and
//! checks the answers against it.

use std::{path::Path, process::Command};

use crate::swarm::LiveSwarm;
use crate::tools;

/// Generated requests for each operation; `make test-schema` generates more, with a new seed each time.
const CASES: &str = "12";

const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance";

/// The smallest swarm that ranks: here the requests matter, not the quality of the answers.
const MODELS: [&str; 2] = ["shoal-sum", "shoal-order"];

#[test]
fn whatever_is_sent_the_answer_is_one_that_was_promised() {
    let Some(python) = tools::python("schemathesis", &["schemathesis"]) else { return };
    let swarm = LiveSwarm::start(&MODELS);
    let hooks = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gateway/tests/clients");
    let models = [MODELS.as_slice(), &["shoal-fast"]].concat().join(",");
    let cases = std::env::var("SHOAL_TEST_SCHEMA");
    let mut program = Command::new(python.with_file_name("st"));
    program
        .args(["run", &format!("{}/openapi.json", swarm.base), "--checks", CHECKS])
        // A stream without an end; the tests of the console read it.
        .args(["--exclude-path", "/v1/rounds/live"])
        .args(["--max-examples", cases.as_deref().unwrap_or(CASES)])
        .args(["--request-timeout", "120", "--continue-on-failure", "--warnings", "off"])
        // Each option brings no database along: both at once are refused.
        .args(if cases.is_err() {
            ["--generation-deterministic", "--no-color"].as_slice()
        } else {
            &["--generation-database", "none", "--no-color"]
        });
    let output = program
        .env("SCHEMATHESIS_HOOKS", "schema_hooks")
        .env("PYTHONPATH", hooks)
        .env("SHOAL_MODELS", models)
        .env("NO_PROXY", "*")
        // It leaves a folder with what it found.
        .current_dir(swarm.data.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout);
    eprintln!("{stdout}");
    assert!(output.status.success(), "{stdout}\n{}", String::from_utf8_lossy(&output.stderr));
}
