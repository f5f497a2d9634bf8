//! Every operation: a path with a method, what it takes, what it gives.

/// What an operation gives when it succeeds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Takes {
    Json(&'static str),
    /// Events with `stream: true`.
    JsonOrEvents(&'static str),
    Text(&'static str),
    /// The same in every case.
    Whichever,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) query: &'static [&'static str],
    /// Schema of the body.
    pub(super) takes: Option<&'static str>,
    pub(super) gives: Takes,
    pub(super) statuses: &'static [u16],
}

/// What asks the swarm can get.
const ASKS: &[u16] = &[200, 400, 401, 404, 413, 429, 500, 503];
const FOUND: &[u16] = &[200, 401, 404];
const FOUND_OR_WRONG: &[u16] = &[200, 400, 401, 404];
const LISTED: &[u16] = &[200, 401];
const ALWAYS: &[u16] = &[200];

const OPENAI: &str = "OpenAI";
const ANTHROPIC: &str = "Anthropic";
const SHOAL: &str = "Shoal";
const OPERATORS: &str = "Operators";

/// Takes a body.
const fn post(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    takes: &'static str,
    gives: Takes,
) -> Operation {
    let takes = Some(takes);
    Operation { method: "POST", path, tag, summary, query: &[], takes, gives, statuses: ASKS }
}

const fn get(
    path: &'static str,
    tag: &'static str,
    summary: &'static str,
    gives: Takes,
    statuses: &'static [u16],
) -> Operation {
    Operation { method: "GET", path, tag, summary, query: &[], takes: None, gives, statuses }
}

const fn head(path: &'static str, summary: &'static str, statuses: &'static [u16]) -> Operation {
    let gives = Takes::Whichever;
    Operation { method: "HEAD", ..get(path, OPERATORS, summary, gives, statuses) }
}

/// In the order of `http.rs`.
pub(super) const OPERATIONS: &[Operation] = &[
    post(
        "/v1/chat/completions",
        OPENAI,
        "Answers a conversation.",
        "ChatRequest",
        Takes::JsonOrEvents("ChatCompletion"),
    ),
    post(
        "/v1/completions",
        OPENAI,
        "Answers prompts (the older door).",
        "CompletionRequest",
        Takes::JsonOrEvents("Completion"),
    ),
    post(
        "/v1/responses",
        OPENAI,
        "Answers a conversation that can be continued and fetched.",
        "ResponseRequest",
        Takes::JsonOrEvents("Response"),
    ),
    Operation {
        query: &["stream", "starting_after"],
        ..get(
            "/v1/responses/{id}",
            OPENAI,
            "A response that is kept.",
            Takes::JsonOrEvents("Response"),
            FOUND_OR_WRONG,
        )
    },
    Operation {
        method: "DELETE",
        ..get(
            "/v1/responses/{id}",
            OPENAI,
            "Forgets a response and stops the work for it.",
            Takes::Json("Deleted"),
            FOUND,
        )
    },
    Operation {
        method: "POST",
        ..get(
            "/v1/responses/{id}/cancel",
            OPENAI,
            "Stops the work for a response in the background.",
            Takes::Json("Response"),
            FOUND_OR_WRONG,
        )
    },
    Operation {
        query: &["limit", "order", "after"],
        ..get(
            "/v1/responses/{id}/input_items",
            OPENAI,
            "The items that a response answers.",
            Takes::Json("ItemList"),
            FOUND_OR_WRONG,
        )
    },
    post(
        "/v1/messages",
        ANTHROPIC,
        "Answers a conversation, in Anthropic's shape.",
        "MessageRequest",
        Takes::JsonOrEvents("Message"),
    ),
    Operation {
        method: "POST",
        ..get(
            "/v1/messages/count_tokens",
            ANTHROPIC,
            "Not served: no member can be asked to count alone.",
            Takes::Json("AnthropicError"),
            &[401, 404],
        )
    },
    post(
        "/v1/embeddings",
        OPENAI,
        "Turns texts into vectors.",
        "EmbeddingRequest",
        Takes::Json("EmbeddingList"),
    ),
    post(
        "/v1/rank",
        SHOAL,
        "Ranks texts that the client brings.",
        "RankRequest",
        Takes::Json("Ranking"),
    ),
    get("/v1/models", OPENAI, "The models that can be asked.", Takes::Json("ModelList"), LISTED),
    get("/v1/models/{id}", OPENAI, "One model.", Takes::Json("Model"), FOUND),
    get("/v1/rounds/{id}", SHOAL, "All that led to an answer.", Takes::Json("Round"), FOUND),
    get("/v1/nodes", SHOAL, "Who is here.", Takes::Json("NodeList"), ALWAYS),
    Operation {
        query: &["format"],
        ..get(
            "/v1/nodes/{id}/standing",
            SHOAL,
            "How much a member is believed, and why.",
            Takes::Json("Standing"),
            &[200, 400, 404],
        )
    },
    get("/healthz", OPERATORS, "The gateway lives.", Takes::Whichever, ALWAYS),
    head("/healthz", "The gateway lives.", ALWAYS),
    get("/readyz", OPERATORS, "The gateway has members.", Takes::Whichever, &[200, 503]),
    head("/readyz", "The gateway has members.", &[200, 503]),
    get(
        "/metrics",
        OPERATORS,
        "Counters for Prometheus.",
        Takes::Text("text/plain; version=0.0.4"),
        &[200, 500],
    ),
    get("/openapi.json", OPERATORS, "This document.", Takes::Json("Document"), ALWAYS),
    get("/docs", OPERATORS, "This document for people.", Takes::Text("text/html"), ALWAYS),
];

/// What a status means here.
pub(super) fn meaning(status: u16) -> &'static str {
    match status {
        200 => "As asked.",
        401 => "The gateway has keys, and the request has none of them.",
        400 => "The request has to be changed; the error says what and how.",
        404 => "There is no such thing here.",
        413 => "The body is too large.",
        429 => "Too much at a time: try again later.",
        503 => "The swarm cannot now: try again in a moment.",
        _ => "The gateway failed.",
    }
}
