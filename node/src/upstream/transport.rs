//! The HTTP client of one endpoint. It never repeats a request by itself, limits every body, and keeps
//! the text of a refusal.

use std::time::Duration;

use reqwest::Response;
use serde_json::Value;
use tokio::time::timeout;

use super::{
    Settings,
    fault::{CallError, ConnectError, Refusal, error_in},
};

/// The name must resolve and the port must answer.
const CONNECT: Duration = Duration::from_secs(5);

/// A model may have to be loaded first.
pub(super) const FIRST_BYTE: Duration = Duration::from_secs(60);

/// All of one answer; about 300 bytes of JSON around each token of a very long one.
pub(super) const BODY_MAX: usize = 16 << 20;

/// A refusal is a few lines.
const REFUSAL_MAX: usize = 64 << 10;

/// The HTTP client of one endpoint.
#[derive(Debug)]
pub(super) struct Transport {
    http: reqwest::Client,
    /// Without a last slash.
    base: String,
    key: String,
}

impl Transport {
    /// A client for the settings' endpoint.
    ///
    /// # Errors
    /// When the URL or the key cannot be used.
    pub(super) fn new(settings: &Settings) -> Result<Self, ConnectError> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT).build();
        Ok(Self {
            http: http.map_err(|error| ConnectError::Client(error.to_string()))?,
            base: base(&settings.url)?,
            key: key(settings.key.expose())?,
        })
    }

    /// The JSON at `path`.
    pub(super) async fn get(&self, path: &str) -> Result<Value, CallError> {
        let request = self.http.get(format!("{}{path}", self.base));
        let answer = async { read(self.send(request).await?, BODY_MAX).await };
        json(&timeout(FIRST_BYTE, answer).await.map_err(|_| CallError::Silent)??)
    }

    /// The JSON that answers `body`.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let answer = async { read(self.open(path, body).await?, BODY_MAX).await };
        json(&timeout(FIRST_BYTE, answer).await.map_err(|_| CallError::Silent)??)
    }

    /// The answer to `body`; only its head is read.
    pub(super) async fn open(&self, path: &str, body: &Value) -> Result<Response, CallError> {
        self.send(self.http.post(format!("{}{path}", self.base)).json(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Response, CallError> {
        let request = if self.key.is_empty() { request } else { request.bearer_auth(&self.key) };
        let response = timeout(FIRST_BYTE, request.send()).await;
        let response = response.map_err(|_| CallError::Silent)??;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status().as_u16();
        let body = timeout(FIRST_BYTE, read(response, REFUSAL_MAX)).await;
        let body = body.ok().and_then(Result::ok).unwrap_or_default();
        Err(Refusal::body(status, &body).into())
    }
}

/// A whole body of at most `bytes` bytes.
async fn read(mut response: Response, bytes: usize) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await? {
        if body.len() + part.len() > bytes {
            return Err(CallError::BrokenOff);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

/// A body as JSON; an error that came with the status of a success is a refusal.
fn json(body: &[u8]) -> Result<Value, CallError> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let json: Value = serde_json::from_slice(body).map_err(|_| CallError::NotJson)?;
    match error_in(&json) {
        Some(error) => Err(Refusal::read(None, error).into()),
        None => Ok(json),
    }
}

/// The base URL without a last slash; `/v1` where it has no path.
fn base(url: &str) -> Result<String, ConnectError> {
    let bad = |why: &str| ConnectError::Url { url: url.to_owned(), why: why.to_owned() };
    let base = reqwest::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        return Err(bad("it does not begin with http:// or https://"));
    }
    if base.path() == "/" {
        return Ok(format!("{}/v1", url.trim_end_matches('/')));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// The key without the whitespace around it, if a header can hold it.
fn key(key: Option<&str>) -> Result<String, ConnectError> {
    let key = key.unwrap_or_default().trim();
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(key.to_owned())
    } else {
        Err(ConnectError::Key)
    }
}
