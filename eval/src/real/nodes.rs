//! The processes behind the members. They end when this one does: each holds its standard input.

use std::{path::Path, process::Stdio, time::Duration};

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
    let program = std::env::current_exe()?.with_file_name("shoal-node");
    if !program.is_file() {
        bail!("{} is missing: build it with `make build`", program.display());
    }
    std::fs::create_dir_all(data)?;
    let mut host = Host::bind()?;
    let mut nodes = Vec::new();
    let mut begin = |name: &str, arguments: &[&str]| {
        let log = std::fs::File::create(data.join(format!("{name}.log")))?;
        let mut node = Command::new(&program);
        node.args(arguments).args(["--gateway", &host.address.to_string()]);
        node.args(["--gateway-id", &host.id.to_string(), "--until-stdin-closes", "--data"]);
        node.arg(data.join(name)).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log);
        let node = node.kill_on_drop(true).spawn();
        nodes.push(node.with_context(|| format!("cannot start {}", program.display()))?);
        anyhow::Ok(())
    };
    for (name, settings) in SETTINGS {
        let file = data.join(format!("{name}.toml"));
        std::fs::write(&file, settings)?;
        begin(name, &["--config", &file.to_string_lossy()])?;
    }
    for name in SPECIALISTS {
        begin(name, &["--model", &format!("bundled:{name}")])?;
    }
    let names: Vec<&str> = WRITERS.into_iter().chain([JUDGE]).chain(SPECIALISTS).collect();
    let members = host.gather(&names, START).await.with_context(|| {
        format!(
            "not all members came; their logs are in {} (models: `shoal-node pull \
             qwen2.5-coder-1.5b`, `shoal-node pull smollm2-135m`)",
            data.display()
        )
    })?;
    Ok(Swarm { members, _host: host, _nodes: nodes })
}

impl Swarm {
    /// # Errors
    /// When nobody has this name.
    pub fn member(&self, name: &str) -> Result<&Member> {
        let found = self.members.iter().find(|member| member.model.name == name);
        found.with_context(|| format!("there is no member {name}"))
    }
}
