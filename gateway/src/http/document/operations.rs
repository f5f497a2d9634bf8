//! Every operation of the API: its path and method, its request and its answers.

/// The answer of an operation that succeeds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// JSON of the schema with this name.
    Json(&'static str),
    /// JSON of the schema with this name, or server-sent events with `stream: true`.
    JsonOrEvents(&'static str),
    /// Text of this media type.
    Text(&'static str),
    /// The schema `Status`, also when the operation fails.
    Status,
}

/// A path with one method.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Parameters in the query.
    pub(super) query: &'static [&'static str],
    /// Schema of the request's body; None: no body.
    pub(super) request: Option<&'static str>,
    pub(super) answer: Reply,
    /// Every status that the operation can answer with.
    pub(super) statuses: &'static [u16],
}

/// Statuses of the operations that ask the swarm.
const ASK: &[u16] = &[200, 400, 401, 403, 404, 413, 415, 422, 429, 500, 503];
/// Statuses of the operations that store a body.
const STORE: &[u16] = &[200, 400, 401, 403, 404, 413, 415, 429, 500];
const LOOKUP: &[u16] = &[200, 401, 403, 404];
const CHECKED_LOOKUP: &[u16] = &[200, 400, 401, 403, 404];
const LIST: &[u16] = &[200, 401, 403];
const ALWAYS: &[u16] = &[200, 403];

const OPENAI: &str = "OpenAI";
const ANTHROPIC: &str = "Anthropic";
const SHOAL: &str = "Shoal";
const OPERATORS: &str = "Operators";

/// An operation that sends a body to the swarm.
const fn post(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    request: &'static str,
    answer: Reply,
) -> Operation {
    let request = Some(request);
    Operation { method: "POST", path, tag, summary, query: &[], request, answer, statuses: ASK }
}

/// An operation that stores a body.
const fn store(
    path: &'static str,
    summary: &'static str,
    request: &'static str,
    answer: &'static str,
) -> Operation {
    Operation { statuses: STORE, ..post(path, OPENAI, summary, request, Reply::Json(answer)) }
}

const fn delete(path: &'static str, summary: &'static str, answer: &'static str) -> Operation {
    Operation { method: "DELETE", ..get(path, OPENAI, summary, Reply::Json(answer), LOOKUP) }
}

const fn get(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    answer: Reply,
    statuses: &'static [u16],
) -> Operation {
    Operation { method: "GET", path, tag, summary, query: &[], request: None, answer, statuses }
}

const fn head(path: &'static str, summary: &'static str, statuses: &'static [u16]) -> Operation {
    let answer = Reply::Status;
    Operation { method: "HEAD", ..get(path, OPERATORS, summary, answer, statuses) }
}

/// The operations, in the order of `http.rs`.
pub(super) const OPERATIONS: &[Operation] = &[
    post(
        "/v1/chat/completions",
        OPENAI,
        "Answers a conversation.",
        "ChatRequest",
        Reply::JsonOrEvents("ChatCompletion"),
    ),
    post(
        "/v1/completions",
        OPENAI,
        "Answers prompts (the older endpoint).",
        "CompletionRequest",
        Reply::JsonOrEvents("Completion"),
    ),
    post(
        "/v1/responses",
        OPENAI,
        "Answers a conversation that can be continued and fetched.",
        "ResponseRequest",
        Reply::JsonOrEvents("Response"),
    ),
    post(
        "/v1/responses/compact",
        OPENAI,
        "Replaces a conversation by its user's messages and a summary.",
        "CompactRequest",
        Reply::Json("Compaction"),
    ),
    Operation {
        query: &["stream", "starting_after"],
        ..get(
            "/v1/responses/{id}",
            OPENAI,
            "A stored response.",
            Reply::JsonOrEvents("Response"),
            CHECKED_LOOKUP,
        )
    },
    delete("/v1/responses/{id}", "Deletes a response and stops the work for it.", "Deleted"),
    Operation {
        method: "POST",
        ..get(
            "/v1/responses/{id}/cancel",
            OPENAI,
            "Stops the work for a background response.",
            Reply::Json("Response"),
            CHECKED_LOOKUP,
        )
    },
    Operation {
        query: &["limit", "order", "after"],
        ..get(
            "/v1/responses/{id}/input_items",
            OPENAI,
            "The input items of a response.",
            Reply::Json("ItemList"),
            CHECKED_LOOKUP,
        )
    },
    store(
        "/v1/conversations",
        "Stores a conversation that responses continue.",
        "ConversationRequest",
        "Conversation",
    ),
    get(
        "/v1/conversations/{id}",
        OPENAI,
        "A stored conversation.",
        Reply::Json("Conversation"),
        LOOKUP,
    ),
    store(
        "/v1/conversations/{id}",
        "Replaces the metadata of a conversation.",
        "ConversationUpdate",
        "Conversation",
    ),
    delete("/v1/conversations/{id}", "Deletes a conversation.", "Deleted"),
    Operation {
        query: &["limit", "order", "after"],
        ..get(
            "/v1/conversations/{id}/items",
            OPENAI,
            "The items of a conversation.",
            Reply::Json("ItemList"),
            CHECKED_LOOKUP,
        )
    },
    store(
        "/v1/conversations/{id}/items",
        "Adds items to a conversation.",
        "ConversationItems",
        "ItemList",
    ),
    get(
        "/v1/conversations/{id}/items/{item_id}",
        OPENAI,
        "One item of a conversation.",
        Reply::Json("StoredItem"),
        LOOKUP,
    ),
    delete(
        "/v1/conversations/{id}/items/{item_id}",
        "Deletes an item of a conversation.",
        "Conversation",
    ),
    post(
        "/v1/messages",
        ANTHROPIC,
        "Answers a conversation, in Anthropic's format.",
        "MessageRequest",
        Reply::JsonOrEvents("Message"),
    ),
    post(
        "/v1/messages/count_tokens",
        ANTHROPIC,
        "Counts the tokens of a conversation with a member's tokenizer.",
        "TokenCountRequest",
        Reply::Json("TokenCount"),
    ),
    post(
        "/v1/embeddings",
        OPENAI,
        "Embeds texts as vectors.",
        "EmbeddingRequest",
        Reply::Json("EmbeddingList"),
    ),
    post("/v1/rank", SHOAL, "Ranks the client's own texts.", "RankRequest", Reply::Json("Ranking")),
    get("/v1/models", OPENAI, "The models that requests can name.", Reply::Json("ModelList"), LIST),
    get("/v1/models/{id}", OPENAI, "One model.", Reply::Json("Model"), LOOKUP),
    get("/v1/rounds", SHOAL, "The newest rounds of this key.", Reply::Json("RoundList"), LIST),
    get(
        "/v1/rounds/live",
        SHOAL,
        "The rounds of this key as they happen: server-sent events without an end.",
        Reply::Text("text/event-stream"),
        &[200, 401, 403, 429],
    ),
    get(
        "/v1/rounds/{id}",
        SHOAL,
        "The transcript of a round: everything that led to its answer.",
        Reply::Json("Round"),
        LOOKUP,
    ),
    get(
        "/",
        OPERATORS,
        "The console in a browser; for programs, what is where.",
        Reply::Status,
        ALWAYS,
    ),
    head("/", "The console in a browser; for programs, what is where.", ALWAYS),
    get(
        "/console/{name}",
        OPERATORS,
        "A file of the console.",
        Reply::Text("text/javascript"),
        &[200, 403, 404],
    ),
    head("/console/{name}", "A file of the console.", &[200, 403, 404]),
    get("/v1/nodes", SHOAL, "The nodes of this gateway.", Reply::Json("NodeList"), ALWAYS),
    Operation {
        query: &["format"],
        ..get(
            "/v1/nodes/{id}/standing",
            SHOAL,
            "The standing of a node, with the reason for each number.",
            Reply::Json("Standing"),
            &[200, 400, 403, 404],
        )
    },
    get("/healthz", OPERATORS, "The gateway is alive.", Reply::Status, ALWAYS),
    head("/healthz", "The gateway is alive.", ALWAYS),
    get(
        "/readyz",
        OPERATORS,
        "The gateway has nodes that take work.",
        Reply::Status,
        &[200, 403, 503],
    ),
    head("/readyz", "The gateway has nodes that take work.", &[200, 403, 503]),
    get(
        "/metrics",
        OPERATORS,
        "Counters for Prometheus.",
        Reply::Text("text/plain; version=0.0.4"),
        &[200, 401, 403, 500],
    ),
    get("/openapi.json", OPERATORS, "This document.", Reply::Json("Document"), ALWAYS),
    get("/docs", OPERATORS, "This document as an HTML page.", Reply::Text("text/html"), ALWAYS),
];

/// The meaning of a status in this API.
pub(super) fn meaning(status: u16) -> &'static str {
    match status {
        200 => "Success.",
        401 => "The gateway requires a key, and the request has no valid one.",
        400 => "The request is invalid; the error names what to change.",
        403 => "The request names a foreign host, or comes from a web page that is not allowed.",
        404 => "No such object or path.",
        413 => "The body is too large.",
        415 => "The body is no application/json, or has an unknown encoding.",
        429 => "Too many requests or tokens: try again later.",
        422 => "No member knows the answer, or it is less certain than the request demands.",
        503 => "The swarm cannot answer now: try again in a moment.",
        _ => "Internal error of the gateway.",
    }
}
