//! What an endpoint's refusal means for the swarm. Its own words may repeat the prompt, so they
//! are shown to the node's owner at start and never sent on.

use std::fmt;

use serde_json::Value;
use shoal_engine::EngineError;
use shoal_proto::generate::Fault;

/// Most bytes of a refusal that are read: some endpoints put the whole request into it.
const MESSAGE_MAX: usize = 4096;

/// Why an upstream cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("{url:?} is not the URL of an endpoint: {why}")]
    Url { url: String, why: String },
    #[error("the upstream's key has characters that a header cannot have")]
    Key,
    #[error("no HTTP client can be made: {0}")]
    Client(String),
    #[error("cannot reach {url}: {why}")]
    Unreachable { url: String, why: String },
    #[error(
        "{url} refuses the key ({status}): name the variable that holds it with --upstream-key-env"
    )]
    Unauthorized { url: String, status: u16 },
    #[error("{url} does not serve {model}: {why}")]
    Model { url: String, model: String, why: String },
}

/// Why a request to an endpoint has no answer.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum CallError {
    /// The endpoint refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no connection; the innermost cause, such as `Connection refused`.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// No byte came in time.
    #[error("sent nothing for too long")]
    Silent,
    /// The connection or the answer ended early.
    #[error("ended the answer early")]
    BrokenOff,
    /// The answer is not JSON.
    #[error("sent something that is not JSON")]
    NotJson,
}

impl From<reqwest::Error> for CallError {
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Silent
        } else if error.is_connect() {
            Self::Unreachable(innermost(&error))
        } else {
            Self::BrokenOff
        }
    }
}

/// The innermost cause: `connection refused` rather than `error sending request`.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

impl CallError {
    /// The error for the swarm. `context` is that of the endpoint's model.
    pub(super) fn fault(&self, context: u32) -> EngineError {
        let why = match self {
            Self::Refused(refusal) => return refusal.fault(context),
            Self::Unreachable(_) => "the upstream cannot be reached",
            Self::Silent => "the upstream sent nothing for too long",
            Self::BrokenOff => "the upstream ended the answer early",
            Self::NotJson => "the upstream sent something that is not JSON",
        };
        EngineError::new(Fault::Engine, why)
    }

    /// Whether the endpoint serves: it took the request and its model thought longer than the limit, or
    /// it streams to whoever asks for a whole answer.
    pub(super) fn is_an_answer(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.is_out_of_tokens(),
            Self::NotJson => true,
            _ => false,
        }
    }

    /// The refusal, if the endpoint answered at all.
    pub(super) fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }
}

/// An error as the endpoint reported it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The HTTP status, or the number that stands in its place.
    pub(super) status: Option<u16>,
    /// Its `code` or `type`, whichever is a word.
    kind: String,
    pub(super) message: String,
    /// The fields of the request that it names apart from its message: `param`, `loc`.
    pub(super) fields: Vec<String>,
    /// Tokens of context, where it says.
    context: Option<u32>,
}

impl std::error::Error for Refusal {}

impl fmt::Display for Refusal {
    /// For the node's owner.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(status) = self.status {
            write!(f, "{status} ")?;
        }
        let words: String = self.message.chars().take(300).collect();
        f.write_str(words.lines().next().unwrap_or_default().trim())
    }
}

impl Refusal {
    pub(super) fn new(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }

    /// Reads the `error` member of a body, or what stands in its place: an object with an integer
    /// `code`, a plain string, a list of faults (FastAPI's `detail`), nothing.
    pub(super) fn read(status: Option<u16>, error: &Value) -> Self {
        let word = |key| error.get(key).and_then(Value::as_str);
        let number = |key| error.get(key).and_then(Value::as_u64);
        let code = number("code").or_else(|| number("status"));
        let code = code.and_then(|code| u16::try_from(code).ok());
        let (mut message, mut fields) = (String::new(), Vec::new());
        gather(error, &mut message, &mut fields, 0);
        Self {
            status: status.or(code),
            kind: word("code").or_else(|| word("type")).unwrap_or_default().to_owned(),
            context: number("n_ctx")
                .and_then(|n| u32::try_from(n).ok())
                .or_else(|| limit(&message)),
            message,
            fields,
        }
    }

    /// Reads the whole body of a refusal, JSON or not.
    pub(super) fn body(status: u16, body: &[u8]) -> Self {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        match serde_json::from_slice::<Value>(body) {
            Ok(json) => Self::read(Some(status), error_in(&json).unwrap_or(&json)),
            Err(_) => Self { status: Some(status), ..Self::new(&String::from_utf8_lossy(body)) },
        }
    }

    /// The error for the swarm.
    pub(super) fn fault(&self, context: u32) -> EngineError {
        if self.is_too_long() {
            let limit = self.context.unwrap_or(context);
            return EngineError::context_length(limit);
        }
        let (fault, why) = match self.status {
            Some(401 | 403) => (Fault::Engine, "the upstream refuses this node's key"),
            Some(404) => (Fault::Engine, "the upstream does not know the model"),
            Some(408 | 429 | 503) => (Fault::Busy, "the upstream is busy"),
            Some(400 | 413 | 422) => (Fault::BadRequest, "the upstream refuses the request"),
            _ => (Fault::Engine, "the upstream failed"),
        };
        match self.status {
            Some(status) => EngineError::new(fault, format!("{why} ({status})")),
            None => EngineError::new(fault, why),
        }
    }

    pub(super) fn is_too_long(&self) -> bool {
        let kinds = ["context_length_exceeded", "exceed_context_size_error"];
        let words = ["maximum context length", "exceeds the available context", "context window"];
        let message = self.message.to_lowercase();
        kinds.contains(&self.kind.as_str()) || words.iter().any(|words| message.contains(words))
    }

    /// Whether the model thought longer than the limit: an answer of one token is none from a model that
    /// reasons first.
    fn is_out_of_tokens(&self) -> bool {
        self.message.to_lowercase().contains("could not finish the message")
    }
}

/// The error in a body that is one: `{"error": ..}`, `{"detail": ..}`, `{"object": "error", ..}`, a list
/// whose first entry is one, a message without an answer beside it.
pub(super) fn error_in(body: &Value) -> Option<&Value> {
    if let Some(entries) = body.as_array() {
        return entries.first().and_then(error_in);
    }
    if let Some(error) = body.get("error").filter(|error| !error.is_null() && **error != false) {
        return Some(error);
    }
    if body.get("choices").is_some() || body.get("data").is_some() {
        return None;
    }
    let is_error = body.get("object").is_some_and(|kind| kind == "error")
        || body.get("type").is_some_and(|kind| kind == "error")
        || ["detail", "errors"]
            .iter()
            .any(|key| body.get(key).is_some_and(|value| !value.is_null()))
        || (body.get("message").is_some_and(Value::is_string) && body.get("usage").is_none());
    is_error.then_some(body)
}

/// Collects the texts of an error for people, and the fields of the request that it names.
fn gather(error: &Value, message: &mut String, fields: &mut Vec<String>, depth: usize) {
    const DEPTH_MAX: usize = 4;
    if depth > DEPTH_MAX || message.len() > MESSAGE_MAX {
        return;
    }
    match error {
        Value::String(text) => {
            let gap = if message.is_empty() { "" } else { "; " };
            message.push_str(gap);
            message.extend(text.chars().take(MESSAGE_MAX));
        }
        Value::Array(faults) => {
            faults.iter().for_each(|fault| gather(fault, message, fields, depth + 1));
        }
        Value::Object(entry) => {
            fields.extend(entry.get("param").and_then(Value::as_str).map(str::to_owned));
            let path = entry.get("loc").and_then(Value::as_array).into_iter().flatten();
            let path: Vec<&str> = path.filter_map(Value::as_str).collect();
            if !path.is_empty() {
                fields.push(path.join("."));
            }
            for key in ["message", "msg", "detail", "details", "errors", "error"] {
                if let Some(inner) = entry.get(key) {
                    gather(inner, message, fields, depth + 1);
                }
            }
        }
        _ => {}
    }
}

/// `This model's maximum context length is 4096 tokens`, in OpenAI's and vLLM's words.
fn limit(message: &str) -> Option<u32> {
    let (_, after) = message.split_once("maximum context length is ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
