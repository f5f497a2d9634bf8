//! Lists of items, in pages.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::http::error::ApiError;

/// The query of a list of items.
#[derive(Debug, Deserialize)]
pub(in crate::http) struct PageQuery {
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
pub(in crate::http) fn page(mut items: Vec<Value>, query: &PageQuery) -> Result<Value, ApiError> {
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
pub(in crate::http) fn list(items: Vec<Value>, has_more: bool) -> Value {
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
