//! Settings of the HTTP side.

use std::{net::SocketAddr, time::Duration};

use shoal_proto::Secret;

/// The section `[http]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that read requests and write answers. Rounds run elsewhere.
    pub workers: usize,
    /// Most requests that are answered at the same time; more are refused with 429.
    pub requests_max: usize,
    /// Keys of those who may ask; none: everybody may, with any key. Better given in the environment
    /// (`SHOAL_API_KEYS`) than in a file.
    pub keys: Vec<Secret>,
    /// Requests that each key, or without keys all together, may make in a minute; 0: no limit.
    pub requests_per_minute: u64,
    /// The same for tokens, of prompts and answers together.
    pub tokens_per_minute: u64,
    /// Most bytes of a request's body.
    pub body_bytes_max: usize,
    /// Milliseconds of silence on a stream after which a comment shows that it lives.
    pub keep_alive_ms: u64,
    /// Origin that browsers may call from: `*` is any, empty is none.
    pub cors_origin: String,
    /// Bytes of round transcripts kept in memory; the oldest go first.
    pub transcript_bytes_max: usize,
    /// Bytes of responses (`/v1/responses`) kept in memory; the oldest go first.
    pub response_bytes_max: usize,
    /// Seconds that a response is kept.
    pub response_seconds_max: u64,
    /// Responses worked on in the background at the same time.
    pub background_max: usize,
    /// Milliseconds that requests get to finish when the gateway stops.
    pub drain_ms_max: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 2,
            requests_max: 1024,
            keys: Vec::new(),
            requests_per_minute: 0,
            tokens_per_minute: 0,
            body_bytes_max: 26_214_400,
            keep_alive_ms: 10_000,
            cors_origin: "*".into(),
            transcript_bytes_max: 64 * 1024 * 1024,
            response_bytes_max: 64 * 1024 * 1024,
            response_seconds_max: 24 * 60 * 60,
            background_max: 64,
            drain_ms_max: 30_000,
        }
    }
}

impl Config {
    /// Time between two signs of life on a silent stream.
    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }

    /// # Errors
    /// The key that makes no sense, and what would.
    pub fn check(&self) -> Result<(), String> {
        if self.workers == 0 {
            return Err("workers is 0: give at least 1".into());
        }
        if self.requests_max == 0 {
            return Err("requests_max is 0: nothing could be asked".into());
        }
        if self.keep_alive_ms == 0 {
            return Err("keep_alive_ms is 0: give at least 1".into());
        }
        if self.body_bytes_max == 0 {
            return Err("body_bytes_max is 0: nothing could be asked".into());
        }
        if self.keys.iter().any(|key| key.expose().is_none()) {
            return Err("keys has an empty one: give each key some characters, or no keys".into());
        }
        Ok(())
    }
}
