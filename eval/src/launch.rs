//! Starts a swarm of its own when none is running.

use std::{process::Stdio, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// A swarm examines its members before it is ready, and may have to build caches.
const LIMIT: Duration = Duration::from_secs(600);

/// How long a swarm may take to end in order.
const END: Duration = Duration::from_secs(15);

/// A swarm that ends with this value.
#[derive(Debug)]
pub struct OwnSwarm {
    child: Child,
    /// `http://host:port` of its gateway.
    pub base: String,
}

/// Starts `shoal-swarm` from the folder of this program and waits until it says it is ready.
///
/// # Errors
/// When it is not there, ends early or takes too long.
pub async fn start() -> Result<OwnSwarm> {
    let path = std::env::current_exe()?.with_file_name("shoal-swarm");
    if !path.is_file() {
        bail!("{} is missing: build it with `make build`", path.display());
    }
    let mut child = Command::new(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", path.display()))?;
    let output = child.stdout.take().context("no output of shoal-swarm")?;
    let mut lines = BufReader::new(output).lines();
    let ready = async {
        while let Some(line) = lines.next_line().await? {
            if let Some(base) = base_of(&line) {
                return Ok(base);
            }
        }
        Err(anyhow!("shoal-swarm ended before it was ready"))
    };
    let base = timeout(LIMIT, ready)
        .await
        .map_err(|_| anyhow!("shoal-swarm was not ready in {} s", LIMIT.as_secs()))??;
    Ok(OwnSwarm { child, base })
}

/// The address in the launcher's line `  API      http://127.0.0.1:8080/v1`.
fn base_of(line: &str) -> Option<String> {
    let address = line.trim().strip_prefix("API")?.trim();
    Some(address.strip_suffix("/v1").filter(|base| base.starts_with("http"))?.to_owned())
}

impl OwnSwarm {
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
    }
}
