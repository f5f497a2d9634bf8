//! Anthropic's turns, which are made of content blocks, as messages of a chat.

use serde_json::{Value, json};

use crate::{error::AskError, fields::Fields};

const FORM: &str = "a string or an array of objects";

/// `messages`, which has at least one turn.
pub(super) fn messages(request: &Fields<'_>) -> Result<Vec<Value>, AskError> {
    let Some(turns) = request.array("messages")? else {
        return Err(request.missing_field("messages", "an array"));
    };
    if turns.is_empty() {
        return Err(AskError::empty_array("messages"));
    }
    let mut messages = Vec::new();
    for (index, turn) in turns.iter().enumerate() {
        let turn = Fields::at(turn, format!("messages[{index}]"))?;
        match turn.required_string("role")? {
            "user" => user(&turn, &mut messages)?,
            "assistant" => messages.push(assistant(&turn)?),
            "system" => messages.push(json!({ "role": "system", "content": text(&turn)? })),
            role => {
                let path = turn.path("role");
                return Err(AskError::not_one_of(&path, role, &["user", "assistant"]));
            }
        }
    }
    Ok(messages)
}

/// The text of blocks that must be text, joined as a chat's parts are.
pub(super) fn texts(blocks: &[Value], path: &str) -> Result<String, AskError> {
    let mut texts = Vec::with_capacity(blocks.len());
    for (index, block) in blocks.iter().enumerate() {
        let block = Fields::at(block, format!("{path}[{index}]"))?;
        match block.required_string("type")? {
            "text" => texts.push(block.required_string("text")?.to_owned()),
            kind => return Err(AskError::not_one_of(&block.path("type"), kind, &["text"])),
        }
    }
    Ok(texts.join("\n"))
}

/// The blocks of a turn. A text is one block.
fn blocks(turn: &Fields<'_>) -> Result<Vec<Value>, AskError> {
    match turn.value("content") {
        Some(Value::String(text)) => Ok(vec![json!({ "type": "text", "text": text })]),
        Some(Value::Array(blocks)) => Ok(blocks.clone()),
        Some(value) => Err(AskError::wrong_type(&turn.path("content"), FORM, value)),
        None => Err(turn.missing_field("content", FORM)),
    }
}

fn text(turn: &Fields<'_>) -> Result<String, AskError> {
    texts(&blocks(turn)?, &turn.path("content"))
}

/// Results of calls become messages of their own, before the rest of the turn.
fn user(turn: &Fields<'_>, messages: &mut Vec<Value>) -> Result<(), AskError> {
    let path = turn.path("content");
    let mut parts = Vec::new();
    for (index, block) in blocks(turn)?.iter().enumerate() {
        let block = Fields::at(block, format!("{path}[{index}]"))?;
        if block.required_string("type")? == "tool_result" {
            messages.push(result(&block, messages)?);
        } else {
            parts.push(part(&block)?);
        }
    }
    let has_results = messages.last().is_some_and(|last| last["role"] == "tool");
    if parts.is_empty() && !has_results {
        return Err(AskError::empty_array(&path));
    }
    if !parts.is_empty() {
        messages.push(json!({ "role": "user", "content": parts }));
    }
    Ok(())
}

fn part(block: &Fields<'_>) -> Result<Value, AskError> {
    match block.required_string("type")? {
        "text" => Ok(json!({ "type": "text", "text": block.required_string("text")? })),
        "image" => {
            let url = image(block)?;
            Ok(json!({ "type": "image_url", "image_url": { "url": url } }))
        }
        media @ ("document" | "search_result") => Err(AskError::unsupported_value(
            &block.path("type"),
            &format!("The models here cannot read '{media}' content."),
        )),
        kind => {
            let kinds = ["text", "image", "tool_result"];
            Err(AskError::not_one_of(&block.path("type"), kind, &kinds))
        }
    }
}

/// An image as a URL.
fn image(block: &Fields<'_>) -> Result<String, AskError> {
    let Some(source) = block.object("source")? else {
        return Err(block.missing_field("source", "an object"));
    };
    match source.required_string("type")? {
        "url" => source.required_string("url").map(str::to_owned),
        "base64" => {
            let media_type = source.required_string("media_type")?;
            Ok(format!("data:{media_type};base64,{}", source.required_string("data")?))
        }
        kind => Err(AskError::not_one_of(&source.path("type"), kind, &["base64", "url"])),
    }
}

/// The result of a call.
fn result(block: &Fields<'_>, messages: &[Value]) -> Result<Value, AskError> {
    let id = block.required_string("tool_use_id")?;
    let calls = messages.iter().filter_map(|message| message["tool_calls"].as_array());
    if !calls.flatten().any(|call| call["id"] == id) {
        let id: String = id.chars().take(64).collect();
        let message =
            format!("Unexpected 'tool_use_id' {id}: no earlier 'tool_use' block has this id.");
        return Err(AskError::plain(Some(&block.path("tool_use_id")), message));
    }
    let is_error = block.boolean("is_error")?.unwrap_or(false);
    let text = match block.value("content") {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(blocks)) => texts(blocks, &block.path("content"))?,
        Some(value) => return Err(AskError::wrong_type(&block.path("content"), FORM, value)),
    };
    let content = if is_error { format!("Error: {text}") } else { text };
    Ok(json!({ "role": "tool", "tool_call_id": id, "content": content }))
}

/// Text and calls, without the model's thoughts.
fn assistant(turn: &Fields<'_>) -> Result<Value, AskError> {
    let path = turn.path("content");
    let (mut texts, mut calls) = (Vec::new(), Vec::new());
    for (index, block) in blocks(turn)?.iter().enumerate() {
        let block = Fields::at(block, format!("{path}[{index}]"))?;
        match block.required_string("type")? {
            "text" => texts.push(block.required_string("text")?.to_owned()),
            "thinking" | "redacted_thinking" => {}
            "tool_use" => {
                let (id, name) = (block.required_string("id")?, block.required_string("name")?);
                if block.object("input")?.is_none() {
                    return Err(block.missing_field("input", "an object"));
                }
                let arguments = block.value("input").map_or_else(String::new, Value::to_string);
                let function = json!({ "name": name, "arguments": arguments });
                calls.push(json!({ "id": id, "type": "function", "function": function }));
            }
            kind => {
                let kinds = ["text", "tool_use", "thinking", "redacted_thinking"];
                return Err(AskError::not_one_of(&block.path("type"), kind, &kinds));
            }
        }
    }
    if calls.is_empty() {
        return Ok(json!({ "role": "assistant", "content": texts.join("\n") }));
    }
    let content = if texts.is_empty() { Value::Null } else { texts.join("\n").into() };
    Ok(json!({ "role": "assistant", "content": content, "tool_calls": calls }))
}
