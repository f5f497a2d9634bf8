//! The conversation: the roles and forms that SDKs send, rewritten to what members read.

use serde_json::{Value, json};
use shoal_proto::{
    generate::{ChatMessage, MESSAGES_MAX},
    tools::ToolCall,
};

use crate::{error::AskError, fields::Fields};

/// Roles as OpenAI lists them; `function` is the deprecated name of `tool`.
const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];

/// Parts that OpenAI or other servers support and no member can read.
const UNREADABLE_MEDIA: [&str; 5] = ["image_url", "input_audio", "file", "video_url", "audio_url"];

/// The separator of a message's text parts. The specification has none; vLLM uses the same.
const PART_SEPARATOR: &str = "\n";

/// Most images of one conversation. The limit of the body bounds their bytes.
const IMAGES_MAX: usize = 64;

/// A checked conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// Not empty.
    pub(super) messages: Vec<ChatMessage>,
    /// Path of the first image.
    pub(super) image: Option<String>,
}

/// Reads `messages`, which is not empty. Each tool message must follow a call.
pub(super) fn read(request: &Fields<'_>) -> Result<Conversation, AskError> {
    let Some(values) = request.array("messages")? else {
        return Err(request.missing_field("messages", "an array"));
    };
    if values.is_empty() {
        return Err(AskError::empty_array("messages"));
    }
    if values.len() > MESSAGES_MAX {
        return Err(AskError::array_too_long("messages", MESSAGES_MAX, values.len()));
    }
    let mut conversation = Conversation::default();
    let mut has_calls = false;
    // Pictures that functions returned, which follow the results in a user's message.
    let mut pictures = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let fields = Fields::at(value, format!("messages[{index}]"))?;
        let role = fields.required_string("role")?;
        let message = match role {
            "system" | "developer" | "user" => prose(&fields, &mut conversation.image)?,
            "assistant" => assistant(&fields, index)?,
            "function" => function_result(&fields, &conversation.messages)?,
            "tool" => {
                let result = tool_result(&fields, &mut conversation.image, &mut pictures)?;
                if let Some(place) = earlier_place(&conversation.messages, &result.tool_call_id) {
                    let name = fields.string("name")?.unwrap_or_default().to_owned();
                    let result = ChatMessage { role: "tool".to_owned(), name, ..result };
                    conversation.messages.insert(place, result);
                    continue;
                }
                if !has_calls {
                    return Err(orphan(index));
                }
                result
            }
            role => return Err(AskError::not_one_of(&fields.path("role"), role, &ROLES)),
        };
        if role != "tool" {
            show(&mut pictures, &mut conversation.messages);
        }
        has_calls = match role {
            "assistant" => !message.tool_calls.is_empty(),
            "tool" => has_calls,
            _ => false,
        };
        let role = if role == "function" { "tool" } else { role }.to_owned();
        let name = fields.string("name")?.unwrap_or_default().to_owned();
        conversation.messages.push(ChatMessage { role, name, ..message });
    }
    show(&mut pictures, &mut conversation.messages);
    let images: usize = conversation.messages.iter().map(|message| message.images.len()).sum();
    if images > IMAGES_MAX {
        return Err(AskError::array_too_long("messages", IMAGES_MAX, images));
    }
    Ok(conversation)
}

/// Where the result of a call belongs if other messages came between: behind the call and the results
/// that are there. `None` if it belongs at the end, or nowhere.
fn earlier_place(messages: &[ChatMessage], id: &str) -> Option<usize> {
    let calls =
        messages.iter().rposition(|message| message.tool_calls.iter().any(|call| call.id == id))?;
    let results =
        messages.iter().skip(calls + 1).take_while(|message| message.role == "tool").count();
    let place = calls + 1 + results;
    (place < messages.len()).then_some(place)
}

/// Puts the pictures that functions returned into a user's message: models look at pictures only there.
fn show(pictures: &mut Vec<String>, messages: &mut Vec<ChatMessage>) {
    if pictures.is_empty() {
        return;
    }
    messages.push(ChatMessage {
        role: "user".to_owned(),
        content: "The pictures that the tools returned:".to_owned(),
        images: std::mem::take(pictures),
        ..ChatMessage::default()
    });
}

/// OpenAI writes this path with a dot before the bracket, and clients compare it.
fn orphan(index: usize) -> AskError {
    AskError::plain(
        Some(&format!("messages.[{index}].role")),
        "Invalid parameter: messages with role 'tool' must be a response to a preceding message with 'tool_calls'.",
    )
}

/// A message of text, or of text and images from a user.
fn prose(fields: &Fields<'_>, image: &mut Option<String>) -> Result<ChatMessage, AskError> {
    let allows_images = fields.string("role")? == Some("user");
    let parts = required_parts(fields, allows_images)?;
    if image.is_none() {
        image.clone_from(&parts.image);
    }
    Ok(ChatMessage { content: parts.text(), images: parts.images, ..ChatMessage::default() })
}

/// The result of a call as text. Its pictures are added to `pictures`.
fn tool_result(
    fields: &Fields<'_>,
    image: &mut Option<String>,
    pictures: &mut Vec<String>,
) -> Result<ChatMessage, AskError> {
    let tool_call_id = fields.required_string("tool_call_id")?.to_owned();
    let parts = required_parts(fields, true)?;
    let text = parts.text();
    let is_picture = text.is_empty() && !parts.images.is_empty();
    let content = if is_picture { "The result is a picture.".to_owned() } else { text };
    if image.is_none() {
        image.clone_from(&parts.image);
    }
    pictures.extend(parts.images);
    Ok(ChatMessage { content, tool_call_id, ..ChatMessage::default() })
}

/// The deprecated form: the result names the function and belongs to its last call.
fn function_result(fields: &Fields<'_>, before: &[ChatMessage]) -> Result<ChatMessage, AskError> {
    let name = fields.string("name")?.unwrap_or_default();
    let mut calls = before.iter().rev().flat_map(|message| &message.tool_calls);
    let call = calls.find(|call| call.name == name);
    let content = required_parts(fields, false)?.text();
    let tool_call_id = call.map(|call| call.id.clone()).unwrap_or_default();
    Ok(ChatMessage { content, tool_call_id, ..ChatMessage::default() })
}

/// An assistant's message as SDKs serialize it: text, a refusal, or calls in place of text.
fn assistant(fields: &Fields<'_>, index: usize) -> Result<ChatMessage, AskError> {
    let text = parts(fields, false)?.map(|parts| parts.text());
    let refusal = fields.string("refusal")?.map(str::to_owned);
    let mut tool_calls = tool_calls(fields)?;
    if let Some(call) = fields.object("function_call")? {
        // This form has no id. The message's index makes one.
        tool_calls.push(function(&call, format!("call_{index}"))?);
    }
    if text.is_none() && refusal.is_none() && tool_calls.is_empty() {
        return Err(fields.missing_field("content", "a string or an array of objects"));
    }
    // A streamed refusal was content too.
    let refusal = refusal.filter(|refusal| text.as_ref() != Some(refusal));
    let texts: Vec<String> = text.into_iter().chain(refusal).collect();
    Ok(ChatMessage { content: texts.join(PART_SEPARATOR), tool_calls, ..ChatMessage::default() })
}

fn tool_calls(fields: &Fields<'_>) -> Result<Vec<ToolCall>, AskError> {
    let Some(calls) = fields.array("tool_calls")? else { return Ok(Vec::new()) };
    let path = fields.path("tool_calls");
    if calls.is_empty() {
        return Err(AskError::empty_array(&path));
    }
    if calls.len() > shoal_proto::tools::CALLS_MAX {
        return Err(AskError::array_too_long(&path, shoal_proto::tools::CALLS_MAX, calls.len()));
    }
    let calls = calls.iter().enumerate();
    calls.map(|(index, call)| tool_call(call, format!("{path}[{index}]"))).collect()
}

fn tool_call(call: &Value, path: String) -> Result<ToolCall, AskError> {
    let call = Fields::at(call, path)?;
    let id = call.required_string("id")?.to_owned();
    if let Some(custom) = call.object("custom")? {
        let input = json!({ "input": custom.required_string("input")? }).to_string();
        let name = custom.required_string("name")?.to_owned();
        return Ok(ToolCall { id, name, arguments: input });
    }
    match call.object("function")? {
        Some(call) => function(&call, id),
        None => Err(call.missing_field("function", "an object")),
    }
}

fn function(call: &Fields<'_>, id: String) -> Result<ToolCall, AskError> {
    let name = call.required_string("name")?.to_owned();
    if name.is_empty() {
        return Err(AskError::bad_form(&call.path("name"), "the name of a function"));
    }
    Ok(ToolCall { id, name, arguments: call.required_string("arguments")?.to_owned() })
}

/// A message's content.
#[derive(Debug, Default)]
struct Parts {
    texts: Vec<String>,
    images: Vec<String>,
    /// Path of the first image.
    image: Option<String>,
}

impl Parts {
    fn text(&self) -> String {
        self.texts.join(PART_SEPARATOR)
    }
}

fn required_parts(fields: &Fields<'_>, allows_images: bool) -> Result<Parts, AskError> {
    parts(fields, allows_images)?
        .ok_or_else(|| fields.missing_field("content", "a string or an array of objects"))
}

/// `content`; `None` when it is absent or null.
fn parts(fields: &Fields<'_>, allows_images: bool) -> Result<Option<Parts>, AskError> {
    let path = fields.path("content");
    match fields.value("content") {
        None => Ok(None),
        Some(Value::String(text)) => {
            Ok(Some(Parts { texts: vec![text.clone()], ..Parts::default() }))
        }
        Some(Value::Array(values)) if values.is_empty() => Err(AskError::empty_array(&path)),
        Some(Value::Array(values)) => {
            let mut parts = Parts::default();
            for (index, value) in values.iter().enumerate() {
                let value = Fields::at(value, format!("{path}[{index}]"))?;
                part(&value, allows_images, &mut parts)?;
            }
            Ok(Some(parts))
        }
        Some(value) => Err(AskError::wrong_type(&path, "a string or an array of objects", value)),
    }
}

fn part(fields: &Fields<'_>, allows_images: bool, parts: &mut Parts) -> Result<(), AskError> {
    match fields.required_string("type")? {
        // /v1/responses calls them `input_text` and `output_text`, and clients send its history here.
        "text" | "input_text" | "output_text" => {
            parts.texts.push(fields.required_string("text")?.to_owned());
        }
        "refusal" => parts.texts.push(fields.required_string("refusal")?.to_owned()),
        "image_url" if allows_images => {
            parts.images.push(image(fields)?);
            parts.image.get_or_insert_with(|| fields.path("type"));
        }
        media if UNREADABLE_MEDIA.contains(&media) => {
            let why = format!("'{media}' content is not supported here.");
            return Err(AskError::unsupported_value(&fields.path("type"), &why));
        }
        kind => {
            let image_kinds: &[&str] = &["text", "image_url"];
            let kinds = if allows_images { image_kinds } else { &["text", "refusal"] };
            return Err(AskError::not_one_of(&fields.path("type"), kind, kinds));
        }
    }
    Ok(())
}

/// `{"image_url": {"url": ..., "detail": ...}}`, or only the URL, as some apps send it. The gateway
/// does not fetch it: the member's engine fetches or refuses it.
fn image(fields: &Fields<'_>) -> Result<String, AskError> {
    let path = fields.path("image_url");
    let url = match fields.value("image_url") {
        Some(Value::String(url)) => url.as_str(),
        Some(value) => {
            let image = Fields::at(value, path.clone())?;
            image.string("detail")?;
            image.required_string("url")?
        }
        None => return Err(fields.missing_field("image_url", "an object")),
    };
    if url.starts_with("https://") || url.starts_with("data:image/") {
        return Ok(url.to_owned());
    }
    Err(AskError::bad_form(
        &format!("{path}.url"),
        "a URL that begins with https:// or data:image/",
    ))
}
