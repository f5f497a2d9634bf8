//! The conversation: every role and shape that SDKs send, brought down to role and text.

use serde_json::Value;
use shoal_proto::generate::ChatMessage;

use super::{error::AskError, fields::Fields};

/// Roles as OpenAI lists them; `function` is the deprecated name of `tool`.
const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];

/// Parts that OpenAI knows and no member can read yet.
const OTHER_MEDIA: [&str; 5] = ["image_url", "input_audio", "file", "video_url", "audio_url"];

/// What separates text parts of one message. The spec does not say; vLLM does the same.
const PART_SEPARATOR: &str = "\n";

/// Reads `messages`: not empty, and every tool message answers a call before it.
pub(super) fn read(request: &Fields<'_>) -> Result<Vec<ChatMessage>, AskError> {
    let Some(values) = request.array("messages")? else {
        return Err(request.absent("messages", "an array"));
    };
    if values.is_empty() {
        return Err(AskError::empty_array("messages"));
    }
    let mut calls_open = false;
    let mut messages = Vec::with_capacity(values.len());
    for (index, value) in values.iter().enumerate() {
        let fields = Fields::at(value, format!("messages[{index}]"))?;
        let role = fields.required_string("role")?;
        fields.string("name")?;
        let content = match role {
            "system" | "developer" | "user" => required_content(&fields)?,
            "assistant" => assistant(&fields)?,
            "function" => required_content(&fields)?,
            "tool" if calls_open => {
                fields.required_string("tool_call_id")?;
                required_content(&fields)?
            }
            "tool" => return Err(orphan(index)),
            other => return Err(AskError::not_one_of(&fields.path("role"), other, &ROLES)),
        };
        calls_open = match role {
            "assistant" => fields.value("tool_calls").is_some(),
            "tool" => calls_open,
            _ => false,
        };
        let role = if role == "function" { "tool" } else { role };
        messages.push(ChatMessage { role: role.to_owned(), content, ..ChatMessage::default() });
    }
    Ok(messages)
}

/// OpenAI writes this one path with a dot before the bracket, and clients match on it.
fn orphan(index: usize) -> AskError {
    AskError::plain(
        Some(&format!("messages.[{index}].role")),
        "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    )
}

fn required_content(fields: &Fields<'_>) -> Result<String, AskError> {
    content(fields)?.ok_or_else(|| fields.absent("content", "a string or an array of objects"))
}

/// An assistant's turn, as SDKs dump it: text, or a refusal, or calls in the place of text.
fn assistant(fields: &Fields<'_>) -> Result<String, AskError> {
    let text = content(fields)?;
    let refusal = fields.string("refusal")?.map(str::to_owned);
    let calls = tool_calls(fields)?;
    let call = fields.object("function_call")?.map(|call| function(&call)).transpose()?;
    if text.is_none() && refusal.is_none() && calls.is_empty() && call.is_none() {
        return Err(fields.absent("content", "a string or an array of objects"));
    }
    let turn = text.into_iter().chain(refusal).chain(calls).chain(call).collect::<Vec<_>>();
    Ok(turn.join(PART_SEPARATOR))
}

/// Earlier calls, one line of JSON each: a member without tools can still read what was called.
fn tool_calls(fields: &Fields<'_>) -> Result<Vec<String>, AskError> {
    let Some(calls) = fields.array("tool_calls")? else { return Ok(Vec::new()) };
    let path = fields.path("tool_calls");
    if calls.is_empty() {
        return Err(AskError::empty_array(&path));
    }
    let read = |(index, call): (usize, &Value)| {
        let call = Fields::at(call, format!("{path}[{index}]"))?;
        call.required_string("id")?;
        match call.object("function")? {
            Some(named) => function(&named),
            None => Err(call.absent("function", "an object")),
        }
    };
    calls.iter().enumerate().map(read).collect()
}

fn function(call: &Fields<'_>) -> Result<String, AskError> {
    let name = call.required_string("name")?;
    let arguments = call.required_string("arguments")?;
    Ok(serde_json::json!({ "name": name, "arguments": arguments }).to_string())
}

/// `content` as text; `None` when absent or null.
fn content(fields: &Fields<'_>) -> Result<Option<String>, AskError> {
    let path = fields.path("content");
    match fields.value("content") {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(Value::Array(parts)) if parts.is_empty() => Err(AskError::empty_array(&path)),
        Some(Value::Array(parts)) => {
            let read = |(index, value): (usize, &Value)| part(value, format!("{path}[{index}]"));
            let texts = parts.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
            Ok(Some(texts.join(PART_SEPARATOR)))
        }
        Some(other) => Err(AskError::wrong_type(&path, "a string or an array of objects", other)),
    }
}

fn part(value: &Value, path: String) -> Result<String, AskError> {
    let fields = Fields::at(value, path)?;
    match fields.required_string("type")? {
        "text" => fields.required_string("text").map(str::to_owned),
        "refusal" => fields.required_string("refusal").map(str::to_owned),
        media if OTHER_MEDIA.contains(&media) => Err(AskError::unsupported_value(
            &fields.path("type"),
            &format!("The models here read text only, '{media}' content cannot be used."),
        )),
        other => Err(AskError::not_one_of(&fields.path("type"), other, &["text", "refusal"])),
    }
}
