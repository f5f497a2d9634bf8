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

/// Refuses a conversation that ends with an answer which the model shall go on with: a member's chat
/// template always begins a new turn.
pub(super) fn check_last(request: &Fields<'_>) -> Result<(), AskError> {
    let turns = request.array("messages")?.map(Vec::as_slice).unwrap_or_default();
    let Some(last) = turns.last().filter(|turn| turn["role"] == "assistant") else { return Ok(()) };
    let blocks = last["content"].as_array().into_iter().flatten();
    if blocks.clone().any(|block| block["type"] == "tool_use") {
        return Ok(());
    }
    let path = format!("messages[{}].role", turns.len() - 1);
    let why =
        "The models here cannot continue an assistant's turn (a prefill): end with a user's turn.";
    Err(AskError::unsupported_value(&path, why))
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
        match block.required_string("type")? {
            "tool_result" => messages.push(result(&block, messages)?),
            "text" | "image" => parts.push(part(&block)?),
            _ => parts.push(text_of_block(&block)?),
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
        _ => text_of_block(block),
    }
}

/// A block of another kind as the text that it has. A client sends what its model once made of it, so that
/// a refusal would end the whole conversation.
fn text_of_block(block: &Fields<'_>) -> Result<Value, AskError> {
    let kind = block.required_string("type")?;
    let text = match kind {
        "tool_reference" => format!("Tool: {}", block.required_string("tool_name")?),
        "document" | "search_result" => readable(block)?,
        _ => String::new(),
    };
    let kind: String = kind.chars().take(64).collect();
    let text = if text.is_empty() { format!("[{kind}: left out]") } else { text };
    Ok(json!({ "type": "text", "text": text }))
}

/// The text of a document or a search result; empty if it has none.
fn readable(block: &Fields<'_>) -> Result<String, AskError> {
    let mut texts: Vec<String> = block.string("title")?.into_iter().map(str::to_owned).collect();
    let before = texts.len();
    if let Some(source) = block.value("source").filter(|source| source["type"] == "text") {
        texts.extend(source["data"].as_str().map(str::to_owned));
    }
    let contents = [block.value("content"), block.value("source").map(|source| &source["content"])];
    for content in contents.into_iter().flatten() {
        let parts = content.as_array().into_iter().flatten();
        texts.extend(parts.filter_map(|part| part["text"].as_str()).map(str::to_owned));
    }
    Ok(if texts.len() > before { texts.join("\n") } else { String::new() })
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
    let mut parts: Vec<Value> =
        if is_error { vec![json!({ "type": "text", "text": "Error:" })] } else { Vec::new() };
    match block.value("content") {
        None => {}
        Some(Value::String(text)) if is_error => {
            parts = vec![json!({ "type": "text", "text": format!("Error: {text}") })];
        }
        Some(Value::String(text)) => parts.push(json!({ "type": "text", "text": text })),
        Some(Value::Array(blocks)) => {
            let path = block.path("content");
            for (index, value) in blocks.iter().enumerate() {
                parts.push(part(&Fields::at(value, format!("{path}[{index}]"))?)?);
            }
        }
        Some(value) => return Err(AskError::wrong_type(&block.path("content"), FORM, value)),
    }
    let content = if parts.is_empty() { "".into() } else { Value::Array(parts) };
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
            // Calls of the provider's own tools with their results, which no function here answers.
            _ => {}
        }
    }
    if calls.is_empty() {
        return Ok(json!({ "role": "assistant", "content": texts.join("\n") }));
    }
    let content = if texts.is_empty() { Value::Null } else { texts.join("\n").into() };
    Ok(json!({ "role": "assistant", "content": content, "tool_calls": calls }))
}
