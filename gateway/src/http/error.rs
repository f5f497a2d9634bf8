//! Every failure as OpenAI's clients know it: the only file with a status code.
//!
//! SDKs choose their exception by status alone and send 408, 409, 429 and 5xx again by themselves,
//! so what the sender has to change is a plain 4xx, and what may work a moment later a 503.

use std::time::Duration;

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};
use serde::Serialize;

use super::rate::go;
use shoal_api::{AskError, Names};
use shoal_consensus::RoundError;

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The body asks for something that cannot be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Asked to write with a model that nobody here serves.
    #[error(
        "The model '{0}' does not exist or is not served here now: GET /v1/models lists what is."
    )]
    NoSuchModel(String),
    /// Asked to look at a model that nobody here serves.
    #[error(
        "The model '{0}' does not exist or is not served here now: GET /v1/models lists what is."
    )]
    NotAModel(String),
    #[error("No round '{0}' is kept here: only the newest are, and not across restarts.")]
    NoSuchRound(String),
    #[error("No node '{0}' is here now: GET /v1/nodes lists those that are.")]
    NoSuchNode(String),
    #[error("'{0}' is no node's id: give 64 hex digits, or at least the first 4.")]
    NotANode(String),
    #[error("{fitting} nodes have an id that begins with '{prefix}': give more of it.")]
    ManyNodes { prefix: String, fitting: usize },
    #[error("There is no format '{0}': ask for 'json' or 'html'.")]
    Format(String),
    #[error("Response with id '{0}' not found: only the newest are kept, and not across restarts.")]
    NoSuchResponse(String),
    /// Asked to go on after a response that is not there.
    #[error(
        "Previous response with id '{0}' not found: only the newest are kept, and not across restarts. Send the earlier turns in 'input'."
    )]
    NoPrevious(String),
    #[error("Previous response with id '{0}' is not complete: wait for its end.")]
    PreviousUnfinished(String),
    #[error("Cannot cancel a synchronous response: only those made with 'background' go on alone.")]
    NotInBackground,
    #[error("{max} responses are worked on in the background: wait for one to end.")]
    BackgroundFull { max: usize },
    #[error("{0}")]
    Unsupported(&'static str, &'static str),
    #[error(
        "Tokens are counted by each member's own tokenizer while it works: there is no count beforehand."
    )]
    NotCounted,
    #[error("Invalid URL ({method} {path})")]
    NoSuchPath { method: String, path: String },
    #[error(
        "Not allowed to {method} on {path} (HINT: Perhaps you meant to use a different HTTP method?)"
    )]
    WrongMethod { method: String, path: String },
    #[error(
        "Unsupported content type: '{0}'. This API method only accepts 'application/json' requests, but you specified the header 'Content-Type: {0}'. Please try again with a supported content type."
    )]
    ContentType(String),
    #[error("Maximum content size limit ({max}) exceeded ({read} bytes read)")]
    TooLarge { max: usize, read: u64 },
    /// The same may work in a moment: as many requests as are taken are being answered.
    #[error("Rate limit reached: {max} requests are being answered. Please try again in 1s.")]
    TooMany { max: usize },
    /// One caller's requests or tokens of this minute are used up.
    #[error(
        "Rate limit reached for {} per min (limit: {limit}). Please try again in {}.", what.word(), go(*wait)
    )]
    RateLimit { what: Scarce, limit: u64, wait: Duration },
    #[error(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )]
    NoKey,
    /// What may be shown of the key.
    #[error("Incorrect API key provided: {0}. The operator of this gateway gives out keys.")]
    WrongKey(String),
    /// The connection ended, or stalled, before the body did.
    #[error("The body of the request ended or stalled before all of it had arrived.")]
    BodyBroken,
    /// The swarm has no answer.
    #[error("{}", round_message(.0))]
    Round(RoundError),
    /// A fault of the gateway's own; what it was is in its log.
    #[error("The gateway failed while it processed the request.")]
    Internal,
}

impl From<RoundError> for ApiError {
    fn from(error: RoundError) -> Self {
        match error {
            RoundError::NoSuchModel { model } => Self::NoSuchModel(model),
            other => Self::Round(other),
        }
    }
}

/// What a caller has only so much of by the minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scarce {
    Requests,
    Tokens,
}

impl Scarce {
    /// OpenAI's `type` of such a refusal.
    fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// `{"error": {...}}`, all four keys always present.
#[derive(Debug, Serialize)]
pub(super) struct ErrorBody {
    error: ErrorObject,
}

#[derive(Debug, Serialize)]
struct ErrorObject {
    message: String,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<String>,
    code: Option<&'static str>,
}

/// Characters of a wrong key that are shown, and how long it must be for that.
const KEY_SHOWN: usize = 4;
const KEY_SHOWN_FROM: usize = 16;

const INVALID: &str = "invalid_request_error";
/// Nodes come back within seconds, answers end within seconds.
const MOMENT: Duration = Duration::from_secs(1);
/// Longest wait that openai-node takes from a header; openai-python takes twice that.
const SDK_WAIT: Duration = Duration::from_secs(60);

const SERVER: &str = "server_error";

impl ApiError {
    /// Of a longer key the end, by which its owner knows it: errors end up in logs.
    pub(super) fn wrong_key(key: &str) -> Self {
        let length = key.chars().count();
        let shown = if length < KEY_SHOWN_FROM { 0 } else { KEY_SHOWN };
        let end: String = key.chars().skip(length - shown).collect();
        Self::WrongKey(format!("****{end}"))
    }

    /// What is sent, as a whole answer or as the last event of a stream.
    pub(super) fn body(&self) -> ErrorBody {
        let (kind, param, code) = match self {
            Self::Ask(error) => (INVALID, error.param.clone(), error.code),
            Self::NoSuchModel(_) => (INVALID, None, Some("model_not_found")),
            Self::NotAModel(_) => (INVALID, Some("model".into()), Some("model_not_found")),
            Self::NoSuchRound(_) => (INVALID, Some("id".into()), Some("round_not_found")),
            Self::NoSuchNode(_) => (INVALID, Some("id".into()), Some("node_not_found")),
            Self::NotANode(_) | Self::ManyNodes { .. } => {
                (INVALID, Some("id".into()), Some("invalid_value"))
            }
            Self::Format(_) => (INVALID, Some("format".into()), Some("invalid_value")),
            Self::NoSuchResponse(_) => (INVALID, Some("response_id".into()), None),
            Self::NotInBackground => (INVALID, Some("response_id".into()), None),
            Self::NoPrevious(_) => {
                let param = Some("previous_response_id".into());
                (INVALID, param, Some("previous_response_not_found"))
            }
            Self::PreviousUnfinished(_) => (INVALID, Some("previous_response_id".into()), None),
            Self::BackgroundFull { .. } => ("requests", None, Some("rate_limit_exceeded")),
            Self::Unsupported(_, param) => {
                (INVALID, Some((*param).into()), Some("unsupported_value"))
            }
            Self::NoSuchPath { .. } | Self::BodyBroken | Self::NotCounted | Self::NoKey => {
                (INVALID, None, None)
            }
            Self::WrongKey(_) => (INVALID, None, Some("invalid_api_key")),
            Self::WrongMethod { .. } => (INVALID, None, Some("method_not_supported")),
            Self::ContentType(_) => (INVALID, None, Some("unsupported_content_type")),
            Self::TooLarge { .. } | Self::Internal => (SERVER, None, None),
            Self::TooMany { .. } => ("requests", None, Some("rate_limit_exceeded")),
            Self::RateLimit { what, .. } => (what.word(), None, Some("rate_limit_exceeded")),
            Self::Round(error) => round_parts(error),
        };
        ErrorBody { error: ErrorObject { message: self.to_string(), kind, param, code } }
    }

    /// A word for metrics, from a closed set.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NoSuchModel(_)
            | Self::NotAModel(_)
            | Self::NoSuchRound(_)
            | Self::NoSuchNode(_)
            | Self::NoSuchResponse(_)
            | Self::NotCounted
            | Self::NoSuchPath { .. } => "not_found",
            Self::Round(error) if is_the_clients(error) => "invalid",
            Self::Ask(_)
            | Self::NotANode(_)
            | Self::ManyNodes { .. }
            | Self::Format(_)
            | Self::WrongMethod { .. }
            | Self::ContentType(_)
            | Self::TooLarge { .. }
            | Self::NoKey
            | Self::WrongKey(_)
            | Self::BodyBroken => "invalid",
            Self::NoPrevious(_)
            | Self::PreviousUnfinished(_)
            | Self::NotInBackground
            | Self::Unsupported(..) => "invalid",
            Self::Round(_)
            | Self::BackgroundFull { .. }
            | Self::TooMany { .. }
            | Self::RateLimit { .. } => "unavailable",
            Self::Internal => "failed",
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::Ask(_)
            | Self::NotANode(_)
            | Self::ManyNodes { .. }
            | Self::Format(_)
            | Self::ContentType(_)
            | Self::NoPrevious(_)
            | Self::PreviousUnfinished(_)
            | Self::NotInBackground
            | Self::Unsupported(..)
            | Self::BodyBroken => StatusCode::BAD_REQUEST,
            Self::BackgroundFull { .. } | Self::TooMany { .. } | Self::RateLimit { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::NoKey | Self::WrongKey(_) => StatusCode::UNAUTHORIZED,
            Self::NoSuchModel(_)
            | Self::NotAModel(_)
            | Self::NoSuchRound(_)
            | Self::NoSuchNode(_)
            | Self::NoSuchResponse(_)
            | Self::NotCounted
            | Self::NoSuchPath { .. } => StatusCode::NOT_FOUND,
            Self::WrongMethod { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Round(error) if is_the_clients(error) => StatusCode::BAD_REQUEST,
            Self::Round(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn error_response(&self) -> HttpResponse {
        self.head().json(self.body())
    }
}

impl ApiError {
    /// Status and headers, the same in every shape of body.
    pub(super) fn head(&self) -> HttpResponseBuilder {
        let status = self.status_code();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(wait) = self.wait() {
            let ms = wait.as_nanos().div_ceil(1_000_000);
            // Whole seconds by the book; SDKs look at the finer header first.
            let seconds = ms.div_ceil(1_000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            response.insert_header(("retry-after-ms", ms.to_string()));
            // Both SDKs do as this says. Beyond what they would wait, they would come too early.
            let soon = if wait <= SDK_WAIT { "true" } else { "false" };
            response.insert_header(("x-should-retry", soon));
        }
        response
    }

    /// After which time the same may work; None: it has to be changed, or nobody knows.
    fn wait(&self) -> Option<Duration> {
        match self {
            Self::RateLimit { wait, .. } => Some(*wait),
            Self::BackgroundFull { .. } | Self::TooMany { .. } => Some(MOMENT),
            Self::Round(error) if !is_the_clients(error) => Some(MOMENT),
            _ => None,
        }
    }

    /// The same at a door where fields have other names than in a chat.
    pub(super) fn renamed(self, names: Names<'_>) -> Self {
        match self {
            Self::Round(error) if is_the_clients(&error) => {
                let ErrorObject { message, param, code, .. } = Self::Round(error).body().error;
                Self::Ask(AskError { message, param, code }.renamed(names))
            }
            other => other,
        }
    }

    /// The field that is at fault.
    pub(super) fn param(&self) -> Option<String> {
        self.body().error.param
    }
}

/// Trying the same again would not help, and SDKs try what is no 4xx three times.
fn is_the_clients(error: &RoundError) -> bool {
    match error {
        RoundError::ContextLength { .. }
        | RoundError::NoTools
        | RoundError::NoVision { .. }
        | RoundError::Unsupported { .. }
        | RoundError::Misfit { .. }
        | RoundError::Cannot { .. } => true,
        RoundError::NoSuchModel { .. }
        | RoundError::NoMember
        | RoundError::NoCandidate { .. }
        | RoundError::NoBallot { .. } => false,
    }
}

/// LangChain looks for the code `context_length_exceeded`, LiteLLM for this very sentence.
fn round_message(error: &RoundError) -> String {
    match error {
        RoundError::ContextLength { context } => format!(
            "This model's maximum context length is {context} tokens. However, your messages and \
             completion need more. Please reduce the length of the messages or completion."
        ),
        RoundError::NoMember => {
            "The swarm has no member that can take work now. Try again in a moment.".into()
        }
        RoundError::Cannot { .. } => format!("Unsupported value: 'model': {error}."),
        RoundError::NoBallot { .. } => format!("The texts could not be ranked: {error}."),
        RoundError::NoTools => "Unsupported parameter: 'tools'. No model that serves this request \
             calls functions: send it without them, or ask another model."
            .into(),
        RoundError::NoVision { path } => format!(
            "Unsupported value: '{path}'. No model that serves this request looks at images: \
             send it without them, or ask another model."
        ),
        RoundError::Misfit { asked, calls: false } => format!(
            "None of {asked} answers keeps to 'response_format'. Say in the messages which JSON \
             you want, allow more tokens, or ask another model."
        ),
        RoundError::Misfit { asked, calls: true } => format!(
            "None of {asked} answers calls the functions as asked. Describe them more plainly, \
             allow more tokens, or ask another model."
        ),
        RoundError::NoCandidate { .. }
        | RoundError::NoSuchModel { .. }
        | RoundError::Unsupported { .. } => {
            format!("The swarm found no answer: {error}.")
        }
    }
}

fn round_parts(error: &RoundError) -> (&'static str, Option<String>, Option<&'static str>) {
    match error {
        RoundError::NoSuchModel { .. } => (INVALID, None, Some("model_not_found")),
        RoundError::NoMember => (SERVER, None, Some("no_member")),
        RoundError::NoCandidate { .. } => (SERVER, None, Some("no_candidates")),
        RoundError::NoBallot { .. } => (SERVER, None, Some("no_ballots")),
        RoundError::Cannot { .. } => (INVALID, Some("model".into()), Some("unsupported_value")),
        RoundError::ContextLength { .. } => {
            (INVALID, Some("messages".into()), Some("context_length_exceeded"))
        }
        RoundError::NoTools => (INVALID, Some("tools".into()), Some("unsupported_parameter")),
        RoundError::NoVision { path } => (INVALID, Some(path.clone()), Some("unsupported_value")),
        RoundError::Unsupported { .. } => (INVALID, None, Some("unsupported_value")),
        // As Groq names them, whose API is this one: OpenAI has no such failures.
        RoundError::Misfit { calls: false, .. } => {
            (INVALID, Some("response_format".into()), Some("json_validate_failed"))
        }
        RoundError::Misfit { calls: true, .. } => {
            (INVALID, Some("tools".into()), Some("tool_use_failed"))
        }
    }
}
