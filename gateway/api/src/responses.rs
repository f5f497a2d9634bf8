//! `POST /v1/responses`, brought into a chat's words.

pub mod wire;
mod items;
mod tools;

use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::Fields,
};
use shoal_consensus::ask::Limits;

/// Fewer tokens are refused (OpenAI's limit).
const TOKENS_MIN: i64 = 16;
/// Most alternatives in `top_logprobs` (OpenAI's limit).
const TOP_LOGPROBS_MAX: i64 = 20;

/// Asks for the log-probabilities of the answer's tokens.
const LOGPROBS: &str = "message.output_text.logprobs";

/// What chat calls what this door calls otherwise.
pub const NAMES: endpoint::Names<'_> = &[
    ("messages", "input."),
    ("max_completion_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
];

/// Fields of this door's own; others are ignored, or refused where the operator is strict.
const FIELDS: [&str; 24] = [
    "input",
    "background",
    "context_management",
    "conversation",
    "include",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "moderation",
    "parallel_tool_calls",
    "previous_response_id",
    "prompt",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "service_tier",
    "stream_options",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "truncation",
];

/// What would change the answer in a way that nothing here can honour.
const REFUSED: [(&str, &str); 3] = [
    ("conversation", "Conversations are not kept: use 'previous_response_id'."),
    ("prompt", "There are no stored prompts: send 'input'."),
    ("context_management", "What does not fit is refused, never left out."),
];

/// A request whose form is right. What it asks is known once the earlier turns are: [`Self::ask`].
#[derive(Clone, Debug)]
pub struct ResponseRequest {
    /// The model's name as it was asked for.
    pub model: String,
    /// What is new in this turn, as items.
    pub input: Vec<Value>,
    /// The response that this one follows.
    pub previous: Option<String>,
    /// It can be fetched and followed later.
    pub store: bool,
    /// It is worked on without anybody waiting.
    pub background: bool,
    pub stream: bool,
    /// What the response repeats of the request, as it shows it.
    pub echo: Map<String, Value>,
    chat: Map<String, Value>,
    instructions: Option<String>,
}

impl ResponseRequest {
    /// Checks a request's body, but for what depends on earlier turns.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        for (name, why) in REFUSED {
            let asked = request.value(name).is_some_and(|value| *value != json!([]));
            if asked {
                return Err(AskError::unsupported_parameter(name, why));
            }
        }
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let input = items::read(&request)?;
        let (store, background) = (request.boolean("store")?, request.boolean("background")?);
        let background = background.unwrap_or(false);
        if background && store == Some(false) {
            let message = "A response in the background has to be stored: leave out 'store'.";
            return Err(AskError::plain(Some("background"), message));
        }
        let mut chat = endpoint::chat(&map);
        // OpenAI's meaning here is that the response can be fetched; a chat's is that the round
        // may be kept for training, which nobody agrees to by default.
        chat.remove("store");
        sampling(&request, &mut chat)?;
        let tools = tools::read(&request, &mut chat)?;
        let text = text(&request, &mut chat)?;
        let instructions = request.string("instructions")?.map(str::to_owned);
        let previous = request.string("previous_response_id")?.map(str::to_owned);
        let mut echo = echo(&request)?;
        echo.extend(tools);
        echo.insert("text".into(), text);
        Ok(Self {
            model,
            input,
            previous,
            store: store.unwrap_or(true),
            background,
            stream: request.boolean("stream")?.unwrap_or(false),
            echo,
            chat,
            instructions,
        })
    }

    /// What is asked, after `earlier` turns.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn ask(&self, earlier: &[Value], limits: &Limits) -> Result<ChatRequest, AskError> {
        let mut messages = Vec::new();
        if let Some(instructions) = &self.instructions {
            messages.push(json!({ "role": "system", "content": instructions }));
        }
        messages.extend(items::messages(earlier, &self.input)?);
        let mut chat = self.chat.clone();
        chat.insert("messages".into(), messages.into());
        endpoint::parse(&chat, limits, NAMES)
    }
}

/// Numbers that have another name or another limit than in a chat.
fn sampling(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<(), AskError> {
    if let Some(max) = request.integer("max_output_tokens", TOKENS_MIN..=i64::MAX)? {
        chat.insert("max_completion_tokens".into(), max.into());
    }
    let included = request.array("include")?;
    let wants = included.is_some_and(|all| all.iter().any(|one| one == LOGPROBS));
    let top = request.integer("top_logprobs", 0..=TOP_LOGPROBS_MAX)?;
    if wants || top.is_some_and(|top| top > 0) {
        chat.insert("logprobs".into(), true.into());
        chat.insert("top_logprobs".into(), top.unwrap_or(0).into());
    }
    if let Some(reasoning) = request.object("reasoning")?
        && let Some(effort) = reasoning.string("effort")?
    {
        chat.insert("reasoning_effort".into(), effort.into());
    }
    Ok(())
}

/// `text.format` as a chat's `response_format`; returns `text` as the response shows it.
fn text(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<Value, AskError> {
    const FORMATS: [&str; 3] = ["text", "json_object", "json_schema"];
    let plain = json!({ "format": { "type": "text" } });
    let Some(text) = request.object("text")? else { return Ok(plain) };
    let Some(format) = text.object("format")? else { return Ok(plain) };
    let shown = text.value("format").cloned().unwrap_or_default();
    match format.required_string("type")? {
        "text" => {}
        "json_object" => {
            chat.insert("response_format".into(), json!({ "type": "json_object" }));
        }
        "json_schema" => {
            format.required_string("name")?;
            if format.object("schema")?.is_none() {
                return Err(format.absent("schema", "an object"));
            }
            let mut schema = shown.as_object().cloned().unwrap_or_default();
            schema.remove("type");
            let format = json!({ "type": "json_schema", "json_schema": schema });
            chat.insert("response_format".into(), format);
        }
        other => return Err(AskError::not_one_of("text.format.type", other, &FORMATS)),
    }
    Ok(json!({ "format": shown }))
}

/// What the response repeats, null where nothing was said and null is allowed.
fn echo(request: &Fields<'_>) -> Result<Map<String, Value>, AskError> {
    request.decimal("temperature", 0.0..=2.0)?;
    request.decimal("top_p", 0.0..=1.0)?;
    request.integer("max_tool_calls", 0..=i64::MAX)?;
    request.object("metadata")?;
    const NULLABLE: [&str; 8] = [
        "instructions",
        "max_output_tokens",
        "max_tool_calls",
        "previous_response_id",
        "temperature",
        "top_p",
        "safety_identifier",
        "prompt_cache_key",
    ];
    let shown = |name: &str| request.value(name).cloned().unwrap_or_default();
    let mut echo: Map<String, Value> =
        NULLABLE.iter().map(|name| ((*name).to_owned(), shown(name))).collect();
    for name in ["safety_identifier", "prompt_cache_key"] {
        request.string(name)?;
    }
    echo.extend(request.string("user")?.map(|user| ("user".to_owned(), user.into())));
    echo.insert("top_logprobs".into(), request.value("top_logprobs").cloned().unwrap_or(0.into()));
    echo.insert("metadata".into(), request.value("metadata").cloned().unwrap_or(json!({})));
    let effort = match request.object("reasoning")? {
        Some(reasoning) => reasoning.string("effort")?,
        None => None,
    };
    echo.insert("reasoning".into(), json!({ "effort": effort, "summary": null }));
    let truncation = request.string("truncation")?.unwrap_or("disabled");
    if !["auto", "disabled"].contains(&truncation) {
        return Err(AskError::not_one_of("truncation", truncation, &["auto", "disabled"]));
    }
    // Nothing is ever left out, whatever is asked for.
    echo.insert("truncation".into(), "disabled".into());
    Ok(echo)
}

#[cfg(test)]
mod tests;
