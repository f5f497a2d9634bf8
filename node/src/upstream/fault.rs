//! What an endpoint's refusal means for the swarm. Its own words may repeat the prompt, so they
//! are shown to the node's owner at start and never sent on.

use std::fmt;

use async_openai::error::OpenAIError;
use serde_json::Value;
use shoal_proto::generate::Fault;

use shoal_engine::EngineError;

/// An error as the endpoint said it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: Option<u16>,
    /// Its `code` or `type`, whichever is a word.
    kind: String,
    pub(super) message: String,
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
    /// `code`, a plain string, nothing.
    pub(super) fn read(status: Option<u16>, error: &Value) -> Self {
        let word = |key| error.get(key).and_then(Value::as_str);
        let number = |key| error.get(key).and_then(Value::as_u64);
        let code = number("code").and_then(|code| u16::try_from(code).ok());
        let message = error.as_str().or_else(|| word("message")).unwrap_or_default();
        Self {
            status: status.or(code),
            kind: word("code").or_else(|| word("type")).unwrap_or_default().to_owned(),
            message: message.to_owned(),
            context: number("n_ctx").and_then(|n| u32::try_from(n).ok()).or_else(|| limit(message)),
        }
    }

    /// Reads the whole body of a refusal, JSON or not.
    pub(super) fn body(status: u16, body: &[u8]) -> Self {
        match serde_json::from_slice::<Value>(body) {
            Ok(json) => Self::read(Some(status), json.get("error").unwrap_or(&json)),
            Err(_) => Self { status: Some(status), ..Self::new(&String::from_utf8_lossy(body)) },
        }
    }

    /// What the swarm is told.
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

    fn is_too_long(&self) -> bool {
        let kinds = ["context_length_exceeded", "exceed_context_size_error"];
        let words = ["maximum context length", "exceeds the available context", "context window"];
        let message = self.message.to_lowercase();
        kinds.contains(&self.kind.as_str()) || words.iter().any(|words| message.contains(words))
    }
}

/// `This model's maximum context length is 4096 tokens`, in OpenAI's and vLLM's words.
fn limit(message: &str) -> Option<u32> {
    let (_, after) = message.split_once("maximum context length is ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// What went wrong between here and the endpoint.
pub(super) fn of(error: OpenAIError, context: u32) -> EngineError {
    match error {
        OpenAIError::Boxed(error) => match error.downcast::<Refusal>() {
            Ok(refusal) => refusal.fault(context),
            Err(_) => engine_fault("the upstream failed"),
        },
        OpenAIError::Reqwest(error) if error.is_connect() => {
            engine_fault("the upstream cannot be reached")
        }
        OpenAIError::Reqwest(error) if error.is_timeout() => {
            engine_fault("the upstream fell silent")
        }
        OpenAIError::JSONDeserialize(..) => {
            engine_fault("the upstream sent something that is not JSON")
        }
        OpenAIError::StreamError(_) | OpenAIError::Reqwest(_) => {
            engine_fault("the upstream broke off")
        }
        _ => engine_fault("the upstream failed"),
    }
}

fn engine_fault(why: &str) -> EngineError {
    EngineError::new(Fault::Engine, why)
}
