//! Runs a program of a model against its tests: in a process of its own in an empty folder, with
//! limits on time, memory, files and processes, in a network of its own if the system allows that,
//! and without a way to open a socket or start a program.

use std::{process::Stdio, sync::OnceLock, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// A whole program: the prompt, the model's answer, and the name of the tested function.
#[derive(Clone, Debug)]
pub struct Program {
    text: String,
    entry: String,
}

/// Wall-clock limit; a busy machine starts Python slowly.
const LIMIT: Duration = Duration::from_secs(60);

/// Limits of the program. Python's audit hooks cannot be removed (PEP 578); they are the second barrier after
/// the network's.
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

/// Exit code of the guard after the program's end: a code that no program has by accident.
const SUCCESS: i32 = 77;

impl Program {
    /// The function in `answer` after the part of the `prompt` before it: imports and helpers. An answer
    /// without such a function is the rest of the prompt.
    pub fn new(prompt: &str, entry: &str, answer: &str) -> Self {
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

    /// Whether the program passes `tests`, which define `check(candidate)`.
    ///
    /// # Errors
    /// If there is no `python3`.
    pub async fn passes(&self, tests: &str) -> Result<bool> {
        let text = format!("{}\n\n{tests}\n\ncheck({})\n", self.text, self.entry);
        let folder = tempfile::tempdir()?;
        let mut command = python().await;
        command.arg("-I").arg("-c").arg(GUARD).current_dir(folder.path());
        // Of the environment only PATH.
        command.env_clear().envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().context("cannot run python3")?;
        let end = async {
            if let Some(mut input) = child.stdin.take() {
                // The program may end before it has read everything.
                let _ = input.write_all(text.as_bytes()).await;
            }
            child.wait().await
        };
        match timeout(LIMIT, end).await {
            Ok(status) => Ok(status?.code() == Some(SUCCESS)),
            Err(_) => Ok(false),
        }
    }
}

/// Python in a network of its own, if the system allows this for ordinary users.
async fn python() -> Command {
    static CAN_UNSHARE: OnceLock<bool> = OnceLock::new();
    const UNSHARE: [&str; 3] = ["--user", "--map-root-user", "--net"];
    let can_unshare = match CAN_UNSHARE.get() {
        Some(can_unshare) => *can_unshare,
        None => {
            let mut probe = Command::new("unshare");
            probe.args(UNSHARE).arg("true").stderr(Stdio::null());
            let works = probe.status().await.is_ok_and(|status| status.success());
            *CAN_UNSHARE.get_or_init(|| works)
        }
    };
    if !can_unshare {
        return Command::new("python3");
    }
    let mut command = Command::new("unshare");
    command.args(UNSHARE).arg("python3");
    command
}

/// The longest fenced block of code of an answer; the whole answer if there is none.
fn block(answer: &str) -> &str {
    let blocks = answer.split("```").skip(1).step_by(2);
    blocks
        // The language is on the fence's line.
        .map(|block| block.split_once('\n').map_or(block, |(_, code)| code))
        .max_by_key(|code| code.len())
        .unwrap_or(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str =
        "from typing import List\n\ndef total(xs: List[int]) -> int:\n    \"\"\" Sum. \"\"\"\n";
    const TESTS: &str = "def check(candidate):\n    assert candidate([1, 2]) == 3\n";

    async fn passes(answer: &str) -> bool {
        Program::new(PROMPT, "total", answer).passes(TESTS).await.unwrap()
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

    fn function_with(line: &str) -> String {
        format!("def total(xs):\n    {line}\n    return sum(xs)\n")
    }

    #[tokio::test]
    async fn a_program_cannot_escape_or_fake_success() {
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
            assert!(!passes(&function_with(line)).await, "{line}");
        }
        assert!(passes(&function_with("pass")).await);
    }
}
