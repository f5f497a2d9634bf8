//! Waits for the swarm to be ready, and says how to use it.

use std::{collections::BTreeSet, path::Path, time::Duration};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use crate::{Options, members::Member};

/// How often the gateway is asked for its members.
const LOOK: Duration = Duration::from_millis(300);

/// The file in the gateway's data folder that says where it listens.
const ADDRESSES: &str = "addresses.json";

/// What the gateway writes into its data folder once it listens.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Addresses {
    pub(crate) http: String,
    pub(crate) quic: String,
    /// Its key, which our nodes pin.
    pub(crate) id: String,
}

/// A gateway that listens.
#[derive(Debug)]
pub(crate) struct Gateway {
    client: reqwest::Client,
    pub(crate) addresses: Addresses,
}

impl Gateway {
    /// Removes the file of an earlier gateway, which would be mistaken for that of the new one.
    pub(crate) fn forget(data: &Path) {
        let _ = std::fs::remove_file(data.join(ADDRESSES));
    }

    /// Waits until the gateway has written where it listens.
    pub(crate) async fn wait_for(data: &Path, limit: Duration) -> Result<Self> {
        let file = data.join(ADDRESSES);
        let poll = async {
            loop {
                let addresses =
                    std::fs::read(&file).ok().and_then(|b| serde_json::from_slice(&b).ok());
                match addresses {
                    Some(addresses) => return addresses,
                    None => tokio::time::sleep(LOOK).await,
                }
            }
        };
        let addresses = tokio::time::timeout(limit, poll)
            .await
            .map_err(|_| anyhow!("the gateway did not start in {} s", limit.as_secs()))?;
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build()?;
        Ok(Self { client, addresses })
    }

    pub(crate) fn base(&self) -> String {
        format!("http://{}", self.addresses.http)
    }

    /// Waits until all of `members` have joined, and shows which have.
    pub(crate) async fn wait_for_members(
        &self,
        members: &[Member],
        bar: &ProgressBar,
        limit: Duration,
    ) -> Result<()> {
        let mut absent: BTreeSet<&str> =
            members.iter().map(|member| member.name.as_str()).collect();
        let come = async {
            while !absent.is_empty() {
                let here = self.models().await.unwrap_or_default();
                absent.retain(|name| !here.iter().any(|model| model == name));
                bar.set_position((members.len() - absent.len()) as u64);
                bar.set_message(absent.iter().copied().collect::<Vec<_>>().join(", "));
                tokio::time::sleep(LOOK).await;
            }
        };
        let came = tokio::time::timeout(limit, come).await;
        came.map_err(|_| anyhow!("{absent:?} not admitted in {} s", limit.as_secs()))
    }

    /// Names of the models that can be asked for now.
    async fn models(&self) -> Result<Vec<String>> {
        let reply = self.client.get(format!("{}/v1/models", self.base())).send().await?;
        let body: Value = reply.error_for_status()?.json().await?;
        let data = body.get("data").and_then(Value::as_array).context("no data")?;
        Ok(data.iter().filter_map(|m| m.get("id")?.as_str().map(str::to_owned)).collect())
    }
}

/// A progress bar over the nodes; hidden when the output is not a terminal.
pub(crate) fn progress(nodes: usize) -> ProgressBar {
    let style = ProgressStyle::with_template(
        "admitting nodes {bar:24} {pos}/{len}  {elapsed}  waiting for {wide_msg}",
    );
    let bar = ProgressBar::new(nodes as u64);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What a newcomer needs next.
pub(crate) fn summary(options: &Options, members: &[Member], gateway: &Gateway) -> String {
    let nodes: String = members.iter().map(|member| format!("    {}\n", member.name)).collect();
    format!(
        "\nThe swarm is ready.\n  API      {base}/v1\n  metrics  {base}/metrics\n  \
         QUIC     {quic} (nodes dial in here)\n  nodes\n{nodes}\nTry:\n  \
         curl -s {base}/v1/chat/completions -H 'content-type: application/json' \\\n    \
         -d '{{\"model\": \"shoal\", \"messages\": [{{\"role\": \"user\", \"content\": \"What is 47 + 385?\"}}]}}'\n\n\
         Ctrl-C ends all of it. Logs: {logs}\n",
        base = gateway.base(),
        quic = gateway.addresses.quic,
        logs = options.data.join("logs").display(),
    )
}
