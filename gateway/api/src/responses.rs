//! `POST /v1/responses`, rewritten to a chat.

pub mod compaction;
mod encoder;
pub mod wire;
mod items;
mod summary;
mod tools;

use serde_json::{Map, Value, json};

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::Fields,
};
pub use encoder::ResponseEncoder;
pub(crate) use items::check as check_items;
use shoal_consensus::ask::Limits;

/// Lowest limit of tokens (OpenAI's limit).
const TOKENS_MIN: i64 = 16;
/// Most alternatives in `top_logprobs` (OpenAI's limit).
const TOP_LOGPROBS_MAX: i64 = 20;

/// The word in `include` for the log-probabilities of the answer's tokens.
const LOGPROBS: &str = "message.output_text.logprobs";

/// This endpoint's names for a chat's fields.
pub const NAMES: endpoint::FieldNames<'_> = &[
    ("messages", "input."),
    ("max_completion_tokens", "max_output_tokens"),
    ("reasoning_effort", "reasoning.effort"),
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
];

/// This endpoint's own fields. Other fields are ignored, or refused if the operator is strict.
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

/// Fields that would change the answer and that nothing here supports, with the reason.
const MISSING_FEATURES: [(&str, &str); 2] = [
    ("prompt", "There are no stored prompts: send 'input'."),
    ("context_management", "A conversation that is too long is refused, never cut."),
];

/// A request with valid fields. [`Self::ask`] adds the earlier turns.
#[derive(Clone, Debug)]
pub struct ResponseRequest {
    /// The model's name as the client sent it.
    pub model: String,
    /// The new items of this turn.
    pub input: Vec<Value>,
    /// Id of the response before this one.
    pub previous: Option<String>,
    /// Id of the stored conversation that this turn continues.
    pub conversation: Option<String>,
    /// The response is stored, so that clients can get and follow it later.
    pub store: bool,
    /// The answer is made in the background.
    pub background: bool,
    /// The answer is sent as events.
    pub stream: bool,
    /// The fields of the request that the response repeats.
    pub echo: Map<String, Value>,
    chat: Map<String, Value>,
    instructions: Option<String>,
}

impl ResponseRequest {
    /// Checks a request's body, except for what depends on earlier turns.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        Self::from_object(&object(body)?, limits)
    }

    fn from_object(map: &Map<String, Value>, limits: &Limits) -> Result<Self, AskError> {
        let request = Fields::root(map);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        for (name, why) in MISSING_FEATURES {
            if request.value(name).is_some_and(|value| *value != json!([])) {
                return Err(AskError::unsupported_parameter(name, why));
            }
        }
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let input = items::read(&request)?;
        let (store, background) = (request.boolean("store")?, request.boolean("background")?);
        let background = background.unwrap_or(false);
        if background && store == Some(false) {
            let message = "A background response must be stored: leave out 'store'.";
            return Err(AskError::plain(Some("background"), message));
        }
        let mut chat = endpoint::chat(map);
        // Here `store` means that the response can be fetched. In a chat it means consent to
        // training, which is never the default.
        chat.remove("store");
        sampling(&request, &mut chat)?;
        let mut tools = tools::read(&request, &mut chat)?;
        let left_out = tools.remove(tools::LEFT_OUT).filter(|note| *note != "");
        let text = text(&request, &mut chat)?;
        let instructions = request.string("instructions")?.map(str::to_owned);
        let previous = request.string("previous_response_id")?.map(str::to_owned);
        let conversation = conversation(&request)?;
        if previous.is_some() && conversation.is_some() {
            return Err(AskError::combination("conversation", "previous_response_id"));
        }
        let mut echo = echo(&request)?;
        echo.extend(tools);
        let conversation_echo = conversation.as_ref().map(|id| json!({ "id": id }));
        echo.extend(conversation_echo.map(|echo| ("conversation".to_owned(), echo)));
        if let Some(metadata) = echo.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.extend(left_out.map(|note| (tools::LEFT_OUT.to_owned(), note)));
        }
        echo.insert("text".into(), text);
        Ok(Self {
            model,
            input,
            previous,
            conversation,
            store: store.unwrap_or(true),
            background,
            stream: request.boolean("stream")?.unwrap_or(false),
            echo,
            chat,
            instructions,
        })
    }

    /// The request as a chat, after the items of `earlier` turns.
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

/// `conversation`: an id, or an object with the id.
fn conversation(request: &Fields<'_>) -> Result<Option<String>, AskError> {
    match request.value("conversation") {
        None => Ok(None),
        Some(Value::String(id)) => Ok(Some(id.clone())),
        Some(value) => {
            let object = Fields::at(value, "conversation".into())?;
            Ok(Some(object.required_string("id")?.to_owned()))
        }
    }
}

/// Numbers with another name or another limit than in a chat.
fn sampling(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<(), AskError> {
    if let Some(max) = request.integer("max_output_tokens", TOKENS_MIN..=i64::MAX)? {
        chat.insert("max_completion_tokens".into(), max.into());
    }
    let include = request.array("include")?;
    let wants_logprobs = include.is_some_and(|values| values.iter().any(|value| value == LOGPROBS));
    let top = request.integer("top_logprobs", 0..=TOP_LOGPROBS_MAX)?;
    if wants_logprobs || top.is_some_and(|top| top > 0) {
        chat.insert("logprobs".into(), true.into());
        chat.insert("top_logprobs".into(), top.unwrap_or(0).into());
    }
    chat.extend(effort(request)?.map(|effort| ("reasoning_effort".to_owned(), effort.into())));
    Ok(())
}

/// `reasoning.effort`.
fn effort<'a>(request: &Fields<'a>) -> Result<Option<&'a str>, AskError> {
    match request.object("reasoning")? {
        Some(options) => options.string("effort"),
        None => Ok(None),
    }
}

/// Puts `text.format` into the chat as `response_format`. Returns `text` as the response repeats
/// it.
fn text(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<Value, AskError> {
    const FORMATS: [&str; 3] = ["text", "json_object", "json_schema"];
    let plain = json!({ "format": { "type": "text" } });
    let Some(text) = request.object("text")? else { return Ok(plain) };
    let Some(format) = text.object("format")? else { return Ok(plain) };
    let echo = text.value("format").cloned().unwrap_or_default();
    match format.required_string("type")? {
        "text" => {}
        "json_object" => {
            chat.insert("response_format".into(), json!({ "type": "json_object" }));
        }
        "json_schema" => {
            format.required_string("name")?;
            if format.object("schema")?.is_none() {
                return Err(format.missing_field("schema", "an object"));
            }
            let mut schema = echo.as_object().cloned().unwrap_or_default();
            schema.remove("type");
            let format = json!({ "type": "json_schema", "json_schema": schema });
            chat.insert("response_format".into(), format);
        }
        kind => return Err(AskError::not_one_of("text.format.type", kind, &FORMATS)),
    }
    Ok(json!({ "format": echo }))
}

/// The fields that the response repeats. A field that the request does not have is null or has its
/// default.
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
    let mut echo = Map::new();
    for name in NULLABLE {
        echo.insert(name.into(), request.value(name).cloned().unwrap_or_default());
    }
    for name in ["safety_identifier", "prompt_cache_key"] {
        request.string(name)?;
    }
    echo.extend(request.string("user")?.map(|user| ("user".to_owned(), user.into())));
    echo.insert("top_logprobs".into(), request.value("top_logprobs").cloned().unwrap_or(0.into()));
    echo.insert("metadata".into(), request.value("metadata").cloned().unwrap_or(json!({})));
    echo.insert("reasoning".into(), json!({ "effort": effort(request)?, "summary": null }));
    let truncation = request.string("truncation")?.unwrap_or("disabled");
    if !["auto", "disabled"].contains(&truncation) {
        return Err(AskError::not_one_of("truncation", truncation, &["auto", "disabled"]));
    }
    // A conversation is never cut, even if the client allows it.
    echo.insert("truncation".into(), "disabled".into());
    Ok(echo)
}

#[cfg(test)]
mod tests;
