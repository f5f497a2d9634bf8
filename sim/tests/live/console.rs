//! The console in a real Chromium, on a live swarm.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{swarm::LiveSwarm, tools};

/// axe-core looks for what people with a screen reader or a keyboard cannot use.
const NPM: &[&str] = &["playwright-core@1.65.1", "axe-core@4.14.1"];

#[test]
fn the_console_works_in_a_browser() {
    let Some(browser) = chromium() else {
        eprintln!("skipped: there is no Chromium; install Debian's package chromium");
        return;
    };
    let Some(modules) = tools::npm("console", NPM) else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/live/console.mjs");
    // Node looks for packages beside the script.
    let copy = modules.join("console.mjs");
    std::fs::copy(script, &copy).unwrap();
    let swarm = LiveSwarm::start(&[]);
    let mut command = Command::new("node");
    command.arg(copy).env("CHROMIUM", browser).env("SHOAL", &swarm.base);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("console: all checks passed"), "{text}");
}

fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let name = names.iter().find(|name| Command::new(name).arg("--version").output().is_ok())?;
    Some(PathBuf::from(name))
}
