//! The items of a response's input as messages of a chat.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::summary;
use crate::{error::AskError, fields::Fields};

const ROLES: [&str; 4] = ["user", "assistant", "system", "developer"];
/// Parts that OpenAI supports and no member can read.
const OTHER_MEDIA: [&str; 2] = ["input_file", "input_audio"];

/// `input` as items, each of which is checked. A text is a user's message.
pub(super) fn read(request: &Fields<'_>) -> Result<Vec<Value>, AskError> {
    let items = match request.value("input") {
        None => return Err(request.missing_field("input", "a string or an array")),
        Some(Value::String(text)) => vec![json!({
            "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }],
        })],
        Some(Value::Array(items)) if items.is_empty() => {
            return Err(AskError::empty_array("input"));
        }
        Some(Value::Array(items)) => items.clone(),
        Some(value) => return Err(AskError::wrong_type("input", "a string or an array", value)),
    };
    check(&items, "input")?;
    Ok(items)
}

/// Checks the items of the array `name`.
///
/// # Errors
/// The first field that is wrong.
pub(crate) fn check(items: &[Value], name: &str) -> Result<(), AskError> {
    for (index, item) in items.iter().enumerate() {
        turn(item, &format!("{name}[{index}]"))?;
    }
    Ok(())
}

/// The conversation: the earlier items, then the new ones.
///
/// # Errors
/// When a result has no call before it.
pub(super) fn messages(earlier: &[Value], new: &[Value]) -> Result<Vec<Value>, AskError> {
    let mut messages: Vec<Value> = Vec::new();
    let mut call_ids: BTreeSet<String> = BTreeSet::new();
    let mut left_out: BTreeSet<String> = BTreeSet::new();
    let turns = earlier.iter().map(|item| (item, "input".to_owned()));
    let new = new.iter().enumerate().map(|(index, item)| (item, format!("input[{index}]")));
    for (item, path) in turns.chain(new) {
        match turn(item, &path)? {
            Turn::Message(message) => messages.push(message),
            Turn::Call { id, call } => {
                call_ids.insert(id);
                append(&mut messages, call);
            }
            // The result of a call that was left out.
            Turn::Result { id, .. } if left_out.contains(&id) => {}
            Turn::Result { id, message } => {
                if !call_ids.contains(&id) {
                    let id: String = id.chars().take(64).collect();
                    let message = format!("No tool call found for function call output {id}.");
                    return Err(AskError::plain(Some("input"), message));
                }
                messages.push(message);
            }
            Turn::Other { id } => left_out.extend(id),
        }
    }
    Ok(messages)
}

/// Adds a call to the assistant's last message, so that the calls of a turn are together.
fn append(messages: &mut Vec<Value>, call: Value) {
    let last = messages.last_mut().filter(|message| message["role"] == "assistant");
    if let Some(message) = last.and_then(Value::as_object_mut) {
        let calls = message.entry("tool_calls").or_insert_with(|| json!([]));
        if let Some(calls) = calls.as_array_mut() {
            return calls.push(call);
        }
    }
    messages.push(json!({ "role": "assistant", "content": null, "tool_calls": [call] }));
}

/// What one item is in a chat.
enum Turn {
    Message(Value),
    Call {
        id: String,
        call: Value,
    },
    Result {
        id: String,
        message: Value,
    },
    /// A model's thoughts, and what tools did that nobody has here; `id` is that of the call. They are not
    /// sent to the next model.
    Other {
        id: Option<String>,
    },
}

fn turn(item: &Value, path: &str) -> Result<Turn, AskError> {
    let item = Fields::at(item, path.to_owned())?;
    match item.string("type")?.unwrap_or("message") {
        "message" => message(&item).map(Turn::Message),
        "function_call" => {
            let id = item.required_string("call_id")?;
            let (name, arguments) =
                (item.required_string("name")?, item.required_string("arguments")?);
            let function = json!({ "name": name, "arguments": arguments });
            let call = json!({ "id": id, "type": "function", "function": function });
            Ok(Turn::Call { id: id.to_owned(), call })
        }
        "function_call_output" | "custom_tool_call_output" => {
            let id = item.required_string("call_id")?.to_owned();
            let content = content(&item, "output")?;
            let message = json!({ "role": "tool", "tool_call_id": id, "content": content });
            Ok(Turn::Result { id, message })
        }
        // The call of a function whose argument is a text.
        "custom_tool_call" => {
            let (id, name) = (item.required_string("call_id")?, item.required_string("name")?);
            let arguments = json!({ "input": item.required_string("input")? }).to_string();
            let function = json!({ "name": name, "arguments": arguments });
            let call = json!({ "id": id, "type": "function", "function": function });
            Ok(Turn::Call { id: id.to_owned(), call })
        }
        "item_reference" => Err(AskError::unsupported_value(
            &item.path("type"),
            "Send the item itself, or 'previous_response_id'.",
        )),
        "compaction" => {
            Ok(summary::message(&item)?.map_or(Turn::Other { id: None }, Turn::Message))
        }
        // The output of an item that is left out is left out by its id.
        _ => Ok(Turn::Other { id: item.string("call_id")?.map(str::to_owned) }),
    }
}

fn message(item: &Fields<'_>) -> Result<Value, AskError> {
    let role = item.required_string("role")?;
    if !ROLES.contains(&role) {
        return Err(AskError::not_one_of(&item.path("role"), role, &ROLES));
    }
    Ok(json!({ "role": role, "content": content(item, "content")? }))
}

/// A text or parts, in a chat's form.
fn content(item: &Fields<'_>, name: &str) -> Result<Value, AskError> {
    const FORM: &str = "a string or an array of objects";
    let path = item.path(name);
    match item.value(name) {
        None => Err(item.missing_field(name, FORM)),
        Some(text @ Value::String(_)) => Ok(text.clone()),
        // Clients send the message of an answer that has only calls with an empty content.
        Some(Value::Array(parts)) if parts.is_empty() => Ok("".into()),
        Some(Value::Array(parts)) => {
            let parts = parts.iter().enumerate();
            let parts = parts.map(|(index, value)| part(value, format!("{path}[{index}]")));
            Ok(parts.collect::<Result<Vec<_>, _>>()?.into())
        }
        Some(value) => Err(AskError::wrong_type(&path, FORM, value)),
    }
}

fn part(value: &Value, path: String) -> Result<Value, AskError> {
    const KINDS: [&str; 4] = ["input_text", "input_image", "output_text", "refusal"];
    let part = Fields::at(value, path)?;
    match part.required_string("type")? {
        "input_text" | "output_text" | "text" => {
            Ok(json!({ "type": "text", "text": part.required_string("text")? }))
        }
        "refusal" => Ok(json!({ "type": "text", "text": part.required_string("refusal")? })),
        "input_image" => {
            let Some(url) = part.string("image_url")? else {
                let why = "No files are stored here: send 'image_url'.";
                return Err(AskError::unsupported_value(&part.path("file_id"), why));
            };
            let mut image = json!({ "url": url });
            if let (Some(detail), Some(image)) = (part.string("detail")?, image.as_object_mut()) {
                image.insert("detail".into(), detail.into());
            }
            Ok(json!({ "type": "image_url", "image_url": image }))
        }
        media if OTHER_MEDIA.contains(&media) => Err(AskError::unsupported_value(
            &part.path("type"),
            &format!("The models here cannot read '{media}' content."),
        )),
        kind => Err(AskError::not_one_of(&part.path("type"), kind, &KINDS)),
    }
}
