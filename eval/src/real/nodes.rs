//! The processes behind the members. They end when this one does: each holds its standard input.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use tokio::process::{Child, Command};

use super::host::{Host, Member};

/// Reading a gigabyte of weights on a busy machine, and packing them.
const START: Duration = Duration::from_secs(1_200);

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
    _nodes: Vec<Child>,
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
    nodes: Vec<Child>,
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
        let node = node.kill_on_drop(true).spawn();
        self.nodes.push(node.with_context(|| format!("cannot start {}", self.program.display()))?);
        Ok(())
    }

    async fn gather(mut self, names: &[&str]) -> Result<Swarm> {
        let members = self.host.gather(names, START).await.with_context(|| {
            format!("not all members came; their logs are in {}", self.data.display())
        })?;
        Ok(Swarm { members, _host: self.host, _nodes: self.nodes })
    }
}

impl Swarm {
    /// # Errors
    /// When nobody has this name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let found = self.members.iter().find(|member| member.model.name == name);
        found.with_context(|| format!("there is no member {name}"))
    }
}
