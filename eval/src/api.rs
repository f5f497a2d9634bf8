//! A client of the gateway: OpenAI's API, and the transcript of a round.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use shoal_consensus::Mode;

use crate::record::Round;

/// A gateway's API.
#[derive(Clone, Debug)]
pub struct Api {
    client: reqwest::Client,
    /// `http://host:port`, without `/v1`.
    base: String,
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub struct Reply {
    pub text: String,
    pub round: Option<Round>,
}

/// An answer, and what it took.
#[derive(Clone, Debug)]
pub struct Completion {
    pub text: String,
    /// P(right) that the answer carries.
    pub confidence: Option<f64>,
    /// Tokens that were read and written by all members together.
    pub tokens: u64,
    /// The transcript of the round, if it was one.
    pub transcript: Option<Value>,
}

/// How much work a question asks of the swarm.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub writers: usize,
    pub judges: usize,
    pub deadline_ms: u64,
    /// Members answer at temperatures of their own; otherwise at 0.
    pub own_temperatures: bool,
}

impl Api {
    /// A client of the gateway at `base`, with or without `/v1`.
    ///
    /// # Errors
    /// If the machine's TLS set-up is broken.
    pub fn new(base: &str) -> Result<Self> {
        let client =
            reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(320)).build()?;
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        Ok(Self { client, base })
    }

    /// `http://host:port`, without `/v1`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Models of the members, without the swarm's own names.
    ///
    /// # Errors
    /// If no gateway answers there.
    pub async fn members(&self) -> Result<Vec<String>> {
        let url = format!("{}/v1/models", self.base);
        let reply = self.client.get(&url).send().await;
        let reply = reply.with_context(|| {
            format!(
                "no gateway answers at {}: start one with `make run`, or use --start",
                self.base
            )
        })?;
        let body: Value = reply.error_for_status()?.json().await?;
        let names = body.get("data").and_then(Value::as_array).into_iter().flatten();
        let mut names: Vec<String> = names
            .filter_map(|model| model.get("id")?.as_str().map(str::to_owned))
            .filter(|name| Mode::of_model(name).is_none())
            .collect();
        names.sort();
        names.dedup();
        Ok(names)
    }

    /// Digest of the weights of each member that shares its weights with another, by the hex of its key.
    ///
    /// # Errors
    /// If the gateway does not list its members.
    pub async fn shared_digests(&self) -> Result<BTreeMap<String, String>> {
        let nodes = self.get("/v1/nodes").await?;
        let ids = nodes.get("data").and_then(Value::as_array).into_iter().flatten();
        let mut digests = BTreeMap::new();
        for id in ids.filter_map(|node| node.get("id")?.as_str()) {
            let standing = self.get(&format!("/v1/nodes/{id}/standing?format=json")).await?;
            let digest = standing.pointer("/member/digest").and_then(Value::as_str);
            digests.extend(digest.map(|digest| (id.to_owned(), digest.to_owned())));
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for digest in digests.values() {
            *counts.entry(digest.clone()).or_default() += 1;
        }
        digests
            .retain(|_, digest| !digest.is_empty() && counts.get(digest).is_some_and(|n| *n > 1));
        Ok(digests)
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.base);
        let reply = self.client.get(&url).send().await?.error_for_status()?;
        reply.json().await.with_context(|| format!("cannot read the answer of {path}"))
    }

    /// Asks `model` and fetches the transcript.
    ///
    /// # Errors
    /// The gateway's message if it refuses, or the failure of the request.
    pub async fn ask(&self, model: &str, question: &str, effort: Effort) -> Result<Reply> {
        let mut body = json!({
            "model": model,
            "messages": [{ "role": "user", "content": question }],
            "shoal": {
                "writers": effort.writers,
                "judges": effort.judges,
                "deadline_ms": effort.deadline_ms,
            },
        });
        if !effort.own_temperatures
            && let Some(body) = body.as_object_mut()
        {
            body.insert("temperature".to_owned(), json!(0));
        }
        let url = format!("{}/v1/chat/completions", self.base);
        let reply = self.client.post(&url).json(&body).send().await?;
        let status = reply.status();
        let round = reply.headers().get("x-shoal-round").and_then(|id| id.to_str().ok());
        let round = round.map(str::to_owned);
        let body: Value = reply.json().await?;
        if !status.is_success() {
            let message = body.pointer("/error/message").and_then(Value::as_str).unwrap_or("");
            bail!("{status}: {message}");
        }
        let text = body.pointer("/choices/0/message/content").and_then(Value::as_str);
        let text = text.context("an answer without text")?.to_owned();
        let round = match round {
            Some(id) => Some(self.round(&id).await?),
            None => None,
        };
        Ok(Reply { text, round })
    }

    /// The answer of `model` at temperature 0, with the limits of an ordinary client. What the gateway refuses to
    /// answer is an answer without a text.
    ///
    /// # Errors
    /// If the gateway cannot be reached.
    pub async fn complete(&self, model: &str, question: &str, tokens: u32) -> Result<Completion> {
        let body = json!({
            "model": model,
            "messages": [{ "role": "user", "content": question }],
            "temperature": 0,
            "max_tokens": tokens,
        });
        let url = format!("{}/v1/chat/completions", self.base);
        let reply = self.client.post(&url).json(&body).send().await?;
        let header = |name: &str| Some(reply.headers().get(name)?.to_str().ok()?.to_owned());
        let confidence = header("x-shoal-confidence").and_then(|value| value.parse().ok());
        let round = header("x-shoal-round").filter(|_| Mode::of_model(model).is_some());
        let body: Value = reply.json().await?;
        let text = body.pointer("/choices/0/message/content").and_then(Value::as_str);
        let text = text.unwrap_or_default().to_owned();
        // The usage of a swarm's answer is what the client pays for; the transcript has all the work.
        let transcript = match round {
            Some(id) => Some(self.get(&format!("/v1/rounds/{id}")).await?),
            None => None,
        };
        let tokens = match &transcript {
            Some(transcript) => transcript
                .get("tokens")
                .and_then(Value::as_object)
                .map(|counts| counts.values().filter_map(Value::as_u64).sum()),
            None => body.pointer("/usage/total_tokens").and_then(Value::as_u64),
        };
        Ok(Completion { text, confidence, tokens: tokens.unwrap_or(0), transcript })
    }

    async fn round(&self, id: &str) -> Result<Round> {
        let url = format!("{}/v1/rounds/{id}", self.base);
        let reply = self.client.get(&url).send().await?.error_for_status()?;
        reply.json().await.with_context(|| format!("the transcript of round {id}"))
    }
}
