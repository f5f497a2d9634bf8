//! The processes behind the members. They end when this one does: each holds its standard input.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use futures_util::future::{join_all, select_all};
use tokio::{
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use super::host::{Host, Member};

/// Reading a gigabyte of weights on a busy machine, and packing them.
const START: Duration = Duration::from_secs(1_200);

/// A node finishes what it has, of which there is nothing left.
const END: Duration = Duration::from_secs(30);

/// Who writes in every round.
pub const WRITERS: [&str; 6] =
    ["qwen-greedy", "qwen-warm", "qwen-steps", "qwen-teacher", "qwen-engineer", "smollm2"];

/// Who only judges, with the weights of most writers.
pub const JUDGE: &str = "qwen-judge";

/// The bundled specialists.
pub const SPECIALISTS: [&str; 6] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar", "shoal-story"];

const SETTINGS: [(&str, &str); 2] = [
    ("qwen", include_str!("../../real/qwen.toml")),
    ("smollm", include_str!("../../real/smollm.toml")),
];

/// Everybody, and what keeps them alive.
#[derive(Debug)]
pub struct Swarm {
    pub members: Vec<Member>,
    _host: Host,
    nodes: Vec<Node>,
}

/// A process of ours.
#[derive(Debug)]
struct Node {
    name: String,
    process: Child,
    /// It ends when this closes. Not in `process`, where waiting for it would close it.
    open: Option<ChildStdin>,
}

/// Starts all nodes with `shoal-node` from the folder of this program, and waits for them.
///
/// # Errors
/// When one cannot be started or does not come.
pub async fn start(data: &Path) -> Result<Swarm> {
    let mut starting = Starting::new(data)?;
    for (name, settings) in SETTINGS {
        starting.with_settings(name, settings)?;
    }
    for name in SPECIALISTS {
        starting.begin(name, &["--model", &format!("bundled:{name}")])?;
    }
    let names: Vec<&str> = WRITERS.into_iter().chain([JUDGE]).chain(SPECIALISTS).collect();
    starting
        .gather(&names)
        .await
        .context("models: `shoal-node pull qwen2.5-coder-1.5b`, `shoal-node pull smollm2-135m`")
}

/// Starts the bundled specialists, told to compare pairs as well, and waits for them.
///
/// # Errors
/// As [`start`].
pub async fn comparing_specialists(data: &Path) -> Result<Swarm> {
    let mut starting = Starting::new(data)?;
    for name in SPECIALISTS {
        let settings = format!("model = \"bundled:{name}\"\njudges = true\nmeasure = false\n");
        starting.with_settings(name, &settings)?;
    }
    starting.gather(&SPECIALISTS).await
}

/// Nodes on their way.
struct Starting<'a> {
    program: PathBuf,
    data: &'a Path,
    host: Host,
    nodes: Vec<Node>,
}

impl<'a> Starting<'a> {
    fn new(data: &'a Path) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("shoal-node");
        if !program.is_file() {
            bail!("{} is missing: build it with `make build`", program.display());
        }
        std::fs::create_dir_all(data)?;
        Ok(Self { program, data, host: Host::bind()?, nodes: Vec::new() })
    }

    fn with_settings(&mut self, name: &str, settings: &str) -> Result<()> {
        let file = self.data.join(format!("{name}.toml"));
        std::fs::write(&file, settings)?;
        self.begin(name, &["--config", &file.to_string_lossy()])
    }

    fn begin(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let log = std::fs::File::create(self.data.join(format!("{name}.log")))?;
        let mut node = Command::new(&self.program);
        node.args(arguments).args(["--gateway", &self.host.address.to_string()]);
        node.args(["--gateway-id", &self.host.id.to_string(), "--until-stdin-closes", "--data"]);
        node.arg(self.data.join(name)).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let process = node.kill_on_drop(true).spawn();
        let mut process =
            process.with_context(|| format!("cannot start {}", self.program.display()))?;
        let open = process.stdin.take();
        self.nodes.push(Node { name: name.to_owned(), process, open });
        Ok(())
    }

    async fn gather(mut self, names: &[&str]) -> Result<Swarm> {
        let members = tokio::select! {
            members = self.host.gather(names, START) => members,
            name = first_end(&mut self.nodes) => Err(self.said_last(&name)),
        };
        let members = members.with_context(|| {
            format!("not all members came; their logs are in {}", self.data.display())
        })?;
        Ok(Swarm { members, _host: self.host, nodes: self.nodes })
    }

    /// Why it ended: its last words.
    fn said_last(&self, name: &str) -> anyhow::Error {
        let log = std::fs::read_to_string(self.data.join(format!("{name}.log")));
        let last = log.ok().and_then(|log| log.lines().last().map(str::to_owned));
        anyhow!("{name} ended: {}", last.as_deref().unwrap_or("it said nothing"))
    }
}

/// The name of the first that ends.
async fn first_end(nodes: &mut [Node]) -> String {
    let ends = nodes.iter_mut().map(|node| {
        Box::pin(async {
            // Whoever cannot be waited for is not there either.
            let _ = node.process.wait().await;
            node.name.clone()
        })
    });
    select_all(ends).await.0
}

impl Swarm {
    /// Ends all nodes and waits for them: their folders are theirs until then, and whoever starts
    /// the same nodes at once would be refused.
    pub async fn end(mut self) {
        let ends = self.nodes.iter_mut().map(async |node| {
            drop(node.open.take());
            if timeout(END, node.process.wait()).await.is_err() {
                let _ = node.process.kill().await;
            }
        });
        join_all(ends).await;
    }

    /// # Errors
    /// When nobody has this name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let found = self.members.iter().find(|member| member.model.name == name);
        found.with_context(|| format!("there is no member {name}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn begun<'a>(folder: &'a Path, script: &str) -> Starting<'a> {
        let program = folder.join("shoal-node");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        let runs = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, runs).expect("allowed");
        let host = Host::bind().expect("a socket");
        let mut starting = Starting { program, data: folder, host, nodes: Vec::new() };
        starting.begin("alpha", &[]).expect("started");
        starting
    }

    #[tokio::test]
    async fn a_node_that_ends_says_why_and_nobody_waits_for_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let starting = begun(folder.path(), "echo 'shoal-node: there are no such weights' >&2");
        let error = starting.gather(&["alpha"]).await.expect_err("nobody came");
        let said = format!("{error:#}");
        assert!(said.contains("alpha ended: shoal-node: there are no such weights"), "{said}");
    }

    #[tokio::test]
    async fn waiting_for_nodes_does_not_end_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let starting = begun(folder.path(), "read line; echo 'told to end' >&2");
        let gathered = timeout(Duration::from_millis(300), starting.gather(&["alpha"])).await;
        assert!(gathered.is_err(), "it ended: {gathered:?}");
    }
}
