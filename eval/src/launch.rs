//! Starts a swarm if none is running.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::{sleep, timeout},
};

use crate::api::Api;

/// Limit for the start: a swarm examines its members before it is ready, and may have to build caches.
const LIMIT: Duration = Duration::from_secs(600);

/// Interval of asking for the members.
const POLL: Duration = Duration::from_millis(200);

/// The part of a node's settings that is read here.
#[derive(Debug, Deserialize)]
struct NodeSettings {
    persona: Vec<Persona>,
}

#[derive(Debug, Deserialize)]
struct Persona {
    name: String,
}

/// Limit for an orderly end of the swarm.
const END: Duration = Duration::from_secs(15);

/// A swarm that this program started; it ends when this value is dropped.
#[derive(Debug)]
pub struct OwnSwarm {
    child: Child,
    /// `http://host:port` of its gateway.
    pub base: String,
    /// The address that nodes connect to.
    quic: String,
    /// Nodes in addition to those of the launcher. Each ends when its standard input closes.
    extra_nodes: Vec<Child>,
}

/// Starts `shoal-swarm` from the folder of this program and waits until it reports that it is ready.
///
/// # Errors
/// If it is missing, ends early or takes too long.
pub async fn start() -> Result<OwnSwarm> {
    let path = sibling_program("shoal-swarm")?;
    let mut child = Command::new(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    let output = child.stdout.take().context("no output of shoal-swarm")?;
    let mut lines = BufReader::new(output).lines();
    let ready = async {
        let mut base = None;
        while let Some(line) = lines.next_line().await? {
            base = base.or_else(|| base_of(&line));
            if let (Some(base), Some(quic)) = (&base, quic_of(&line)) {
                return Ok((base.clone(), quic));
            }
        }
        Err(anyhow!("shoal-swarm ended before it was ready"))
    };
    let (base, quic) = timeout(LIMIT, ready)
        .await
        .map_err(|_| anyhow!("shoal-swarm was not ready in {} s", LIMIT.as_secs()))??;
    Ok(OwnSwarm { child, base, quic, extra_nodes: Vec::new() })
}

fn sibling_program(program: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    if !path.is_file() {
        bail!("{} is absent: build it with `make build`", path.display());
    }
    Ok(path)
}

/// The address in the launcher's line `  API      http://127.0.0.1:8080/v1`.
fn base_of(line: &str) -> Option<String> {
    let address = line.trim().strip_prefix("API")?.trim();
    Some(address.strip_suffix("/v1").filter(|base| base.starts_with("http"))?.to_owned())
}

/// The address in the launcher's line `  QUIC     127.0.0.1:8443 (nodes dial in here)`.
fn quic_of(line: &str) -> Option<String> {
    let address = line.trim().strip_prefix("QUIC")?.split_whitespace().next()?;
    address.contains(':').then(|| address.to_owned())
}

impl OwnSwarm {
    /// Starts a node for each settings file, with keys and log under `data`, and waits until all
    /// members are admitted.
    ///
    /// # Errors
    /// If a node cannot be started, ends, or is not admitted in time.
    pub async fn join(&mut self, settings: &[PathBuf], data: &Path) -> Result<()> {
        let program = sibling_program("shoal-node")?;
        let mut absent = Vec::new();
        std::fs::create_dir_all(data)?;
        for file in settings {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let settings: NodeSettings =
                toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
            absent.extend(settings.persona.into_iter().map(|persona| persona.name));
            let label = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let log = std::fs::File::create(data.join(format!("{label}.log")))?;
            let mut node = Command::new(&program);
            node.arg("--config").arg(file).args(["--gateway", &self.quic]);
            node.arg("--until-stdin-closes").arg("--data").arg(data.join(label));
            node.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
            let node = node.spawn();
            self.extra_nodes
                .push(node.with_context(|| format!("cannot start {}", program.display()))?);
        }
        let api = Api::new(&self.base)?;
        let admission = async {
            while !absent.is_empty() {
                let members = api.members().await?;
                absent.retain(|name| !members.contains(name));
                sleep(POLL).await;
            }
            anyhow::Ok(())
        };
        timeout(LIMIT, admission).await.with_context(|| {
            format!("not all members were admitted; their logs are in {}", data.display())
        })?
    }

    /// Sends SIGTERM and waits; a process that does not end in time is killed.
    pub async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            let signal = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            if signal.is_ok_and(|status| status.success())
                && timeout(END, self.child.wait()).await.is_ok()
            {
                return;
            }
        }
        let _ = self.child.kill().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_launchers_address_is_understood() {
        let base = base_of("  API      http://127.0.0.1:8080/v1");
        assert_eq!(base.as_deref(), Some("http://127.0.0.1:8080"));
        assert_eq!(base_of("The swarm is ready."), None);
        assert_eq!(base_of("  metrics  http://127.0.0.1:8080/metrics"), None);
        let quic = quic_of("  QUIC     127.0.0.1:8443 (nodes dial in here)");
        assert_eq!(quic.as_deref(), Some("127.0.0.1:8443"));
        assert_eq!(quic_of("  nodes"), None);
    }

    #[test]
    fn the_personas_of_make_eval_are_named() {
        for settings in [
            include_str!("../everybody/calendar.toml"),
            include_str!("../everybody/order.toml"),
            include_str!("../everybody/story.toml"),
        ] {
            let settings: NodeSettings = toml::from_str(settings).unwrap();
            assert_eq!(settings.persona.len(), 1);
        }
    }
}
