//! `/v1/conversations`: conversations that clients store, to be continued by `/v1/responses`.

use serde_json::{Map, Value};

use crate::{chat::object, error::AskError, fields::Fields, responses};

/// Most items that one request adds (OpenAI's limit).
const ITEMS_MAX: usize = 20;

/// What a conversation begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversationRequest {
    /// The first items, oldest first.
    pub items: Vec<Value>,
    /// The client's own labels.
    pub metadata: Map<String, Value>,
}

impl ConversationRequest {
    /// Checks the body of a request that creates a conversation.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8]) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        let items = if request.value("items").is_some() { items(&request)? } else { Vec::new() };
        Ok(Self { items, metadata: metadata(&request)? })
    }
}

/// Checks the body of a request that adds items.
///
/// # Errors
/// The first field that is wrong.
pub fn parse_items(body: &[u8]) -> Result<Vec<Value>, AskError> {
    let map = object(body)?;
    let request = Fields::root(&map);
    if request.value("items").is_none() {
        return Err(request.missing_field("items", "an array"));
    }
    items(&request)
}

/// Checks the body of a request that replaces the metadata.
///
/// # Errors
/// The first field that is wrong.
pub fn parse_metadata(body: &[u8]) -> Result<Map<String, Value>, AskError> {
    let map = object(body)?;
    let request = Fields::root(&map);
    // Null is no metadata.
    if !map.contains_key("metadata") {
        return Err(request.missing_field("metadata", "an object"));
    }
    metadata(&request)
}

fn items(request: &Fields<'_>) -> Result<Vec<Value>, AskError> {
    let items = request.array("items")?.cloned().unwrap_or_default();
    if items.len() > ITEMS_MAX {
        return Err(AskError::array_too_long("items", ITEMS_MAX, items.len()));
    }
    responses::check_items(&items, "items")?;
    Ok(items)
}

fn metadata(request: &Fields<'_>) -> Result<Map<String, Value>, AskError> {
    let Some(metadata) = request.object("metadata")? else { return Ok(Map::new()) };
    crate::chat::check_metadata(&metadata)?;
    Ok(metadata.to_map())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_is_optional_for_a_new_conversation() {
        let empty = ConversationRequest { items: Vec::new(), metadata: Map::new() };
        assert_eq!(ConversationRequest::parse(b"{}"), Ok(empty));
        let body = json!({
            "items": [{ "role": "user", "content": "x" }], "metadata": { "topic": "demo" },
        });
        let request = ConversationRequest::parse(body.to_string().as_bytes()).expect("accepted");
        assert_eq!((request.items.len(), &request.metadata["topic"]), (1, &json!("demo")));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let item = json!({ "role": "user", "content": "x" });
        for (body, param) in [
            (json!({ "items": "x" }), "items"),
            (json!({ "items": vec![item; 21] }), "items"),
            (json!({ "items": [{ "role": "robot", "content": "x" }] }), "items[0].role"),
            (json!({ "metadata": { "topic": 7 } }), "metadata.topic"),
        ] {
            let error = ConversationRequest::parse(body.to_string().as_bytes()).expect_err("wrong");
            assert_eq!(error.param.as_deref(), Some(param), "{error:?}");
        }
        let error = parse_items(b"{}").expect_err("missing");
        assert_eq!(error.param.as_deref(), Some("items"));
        let error = parse_metadata(b"{}").expect_err("missing");
        assert_eq!(error.param.as_deref(), Some("metadata"));
    }
}
