//! The processes of the members. They end when this process ends, because their standard input closes.

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

/// Limit for the start: a node reads and packs a gigabyte of weights on a busy machine.
const START: Duration = Duration::from_secs(1_200);

/// Limit for the end: a node finishes running requests first, and there are none.
const END: Duration = Duration::from_secs(30);

/// The members that write in every round.
pub const WRITERS: [&str; 6] =
    ["qwen-greedy", "qwen-warm", "qwen-steps", "qwen-teacher", "qwen-engineer", "smollm2"];

/// The member that only judges, with the weights of most writers.
pub const JUDGE: &str = "qwen-judge";

/// The bundled specialists.
pub const SPECIALISTS: [&str; 6] =
    ["shoal-sum", "shoal-times", "shoal-order", "shoal-letters", "shoal-calendar", "shoal-story"];

const SETTINGS: [(&str, &str); 2] = [
    ("qwen", include_str!("../../real/qwen.toml")),
    ("smollm", include_str!("../../real/smollm.toml")),
];

/// All members, with their processes.
#[derive(Debug)]
pub struct Swarm {
    pub members: Vec<Member>,
    _host: Host,
    nodes: Vec<Node>,
}

/// The process of a node.
#[derive(Debug)]
struct Node {
    name: String,
    process: Child,
    /// The node ends when this closes. It is not in `process`, because `wait` would close it there.
    stdin: Option<ChildStdin>,
}

/// Starts all nodes with `shoal-node` from the folder of this program, and waits until they are admitted.
///
/// # Errors
/// If a node cannot be started or is not admitted.
pub async fn start(data: &Path) -> Result<Swarm> {
    let mut launch = Launch::new(data)?;
    for (name, settings) in SETTINGS {
        launch.start_with_settings(name, settings)?;
    }
    for name in SPECIALISTS {
        launch.start(name, &["--model", &format!("bundled:{name}")])?;
    }
    let names: Vec<&str> = WRITERS.into_iter().chain([JUDGE]).chain(SPECIALISTS).collect();
    launch
        .gather(&names)
        .await
        .context("models: `shoal-node pull qwen2.5-coder-1.5b`, `shoal-node pull smollm2-135m`")
}

/// Starts the bundled specialists as judges that also compare pairs, and waits until they are admitted.
///
/// # Errors
/// See [`start`].
pub async fn comparing_specialists(data: &Path) -> Result<Swarm> {
    let mut launch = Launch::new(data)?;
    for name in SPECIALISTS {
        let settings = format!("model = \"bundled:{name}\"\njudges = true\nmeasure = false\n");
        launch.start_with_settings(name, &settings)?;
    }
    launch.gather(&SPECIALISTS).await
}

/// Nodes that are not admitted yet.
struct Launch<'a> {
    program: PathBuf,
    data: &'a Path,
    host: Host,
    nodes: Vec<Node>,
}

impl<'a> Launch<'a> {
    fn new(data: &'a Path) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("shoal-node");
        if !program.is_file() {
            bail!("{} is missing: build it with `make build`", program.display());
        }
        std::fs::create_dir_all(data)?;
        Ok(Self { program, data, host: Host::bind()?, nodes: Vec::new() })
    }

    fn start_with_settings(&mut self, name: &str, settings: &str) -> Result<()> {
        let file = self.data.join(format!("{name}.toml"));
        std::fs::write(&file, settings)?;
        self.start(name, &["--config", &file.to_string_lossy()])
    }

    fn start(&mut self, name: &str, arguments: &[&str]) -> Result<()> {
        let log = std::fs::File::create(self.data.join(format!("{name}.log")))?;
        let mut node = Command::new(&self.program);
        node.args(arguments).args(["--gateway", &self.host.address.to_string()]);
        node.args(["--gateway-id", &self.host.id.to_string(), "--until-stdin-closes", "--data"]);
        node.arg(self.data.join(name)).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let process = node.kill_on_drop(true).spawn();
        let mut process =
            process.with_context(|| format!("cannot start {}", self.program.display()))?;
        let stdin = process.stdin.take();
        self.nodes.push(Node { name: name.to_owned(), process, stdin });
        Ok(())
    }

    async fn gather(mut self, names: &[&str]) -> Result<Swarm> {
        let members = tokio::select! {
            members = self.host.gather(names, START) => members,
            name = first_end(&mut self.nodes) => Err(self.end_reason(&name)),
        };
        let members = members.with_context(|| {
            format!("not all members were admitted; their logs are in {}", self.data.display())
        })?;
        Ok(Swarm { members, _host: self.host, nodes: self.nodes })
    }

    /// The last line of the node's log.
    fn end_reason(&self, name: &str) -> anyhow::Error {
        let log = std::fs::read_to_string(self.data.join(format!("{name}.log")));
        let last = log.ok().and_then(|log| log.lines().last().map(str::to_owned));
        anyhow!("{name} ended: {}", last.as_deref().unwrap_or("its log is empty"))
    }
}

/// The name of the first node that ends.
async fn first_end(nodes: &mut [Node]) -> String {
    let ends = nodes.iter_mut().map(|node| {
        Box::pin(async {
            // An error of `wait` also means that there is no process.
            let _ = node.process.wait().await;
            node.name.clone()
        })
    });
    select_all(ends).await.0
}

impl Swarm {
    /// Ends all nodes and waits for them: they lock their folders until then, and the same nodes could not
    /// start again.
    pub async fn end(mut self) {
        let ends = self.nodes.iter_mut().map(async |node| {
            drop(node.stdin.take());
            if timeout(END, node.process.wait()).await.is_err() {
                let _ = node.process.kill().await;
            }
        });
        join_all(ends).await;
    }

    /// The member with this name.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let member = self.members.iter().find(|member| member.model.name == name);
        member.with_context(|| format!("there is no member {name}"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn launch<'a>(folder: &'a Path, script: &str) -> Launch<'a> {
        let program = folder.join("shoal-node");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&program, executable).expect("allowed");
        let host = Host::bind().expect("a socket");
        let mut launch = Launch { program, data: folder, host, nodes: Vec::new() };
        launch.start("alpha", &[]).expect("started");
        launch
    }

    #[tokio::test]
    async fn a_node_that_ends_is_reported_at_once_with_its_reason() {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = launch(folder.path(), "echo 'shoal-node: there are no such weights' >&2");
        let error = launch.gather(&["alpha"]).await.expect_err("no member");
        let text = format!("{error:#}");
        assert!(text.contains("alpha ended: shoal-node: there are no such weights"), "{text}");
    }

    #[tokio::test]
    async fn waiting_for_nodes_does_not_end_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let launch = launch(folder.path(), "read line; echo 'input closed' >&2");
        let result = timeout(Duration::from_millis(300), launch.gather(&["alpha"])).await;
        assert!(result.is_err(), "it ended: {result:?}");
    }
}
