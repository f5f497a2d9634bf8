//! A program that a model wrote, run against its tests: a process of its own in an empty folder, with
//! bounds on time, memory, files and processes, in a network of its own where the system allows that,
//! and never with a way to open a socket or start a program.

use std::{process::Stdio, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// A whole program: what the model was given, what it wrote, and who is tested.
#[derive(Clone, Debug)]
pub struct Program {
    text: String,
    entry: String,
}

/// By the clock; a busy machine starts Python slowly.
const LIMIT: Duration = Duration::from_secs(60);

/// What it may use, and what it may not do. Python's audit hooks cannot be removed once they are
/// there (PEP 578); they are the second fence after the network's.
const GUARD: &str = r#"
import os, resource, sys
def limit(what, most):
    resource.setrlimit(what, (most, most))
limit(resource.RLIMIT_CPU, 5)
limit(resource.RLIMIT_AS, 1 << 30)
limit(resource.RLIMIT_FSIZE, 1 << 20)
limit(resource.RLIMIT_CORE, 0)
text = sys.stdin.read()
code = compile(text, "answer", "exec")
import typing, math, collections, itertools, functools, re, string, heapq, random, hashlib, copy
barred = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.kill",
          "os.remove", "os.rmdir", "os.rename", "os.chmod", "os.chown", "os.link", "os.symlink",
          "os.putenv", "shutil.", "ctypes.", "pty.", "signal.", "webbrowser.", "urllib.", "ftplib.")
def guard(event, arguments):
    if event.startswith(barred):
        raise PermissionError(event)
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        raise PermissionError(event)
sys.stdout = sys.stderr = open(os.devnull, "w")
sys.addaudithook(guard)
exec(code, {"__name__": "answer"})
os._exit(77)
"#;

/// How the guard says that the program came to its end: no exit code that a program has by accident.
const PASSED: i32 = 77;

impl Program {
    /// The function in `answer` put after what stands before it in the `prompt`: its imports and
    /// helpers. An answer that holds no such function is taken as the rest of the prompt.
    pub fn of(prompt: &str, entry: &str, answer: &str) -> Self {
        let code = block(answer);
        let head = format!("def {entry}(");
        let text = if code.contains(&head) {
            let before = prompt.find(&head).and_then(|at| prompt.get(..at)).unwrap_or_default();
            format!("{before}\n{code}")
        } else {
            format!("{prompt}\n{code}")
        };
        Self { text, entry: entry.to_owned() }
    }

    /// Whether `tests`, which define `check(candidate)`, find nothing wrong.
    ///
    /// # Errors
    /// When there is no `python3`.
    pub async fn passes(&self, tests: &str) -> Result<bool> {
        let text = format!("{}\n\n{tests}\n\ncheck({})\n", self.text, self.entry);
        let folder = tempfile::tempdir()?;
        let mut command = python().await;
        command.arg("-I").arg("-c").arg(GUARD).current_dir(folder.path());
        // Nothing of this process's surroundings but where programs are.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let quiet = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = quiet.kill_on_drop(true).spawn().context("cannot run python3")?;
        let ended = async {
            if let Some(mut input) = child.stdin.take() {
                // It may have ended before it has read all.
                let _ = input.write_all(text.as_bytes()).await;
            }
            child.wait().await
        };
        match timeout(LIMIT, ended).await {
            Ok(status) => Ok(status?.code() == Some(PASSED)),
            Err(_) => Ok(false),
        }
    }
}

/// Python in a network of its own, where the system lets anybody have one.
async fn python() -> Command {
    static ALONE: OnceLock<bool> = OnceLock::new();
    const UNSHARE: [&str; 3] = ["--user", "--map-root-user", "--net"];
    let alone = match ALONE.get() {
        Some(alone) => *alone,
        None => {
            let mut probe = Command::new("unshare");
            let quiet = probe.args(UNSHARE).arg("true").stderr(Stdio::null());
            let works = quiet.status().await.is_ok_and(|status| status.success());
            *ALONE.get_or_init(|| works)
        }
    };
    if !alone {
        return Command::new("python3");
    }
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("python3");
    command
}

/// The longest fenced block of code of an answer; all of it where there is none.
fn block(answer: &str) -> &str {
    let fenced = answer.split("```").skip(1).step_by(2).map(|block| {
        // The language stands on the fence's line.
        block.split_once('\n').map_or(block, |(_, code)| code)
    });
    fenced.max_by_key(|code| code.len()).unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str =
        "from typing import List\n\ndef total(xs: List[int]) -> int:\n    \"\"\" Sum. \"\"\"\n";
    const TESTS: &str = "def check(candidate):\n    assert candidate([1, 2]) == 3\n";

    async fn passes(answer: &str) -> bool {
        Program::of(PROMPT, "total", answer).passes(TESTS).await.unwrap()
    }

    #[tokio::test]
    async fn a_program_passes_its_tests_or_does_not() {
        assert!(
            passes("```python\ndef total(xs: List[int]) -> int:\n    return sum(xs)\n```").await
        );
        assert!(passes("    return sum(xs)\n").await, "the rest of the prompt");
        assert!(passes("def total(xs):\n    print(xs)\n    return sum(xs)\n").await);
        assert!(!passes("```python\ndef total(xs):\n    return 4\n```").await);
        assert!(!passes("def total(xs:").await);
        assert!(!passes("").await);
    }

    #[tokio::test]
    async fn a_program_cannot_get_out_or_pretend() {
        let body = |line: &str| format!("def total(xs):\n    {line}\n    return sum(xs)\n");
        for line in [
            "import socket; socket.socket()",
            "import os; os.system('true')",
            "import subprocess; subprocess.run(['true'])",
            "open('left-behind', 'w')",
            "x = bytearray(1 << 31)",
            "while True: pass",
            "import sys; sys.exit(0)",
            "import os; os._exit(0)",
        ] {
            assert!(!passes(&body(line)).await, "{line}");
        }
        assert!(passes(&body("pass")).await);
    }
}
