//! Starts a swarm of its own when none is running.

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

/// A swarm examines its members before it is ready, and may have to build caches.
const LIMIT: Duration = Duration::from_secs(600);

/// Between two looks at who is in.
const LOOK: Duration = Duration::from_millis(200);

/// What is read here of a node's settings.
#[derive(Debug, Deserialize)]
struct Named {
    persona: Vec<Persona>,
}

#[derive(Debug, Deserialize)]
struct Persona {
    name: String,
}

/// How long a swarm may take to end in order.
const END: Duration = Duration::from_secs(15);

/// A swarm that ends with this value.
#[derive(Debug)]
pub struct OwnSwarm {
    child: Child,
    /// `http://host:port` of its gateway.
    pub base: String,
    /// Where nodes dial in.
    quic: String,
    /// Nodes beside those that the launcher started. Each ends when its standard input closes.
    joined: Vec<Child>,
}

/// Starts `shoal-swarm` from the folder of this program and waits until it says it is ready.
///
/// # Errors
/// When it is not there, ends early or takes too long.
pub async fn start() -> Result<OwnSwarm> {
    let path = beside_this_one("shoal-swarm")?;
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
    Ok(OwnSwarm { child, base, quic, joined: Vec::new() })
}

fn beside_this_one(program: &str) -> Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(program);
    if !path.is_file() {
        bail!("{} is missing: build it with `make build`", path.display());
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
    /// Starts a node with these settings for each file, its keys and log under `data`, and waits
    /// until all its members are in.
    ///
    /// # Errors
    /// When one cannot be started, ends, or is not admitted in time.
    pub async fn join(&mut self, settings: &[PathBuf], data: &Path) -> Result<()> {
        let program = beside_this_one("shoal-node")?;
        let mut wanted = Vec::new();
        std::fs::create_dir_all(data)?;
        for file in settings {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let named: Named =
                toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
            wanted.extend(named.persona.into_iter().map(|one| one.name));
            let label = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let log = std::fs::File::create(data.join(format!("{label}.log")))?;
            let mut node = Command::new(&program);
            node.arg("--config").arg(file).args(["--gateway", &self.quic]);
            node.arg("--until-stdin-closes").arg("--data").arg(data.join(label));
            node.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(log).kill_on_drop(true);
            let node = node.spawn();
            self.joined.push(node.with_context(|| format!("cannot start {}", program.display()))?);
        }
        let api = Api::new(&self.base)?;
        let come = async {
            while !wanted.is_empty() {
                let here = api.members().await?;
                wanted.retain(|name| !here.contains(name));
                sleep(LOOK).await;
            }
            anyhow::Ok(())
        };
        let came = timeout(LIMIT, come).await;
        came.with_context(|| format!("not all came; their logs are in {}", data.display()))?
    }

    /// Asks it to end and waits; what does not end in time is killed.
    pub async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            if asked.is_ok_and(|status| status.success())
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
    fn the_kin_of_make_eval_are_named() {
        for settings in [
            include_str!("../everybody/calendar.toml"),
            include_str!("../everybody/order.toml"),
            include_str!("../everybody/story.toml"),
        ] {
            let named: Named = toml::from_str(settings).unwrap();
            assert_eq!(named.persona.len(), 1);
        }
    }
}
