//! The content of a `compaction` item: a summary, which a client sends back later.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{error::AskError, fields::Fields};

/// Begins the content of an item, which is not encrypted: the client has read the conversation anyway.
const MARK: &str = "shoal-summary:";

/// Before the summary, when a later model reads it.
const TITLE: &str = "Summary of the conversation so far:\n";

/// The content of an item.
pub(super) fn encode(summary: &str) -> String {
    format!("{MARK}{}", STANDARD.encode(summary))
}

/// The message that a summary is for a later model; `None` for an item of another provider, which only that
/// provider can read.
pub(super) fn message(item: &Fields<'_>) -> Result<Option<Value>, AskError> {
    let content = item.required_string("encrypted_content")?;
    let Some(summary) = content.strip_prefix(MARK) else { return Ok(None) };
    let decoded = STANDARD.decode(summary).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let Some(summary) = decoded else {
        let path = item.path("encrypted_content");
        return Err(AskError::bad_form(&path, "what '/v1/responses/compact' returned"));
    };
    Ok(Some(json!({ "role": "user", "content": format!("{TITLE}{summary}") })))
}
