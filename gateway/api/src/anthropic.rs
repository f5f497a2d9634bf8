//! `POST /v1/messages`: Anthropic's messages, rewritten to a chat.

mod encoder;
pub mod wire;
mod blocks;
mod tools;

use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::Fields,
};
pub use encoder::MessageEncoder;
use shoal_consensus::ask::Limits;

/// This endpoint's names for a chat's fields.
pub const NAMES: endpoint::FieldNames<'_> = &[
    ("messages", "messages."),
    ("max_completion_tokens", "max_tokens"),
    ("stop", "stop_sequences"),
    ("response_format", "output_config.format."),
    ("reasoning_effort", "output_config.effort"),
    ("user", "metadata.user_id"),
];

/// This endpoint's own fields. Other fields are ignored, or refused if the operator is strict.
const FIELDS: [&str; 14] = [
    "messages",
    "max_tokens",
    "system",
    "stop_sequences",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "container",
    "mcp_servers",
    "service_tier",
    "context_management",
    "inference_geo",
    "cache_control",
];

/// A checked request.
#[derive(Clone, Debug)]
pub struct MessageRequest {
    /// The request as a chat.
    pub chat: ChatRequest,
}

impl MessageRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Self::read(&map, limits)?;
        blocks::check_last(&Fields::root(&map))?;
        Ok(request)
    }

    /// Checks the body of a request to count tokens. `model` names the member that counts, given the name
    /// that the client sent; it then reads the conversation and writes a single token.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse_count(
        body: &[u8],
        limits: &Limits,
        model: impl FnOnce(&str) -> String,
    ) -> Result<Self, AskError> {
        let mut map = object(body)?;
        if let Some(name) = map.get("model").and_then(Value::as_str).filter(|name| !name.is_empty())
        {
            let name = model(name);
            map.insert("model".into(), name.into());
        }
        map.insert("max_tokens".into(), 1.into());
        for name in ["stream", "output_config", "stop_sequences"] {
            map.remove(name);
        }
        Self::read(&map, limits)
    }

    fn read(map: &Map<String, Value>, limits: &Limits) -> Result<Self, AskError> {
        let request = Fields::root(map);
        match request.string("model")? {
            Some(model) if !model.is_empty() => {}
            _ => return Err(AskError::missing_parameter("model")),
        }
        let Some(max_tokens) = request.integer("max_tokens", 1..=i64::MAX)? else {
            return Err(request.missing_field("max_tokens", "an integer"));
        };
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let mut chat = common_fields(map);
        chat.insert("max_completion_tokens".into(), max_tokens.into());
        let mut messages: Vec<Value> = system(&request)?.into_iter().collect();
        messages.extend(blocks::messages(&request)?);
        chat.insert("messages".into(), messages.into());
        chat.extend(map.get("stop_sequences").map(|stop| ("stop".to_owned(), stop.clone())));
        if let Some(metadata) = request.object("metadata")?
            && let Some(user) = metadata.string("user_id")?
        {
            chat.insert("user".into(), user.into());
        }
        tools::read(&request, &mut chat)?;
        output(&request, &mut chat)?;
        check_thinking(&request)?;
        for name in ["container", "mcp_servers"] {
            if request.value(name).is_some_and(|value| *value != json!([])) {
                let why = "Nothing here implements it.";
                return Err(AskError::unsupported_parameter(name, why));
            }
        }
        Ok(Self { chat: endpoint::parse(&chat, limits, NAMES)? })
    }
}

/// A chat with the fields that mean the same here and in a chat.
fn common_fields(map: &Map<String, Value>) -> Map<String, Value> {
    let mut chat = endpoint::chat(map);
    // Anthropic does not have these fields of OpenAI's, or gives them another meaning.
    for name in ["store", "metadata", "user", "stop"] {
        chat.remove(name);
    }
    chat
}

/// `system`: a text or text blocks.
fn system(request: &Fields<'_>) -> Result<Option<Value>, AskError> {
    let text = match request.value("system") {
        None => return Ok(None),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => blocks::texts(blocks, "system")?,
        Some(value) => {
            return Err(AskError::wrong_type("system", "a string or an array of objects", value));
        }
    };
    Ok((!text.is_empty()).then(|| json!({ "role": "system", "content": text })))
}

/// `output_config`: a JSON schema for the answer, and the effort.
fn output(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<(), AskError> {
    let Some(config) = request.object("output_config")? else { return Ok(()) };
    if let Some(effort) = config.string("effort")? {
        chat.insert("reasoning_effort".into(), effort.into());
    }
    let Some(format) = config.object("format")? else { return Ok(()) };
    let kind = format.required_string("type")?;
    if kind != "json_schema" {
        return Err(AskError::not_one_of(&format.path("type"), kind, &["json_schema"]));
    }
    if format.object("schema")?.is_none() {
        return Err(format.missing_field("schema", "an object"));
    }
    let schema = json!({ "name": "answer", "schema": format.value("schema"), "strict": true });
    let format = json!({ "type": "json_schema", "json_schema": schema });
    chat.insert("response_format".into(), format);
    Ok(())
}

/// `thinking` is checked and has no effect: members do not return their thoughts.
fn check_thinking(request: &Fields<'_>) -> Result<(), AskError> {
    const KINDS: [&str; 3] = ["enabled", "disabled", "adaptive"];
    let Some(config) = request.object("thinking")? else { return Ok(()) };
    match config.required_string("type")? {
        kind if KINDS.contains(&kind) => Ok(()),
        kind => Err(AskError::not_one_of("thinking.type", kind, &KINDS)),
    }
}

#[cfg(test)]
mod tests;
