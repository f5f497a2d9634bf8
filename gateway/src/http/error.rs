//! Every error of the API, in one table: this is the only file with a status code.
//!
//! SDKs choose their exception by the status, and retry 408, 409, 429 and 5xx by themselves. A request
//! that the client has to change is therefore another 4xx, and one that may succeed soon is a 503.

use std::time::Duration;

use actix_web::{
    HttpResponse, HttpResponseBuilder, ResponseError,
    http::{StatusCode, header},
};

use super::rate::go;
use shoal_api::{AskError, ErrorBody, Failure, FieldNames};
use shoal_consensus::RoundError;

/// Why a request gets no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    /// The body has a wrong field.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// A request to a model that nobody here serves.
    #[error("{}", unknown_model(.0))]
    NoSuchModel(String),
    /// A request for the description of a model that nobody here serves.
    #[error("{}", unknown_model(.0))]
    NotAModel(String),
    #[error(
        "No round '{0}' is kept here: only the newest rounds are kept, until the gateway restarts."
    )]
    NoSuchRound(String),
    #[error("No node '{0}' is here now: GET /v1/nodes lists the nodes.")]
    NoSuchNode(String),
    #[error("'{0}' is no node's id: give 64 hex digits, or at least the first 4.")]
    InvalidNodeId(String),
    #[error("{match_count} nodes have an id that begins with '{prefix}': give more digits.")]
    AmbiguousNode { prefix: String, match_count: usize },
    #[error("There is no format '{0}': ask for 'json' or 'html'.")]
    Format(String),
    #[error(
        "Response with id '{0}' not found: only the newest responses are kept, until the gateway restarts."
    )]
    NoSuchResponse(String),
    /// A request after a response that is not stored.
    #[error(
        "Previous response with id '{0}' not found: only the newest responses are kept, until the gateway restarts. Send the earlier turns in 'input'."
    )]
    NoPrevious(String),
    #[error(
        "Conversation with id '{0}' not found: conversations are kept in memory, until the gateway restarts."
    )]
    NoSuchConversation(String),
    #[error("Item with id '{0}' not found in this conversation.")]
    NoSuchItem(String),
    #[error("The conversation would have more than {max} bytes: begin a new one.")]
    ConversationTooLarge { max: usize },
    #[error("Previous response with id '{0}' is not complete: wait for its end.")]
    PreviousUnfinished(String),
    #[error(
        "Cannot cancel a synchronous response: only responses made with 'background' can be cancelled."
    )]
    NotInBackground,
    #[error("{max} responses are in progress in the background: wait for one to end.")]
    BackgroundFull { max: usize },
    #[error("{0}")]
    Unsupported(&'static str, &'static str),
    #[error("Invalid URL ({method} {path})")]
    NoSuchPath { method: String, path: String },
    #[error(
        "Not allowed to {method} on {path} (HINT: Perhaps you meant to use a different HTTP method?)"
    )]
    WrongMethod { method: String, path: String },
    #[error(
        "The host '{0}' is not this gateway's: use its address or 'localhost', or let the operator add the name to 'http.hosts'."
    )]
    Host(String),
    #[error(
        "Pages of '{0}' may not use this gateway: the operator can add the origin to 'http.cors_origins'."
    )]
    Origin(String),
    #[error(
        "Missing content type. This API method only accepts 'application/json' requests: send the header 'Content-Type: application/json'."
    )]
    NoContentType,
    #[error(
        "Unsupported content type: '{0}'. This API method only accepts 'application/json' requests, but you specified the header 'Content-Type: {0}'. Please try again with a supported content type."
    )]
    ContentType(String),
    #[error(
        "Unsupported content encoding: '{0}'. Send the body as it is, or with one of gzip, deflate, br and zstd."
    )]
    Encoding(String),
    #[error("The body is not valid {0}, which its header 'Content-Encoding' names.")]
    EncodingBroken(&'static str),
    #[error("The requests that are being answered hold too many bytes. Please try again in 1s.")]
    BodiesFull,
    #[error(
        "The request has {read} bytes of text, images and tools, and members take at most {max}: send smaller images or a shorter conversation."
    )]
    AskTooLarge { max: usize, read: usize },
    /// The client had not read all text when the round's deadline passed.
    #[error("The client did not read the answer within the time of the round.")]
    Unread,
    #[error("Maximum content size limit ({max}) exceeded ({read} bytes read)")]
    TooLarge { max: usize, read: u64 },
    /// The gateway answers its maximum number of requests. The same request may succeed soon.
    #[error("Rate limit reached: {max} requests are being answered. Please try again in 1s.")]
    TooMany { max: usize },
    /// The caller has used its requests or tokens of this minute.
    #[error(
        "Rate limit reached for {} per min (limit: {limit}). Please try again in {}.", resource.word(), go(*wait)
    )]
    RateLimit { resource: LimitedResource, limit: u64, wait: Duration },
    #[error(
        "You didn't provide an API key. You need to provide your API key in an Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY)."
    )]
    NoKey,
    /// The part of the key that may be shown.
    #[error("Incorrect API key provided: {0}. The operator of this gateway gives out keys.")]
    WrongKey(String),
    /// The connection ended, or stalled, before the body did.
    #[error("The body of the request ended, stalled or came too slowly.")]
    BodyBroken,
    /// The swarm has no answer.
    #[error("{}", round_row(.0).1)]
    Round(RoundError),
    /// A fault of the gateway, which its log describes.
    #[error("The gateway failed while it processed the request.")]
    Internal,
}

impl From<RoundError> for ApiError {
    fn from(error: RoundError) -> Self {
        match error {
            RoundError::NoSuchModel { model } => Self::NoSuchModel(model),
            error => Self::Round(error),
        }
    }
}

/// A resource with a limit per minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LimitedResource {
    Requests,
    Tokens,
}

impl LimitedResource {
    /// OpenAI's `type` of such a refusal.
    fn word(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Tokens => "tokens",
        }
    }
}

/// What an error looks like over HTTP.
#[derive(Debug)]
struct ErrorRow {
    status: StatusCode,
    /// OpenAI's `type`.
    kind: &'static str,
    /// Path of the field at fault.
    param: Option<String>,
    code: Option<&'static str>,
    /// For metrics, one of a closed set.
    label: &'static str,
    /// The time after which the same request may succeed. `None` if the client has to change it, or
    /// if the time is unknown.
    wait: Option<Duration>,
}

impl ErrorRow {
    /// A request that the client has to change.
    fn invalid(param: Option<&str>, code: Option<&'static str>) -> Self {
        let (status, param) = (StatusCode::BAD_REQUEST, param.map(str::to_owned));
        Self { status, kind: INVALID, param, code, label: "invalid", wait: None }
    }

    /// Something that does not exist.
    fn not_found(param: Option<&str>, code: Option<&'static str>) -> Self {
        let status = StatusCode::NOT_FOUND;
        Self { status, label: "not_found", ..Self::invalid(param, code) }
    }

    /// A limit of `kind` that is reached.
    fn rate_limit(kind: &'static str, wait: Duration) -> Self {
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            kind,
            param: None,
            code: Some("rate_limit_exceeded"),
            label: "unavailable",
            wait: Some(wait),
        }
    }

    /// A swarm that has no answer now.
    fn unavailable(code: &'static str) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            kind: SERVER,
            param: None,
            code: Some(code),
            label: "unavailable",
            wait: Some(MOMENT),
        }
    }

    /// A valid request whose answer is not good enough.
    fn unprocessable(param: Option<&str>, code: &'static str) -> Self {
        Self::invalid(param, Some(code)).with_status(StatusCode::UNPROCESSABLE_ENTITY)
    }

    fn with_status(self, status: StatusCode) -> Self {
        Self { status, ..self }
    }
}

/// Characters of a wrong key that are shown, and the length from which they are.
const KEY_SHOWN: usize = 4;
const KEY_SHOWN_FROM: usize = 16;

const INVALID: &str = "invalid_request_error";
/// Nodes reconnect within seconds, and answers end within seconds.
const MOMENT: Duration = Duration::from_secs(1);
/// Longest wait that openai-node accepts from a header. openai-python accepts twice that.
const SDK_WAIT: Duration = Duration::from_secs(60);

const SERVER: &str = "server_error";

impl ApiError {
    /// Shows only the end of a long key, which is enough for its owner: errors end up in logs.
    pub(super) fn wrong_key(key: &str) -> Self {
        let length = key.chars().count();
        let count = if length < KEY_SHOWN_FROM { 0 } else { KEY_SHOWN };
        let end: String = key.chars().skip(length - count).collect();
        Self::WrongKey(format!("****{end}"))
    }

    /// The table of errors.
    fn row(&self) -> ErrorRow {
        match self {
            Self::Ask(AskError { param, code, .. }) => ErrorRow::invalid(param.as_deref(), *code),
            Self::NoSuchModel(_) => ErrorRow::not_found(None, Some("model_not_found")),
            Self::NotAModel(_) => ErrorRow::not_found(Some("model"), Some("model_not_found")),
            Self::NoSuchRound(_) => ErrorRow::not_found(Some("id"), Some("round_not_found")),
            Self::NoSuchNode(_) => ErrorRow::not_found(Some("id"), Some("node_not_found")),
            Self::NoSuchResponse(_) => ErrorRow::not_found(Some("response_id"), None),
            Self::NoSuchPath { .. } | Self::NoSuchConversation(_) | Self::NoSuchItem(_) => {
                ErrorRow::not_found(None, None)
            }
            Self::ConversationTooLarge { .. } => ErrorRow::invalid(Some("items"), None),
            Self::InvalidNodeId(_) | Self::AmbiguousNode { .. } => {
                ErrorRow::invalid(Some("id"), Some("invalid_value"))
            }
            Self::Format(_) => ErrorRow::invalid(Some("format"), Some("invalid_value")),
            Self::NotInBackground => ErrorRow::invalid(Some("response_id"), None),
            Self::NoPrevious(_) => {
                let code = "previous_response_not_found";
                ErrorRow::invalid(Some("previous_response_id"), Some(code))
            }
            Self::PreviousUnfinished(_) => ErrorRow::invalid(Some("previous_response_id"), None),
            Self::Unsupported(_, param) => {
                ErrorRow::invalid(Some(param), Some("unsupported_value"))
            }
            Self::BodyBroken | Self::EncodingBroken(_) => ErrorRow::invalid(None, None),
            Self::Encoding(_) => ErrorRow::invalid(None, Some("unsupported_content_encoding"))
                .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::NoContentType | Self::ContentType(_) => {
                ErrorRow::invalid(None, Some("unsupported_content_type"))
                    .with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
            }
            Self::Host(_) => {
                ErrorRow::invalid(None, Some("host_not_allowed")).with_status(StatusCode::FORBIDDEN)
            }
            Self::Origin(_) => ErrorRow::invalid(None, Some("origin_not_allowed"))
                .with_status(StatusCode::FORBIDDEN),
            Self::NoKey => ErrorRow::invalid(None, None).with_status(StatusCode::UNAUTHORIZED),
            Self::WrongKey(_) => ErrorRow::invalid(None, Some("invalid_api_key"))
                .with_status(StatusCode::UNAUTHORIZED),
            Self::WrongMethod { .. } => ErrorRow::invalid(None, Some("method_not_supported"))
                .with_status(StatusCode::METHOD_NOT_ALLOWED),
            Self::TooLarge { .. } | Self::AskTooLarge { .. } => {
                let status = StatusCode::PAYLOAD_TOO_LARGE;
                ErrorRow { status, kind: SERVER, ..ErrorRow::invalid(None, None) }
            }
            Self::Unread => ErrorRow {
                label: "cancelled",
                ..ErrorRow::invalid(None, None).with_status(StatusCode::REQUEST_TIMEOUT)
            },
            Self::BackgroundFull { .. } | Self::TooMany { .. } | Self::BodiesFull => {
                ErrorRow::rate_limit(LimitedResource::Requests.word(), MOMENT)
            }
            Self::RateLimit { resource, wait, .. } => ErrorRow::rate_limit(resource.word(), *wait),
            Self::Round(error) => round_row(error).0,
            Self::Internal => ErrorRow {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                kind: SERVER,
                param: None,
                code: None,
                label: "failed",
                wait: None,
            },
        }
    }

    /// A word for metrics, from a closed set.
    pub(super) fn label(&self) -> &'static str {
        self.row().label
    }

    /// The error as the formats write it, in a whole answer or as the last event of a stream.
    pub(super) fn failure(&self) -> Failure {
        let ErrorRow { status, kind, param, code, label, .. } = self.row();
        Failure {
            message: self.to_string(),
            kind,
            anthropic_kind: anthropic_kind(status),
            param,
            code,
            is_invalid: label == "invalid",
        }
    }

    /// Status and headers, which are the same in every format.
    pub(super) fn head(&self) -> HttpResponseBuilder {
        let ErrorRow { status, wait, .. } = self.row();
        let mut response = HttpResponse::build(status);
        if status == StatusCode::UNAUTHORIZED {
            response.insert_header((header::WWW_AUTHENTICATE, "Bearer"));
        }
        if let Some(wait) = wait {
            let ms = wait.as_nanos().div_ceil(1_000_000);
            // The standard header has whole seconds. SDKs read the finer header first.
            let seconds = ms.div_ceil(1_000).max(1);
            response.insert_header((header::RETRY_AFTER, seconds.to_string()));
            response.insert_header(("retry-after-ms", ms.to_string()));
            // Both SDKs obey this header. They do not wait longer than `SDK_WAIT`, and would retry
            // too early.
            let retry = if wait <= SDK_WAIT { "true" } else { "false" };
            response.insert_header(("x-should-retry", retry));
        }
        response
    }

    /// Replaces the name of a chat's field by the endpoint's.
    pub(super) fn rename(self, names: FieldNames<'_>) -> Self {
        let Self::Round(error) = self else { return self };
        let (ErrorRow { status, param, code, .. }, message) = round_row(&error);
        // Only such an error names a field of the request.
        if status != StatusCode::BAD_REQUEST {
            return Self::Round(error);
        }
        Self::Ask(AskError { message, param, code }.rename(names))
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.row().status
    }

    fn error_response(&self) -> HttpResponse {
        self.head().json(ErrorBody::from(&self.failure()))
    }
}

fn unknown_model(name: &str) -> String {
    format!(
        "The model '{name}' does not exist or is not served here now: GET /v1/models lists the models."
    )
}

/// Anthropic's `type` for a status.
fn anthropic_kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        400..500 => "invalid_request_error",
        _ => "api_error",
    }
}

/// The row of a round without an answer, and its message. LangChain looks for the code
/// `context_length_exceeded`, LiteLLM for the exact sentence.
fn round_row(error: &RoundError) -> (ErrorRow, String) {
    let no_answer = format!("The swarm found no answer: {error}.");
    match error {
        RoundError::NoMember => (
            ErrorRow::unavailable("no_member"),
            "The swarm has no member that can take work now. Try again in a moment.".into(),
        ),
        RoundError::QueueFull { waiting } => (
            ErrorRow::unavailable("queue_full"),
            format!("{waiting} requests wait for a free member already. Please try again in 1s."),
        ),
        RoundError::NoCandidate { .. } => (ErrorRow::unavailable("no_candidates"), no_answer),
        RoundError::NoBallot { .. } => (
            ErrorRow::unavailable("no_ballots"),
            format!("The texts could not be ranked: {error}."),
        ),
        // `From` makes another variant of it; the row is complete all the same.
        RoundError::NoSuchModel { .. } => {
            (ErrorRow { kind: INVALID, ..ErrorRow::unavailable("model_not_found") }, no_answer)
        }
        RoundError::Cannot { .. } => (
            ErrorRow::invalid(Some("model"), Some("unsupported_value")),
            format!("Unsupported value: 'model': {error}."),
        ),
        RoundError::ContextLength { context } => (
            ErrorRow::invalid(Some("messages"), Some("context_length_exceeded")),
            format!(
                "This model's maximum context length is {context} tokens. However, your messages and \
                 completion need more. Please reduce the length of the messages or completion."
            ),
        ),
        RoundError::NoTools => (
            ErrorRow::invalid(Some("tools"), Some("unsupported_parameter")),
            "Unsupported parameter: 'tools'. No model that serves this request calls functions: \
             send it without them, or ask another model."
                .into(),
        ),
        RoundError::NoVision { path } => (
            ErrorRow::invalid(Some(path), Some("unsupported_value")),
            format!(
                "Unsupported value: '{path}'. No model that serves this request looks at images: \
                 send it without them, or ask another model."
            ),
        ),
        RoundError::Unsupported { .. } => {
            (ErrorRow::invalid(None, Some("unsupported_value")), no_answer)
        }
        RoundError::Doubtful { percent } => (
            ErrorRow::unprocessable(Some("shoal.min_confidence"), "low_confidence"),
            format!(
                "The swarm is too unsure: its best answer is right with a probability of {percent} %, \
                 less than 'shoal.min_confidence'. Lower that, ask 'shoal-deep', or ask another model."
            ),
        ),
        RoundError::Abstained { .. } => (
            ErrorRow::unprocessable(None, "abstained"),
            format!(
                "{no_answer} Ask another model. Without 'response_format' and 'shoal.min_confidence' \
                 the answer says what the swarm knows."
            ),
        ),
        RoundError::NoValidAnswer { members, calls } => no_valid_answer(*members, *calls),
    }
}

/// The codes are Groq's: it has the same API, and OpenAI has no such errors.
fn no_valid_answer(members: usize, calls: bool) -> (ErrorRow, String) {
    let (param, code, violation) = if calls {
        ("tools", "tool_use_failed", "calls the functions as asked. Describe them more plainly")
    } else {
        (
            "response_format",
            "json_validate_failed",
            "keeps to 'response_format'. Say in the messages which JSON you want",
        )
    };
    let message =
        format!("None of {members} answers {violation}, allow more tokens, or ask another model.");
    (ErrorRow::invalid(Some(param), Some(code)), message)
}
