//! Items of responses and conversations as they are listed, in pages.

use serde::Deserialize;
use serde_json::{Value, json};

use super::error::ApiError;
use shoal_api::id;

/// The query of a list of items.
#[derive(Debug, Deserialize)]
pub(super) struct PageQuery {
    limit: Option<String>,
    order: Option<String>,
    after: Option<String>,
}

/// Most items of one page, and the number without `limit` (OpenAI's limits).
const PAGE_MAX: usize = 100;
const PAGE: usize = 20;

/// The page of `items`, which come oldest first.
///
/// # Errors
/// A field of the query that is wrong.
pub(super) fn page(mut items: Vec<Value>, query: &PageQuery) -> Result<Value, ApiError> {
    const LIMIT: &str = "Invalid 'limit': give a number from 1 to 100.";
    let limit = match &query.limit {
        None => PAGE,
        Some(limit) => match limit.parse() {
            Ok(limit) if (1..=PAGE_MAX).contains(&limit) => limit,
            _ => return Err(ApiError::Unsupported(LIMIT, "limit")),
        },
    };
    match query.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => {
            return Err(ApiError::Unsupported("Invalid 'order': give 'asc' or 'desc'.", "order"));
        }
    }
    if let Some(after) = &query.after {
        let index = items.iter().position(|item| item["id"] == after.as_str());
        let Some(index) = index else {
            let message = "Invalid 'after': there is no such item.";
            return Err(ApiError::Unsupported(message, "after"));
        };
        items.drain(..=index);
    }
    let has_more = items.len() > limit;
    items.truncate(limit);
    Ok(list(items, has_more))
}

/// A list of items as it is sent.
pub(super) fn list(items: Vec<Value>, has_more: bool) -> Value {
    json!({
        "object": "list",
        "first_id": item_id(items.first()),
        "last_id": item_id(items.last()),
        "has_more": has_more,
        "data": items,
    })
}

/// The id of an item; null if there is no item.
fn item_id(item: Option<&Value>) -> Value {
    item.map(|item| item["id"].clone()).unwrap_or_default()
}

/// Items in the form of a list: each has an id, and a message's content is an array of parts.
pub(super) fn resources(items: &[Value]) -> Vec<Value> {
    items.iter().cloned().map(resource).collect()
}

fn resource(mut item: Value) -> Value {
    let Some(fields) = item.as_object_mut() else { return item };
    let kind = fields.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
    fields.insert("type".into(), kind.as_str().into());
    let prefix = match kind.as_str() {
        "message" => "msg",
        "function_call" => "fc",
        "function_call_output" => "fco",
        _ => "item",
    };
    if fields.get("id").is_none_or(Value::is_null) {
        fields.insert("id".into(), format!("{prefix}_{}", id::hex()).into());
    }
    if fields.get("status").is_none_or(Value::is_null) {
        fields.insert("status".into(), "completed".into());
    }
    if kind == "message"
        && let Some(Value::String(text)) = fields.get("content").cloned()
    {
        let is_answer = fields.get("role").is_some_and(|role| role == "assistant");
        let part = if is_answer {
            json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] })
        } else {
            json!({ "type": "input_text", "text": text })
        };
        fields.insert("content".into(), json!([part]));
    }
    item
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_listed_with_an_id_and_parts() {
        let items = resources(&[json!({ "role": "user", "content": "x" })]);
        let item = items.first().expect("one");
        assert!(item["id"].as_str().is_some_and(|id| id.starts_with("msg_")));
        assert_eq!(item["content"], json!([{ "type": "input_text", "text": "x" }]));
    }
}
