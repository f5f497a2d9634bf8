//! Settings of the HTTP side.

use std::{net::SocketAddr, time::Duration};

use shoal_proto::Secret;

/// The section `[http]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Threads that read requests and write answers. Rounds run elsewhere.
    pub workers: usize,
    /// Maximum of concurrent requests; more are refused with 429.
    pub requests_max: usize,
    /// Without keys and beyond loopback: anybody who reaches the address may use the swarm.
    pub open: bool,
    /// Names by which clients reach the gateway, beside addresses and `localhost`. A request to another
    /// name is refused while the gateway listens on loopback, or if there are names here.
    pub hosts: Vec<String>,
    /// Whether `/metrics` needs a key.
    pub metrics_need_key: bool,
    /// API keys that are accepted; empty: any key and no key. The environment (`SHOAL_API_KEYS`) is a
    /// better place for them than a file.
    pub keys: Vec<Secret>,
    /// Requests per minute for each key, or without keys for all clients together; 0: no limit.
    pub requests_per_minute: u64,
    /// Tokens per minute, prompts and answers together; 0: no limit.
    pub tokens_per_minute: u64,
    /// Maximum size of a request's body in bytes.
    pub body_bytes_max: usize,
    /// Bytes of bodies that all running requests may hold together.
    pub bodies_bytes_max: usize,
    /// Milliseconds that a body may take to arrive.
    pub body_ms_max: u64,
    /// Bytes per second that a body must have on average, after its first ten seconds; 0: no minimum.
    pub body_bytes_per_second_min: u64,
    /// Milliseconds after which a connection is closed whose client does not take what is sent to it. It
    /// needs Linux.
    pub send_ms_max: u64,
    /// Milliseconds of silence on a stream after which a comment keeps the connection alive.
    pub keep_alive_ms: u64,
    /// Origins whose pages may call the API from a browser; `*`: any, empty: none.
    pub cors_origins: Vec<String>,
    /// Bytes of round transcripts kept in memory; the key that has most loses its oldest first.
    pub transcript_bytes_max: usize,
    /// Bytes of responses (`/v1/responses`) kept in memory; the key that has most loses its oldest first.
    pub response_bytes_max: usize,
    /// Seconds that a response is kept.
    pub response_seconds_max: u64,
    /// Bytes of conversations (`/v1/conversations`) kept in memory; the key that has most loses first the one that
    /// it has not changed for longest.
    pub conversation_bytes_max: usize,
    /// Bytes of answers kept for repeated requests; 0: none are kept.
    pub cache_bytes_max: usize,
    /// Seconds that an answer is kept for repeated requests.
    pub cache_seconds_max: u64,
    /// Maximum of concurrent background responses.
    pub background_max: usize,
    /// Milliseconds that requests have to finish when the gateway stops.
    pub drain_ms_max: u64,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            workers: 2,
            requests_max: 1024,
            open: false,
            hosts: Vec::new(),
            metrics_need_key: false,
            keys: Vec::new(),
            requests_per_minute: 0,
            tokens_per_minute: 0,
            body_bytes_max: 26_214_400,
            bodies_bytes_max: 256 * 1024 * 1024,
            body_ms_max: 120_000,
            body_bytes_per_second_min: 4_096,
            send_ms_max: 30_000,
            keep_alive_ms: 10_000,
            cors_origins: Vec::new(),
            transcript_bytes_max: 64 * 1024 * 1024,
            response_bytes_max: 64 * 1024 * 1024,
            response_seconds_max: 24 * 60 * 60,
            conversation_bytes_max: 64 * 1024 * 1024,
            cache_bytes_max: 0,
            cache_seconds_max: 60 * 60,
            background_max: 64,
            drain_ms_max: 30_000,
        }
    }
}

impl HttpConfig {
    /// Time between two comments on a silent stream.
    pub(super) fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms)
    }

    /// Checks the values.
    ///
    /// # Errors
    /// Names the invalid key and says which values are valid.
    pub fn check(&self) -> Result<(), String> {
        if self.workers == 0 {
            return Err("workers is 0: give at least 1".into());
        }
        if self.requests_max == 0 {
            return Err("requests_max is 0: no request would be accepted; give at least 1".into());
        }
        if self.keep_alive_ms == 0 {
            return Err("keep_alive_ms is 0: give at least 1".into());
        }
        if self.body_bytes_max == 0 {
            return Err("body_bytes_max is 0: no request would be accepted; give at least 1".into());
        }
        if self.bodies_bytes_max < self.body_bytes_max.saturating_mul(3) {
            return Err(format!(
                "bodies_bytes_max is {}: give at least three times body_bytes_max ({}), because a compressed body \
                 is held beside the decoded one, and a quarter stays free for other keys",
                self.bodies_bytes_max, self.body_bytes_max
            ));
        }
        if self.body_ms_max == 0 || self.send_ms_max == 0 {
            return Err("body_ms_max or send_ms_max is 0: give at least 1".into());
        }
        self.check_access()
    }

    /// A setting that protects the gateway never falls back to open: a key that nobody can send is an
    /// error, and so is an address that everybody can reach without a key.
    fn check_access(&self) -> Result<(), String> {
        if !self.keys.iter().all(is_usable) {
            return Err(
                "keys contains a key that is empty, or has characters that no header can carry: \
                        give each key visible ASCII characters"
                    .into(),
            );
        }
        if self.is_open() && !self.open {
            return Err(format!(
                "listen is {}: anybody who reaches it could use the swarm. Give keys (http.keys or \
                 SHOAL_API_KEYS), or set http.open = true (--open, SHOAL_OPEN=true)",
                self.listen
            ));
        }
        if self.metrics_need_key && self.keys.is_empty() {
            return Err("metrics_need_key is true, but there are no keys: give http.keys".into());
        }
        match self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(format!(
                "cors_origins has '{origin}': give a scheme, a host and no path, as \
                 https://app.example.com, or '*'"
            )),
            None => Ok(()),
        }
    }

    /// Whether other machines can reach the API without a key.
    pub(crate) fn is_open(&self) -> bool {
        self.keys.is_empty() && !self.listen.ip().to_canonical().is_loopback()
    }

    /// Whether clients that do not know each other may count as one owner: without keys, on a gateway that
    /// others reach by its address, by a name (through a proxy) or from pages of other origins.
    pub(crate) fn has_strangers(&self) -> bool {
        let is_private = self.hosts.is_empty() && self.cors_origins.is_empty();
        self.is_open() || (self.keys.is_empty() && !is_private)
    }
}

/// Whether a client can send the key in a header.
fn is_usable(key: &Secret) -> bool {
    let text = key.expose().unwrap_or_default();
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_origin(origin: &str) -> bool {
    origin == "*" || origin.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'))
}
