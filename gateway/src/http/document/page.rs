//! The OpenAPI document as an HTML page, without scripts and without external resources. A viewer with
//! 'try it' is not embedded: megabytes of another project's scripts could send requests with an operator's key.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

use super::operations::{self, Operation};

const STYLE: &str = include_str!("page.css");

/// The page as HTML text. `schemas` are those of the document, by name.
pub(super) fn render(operations: &[Operation], schemas: &Value) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width";
                title { "Shoal's API" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Shoal's API" }
                p {
                    "The operations of this gateway. For programs: "
                    a href="/openapi.json" { "openapi.json" } "."
                }
                @for operation in operations { (section(operation, schemas)) }
            }
        }
    };
    page.into_string()
}

fn section(operation: &Operation, schemas: &Value) -> Markup {
    html! {
        h2 { (operation.method) " " b { (operation.path) } }
        p { (operation.summary) }
        @if let Some(schema) = operation.request.and_then(|name| schemas.get(name)) {
            (fields(schema))
        }
        table {
            tr { th { "Status" } th { "Meaning" } }
            @for status in operation.statuses {
                tr { td { (status) } td { (operations::meaning(*status)) } }
            }
        }
    }
}

fn fields(schema: &Value) -> Markup {
    let required_names = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    html! {
        table {
            tr { th { "Field" } th { "Type" } th {} }
            @for (name, field) in properties.into_iter().flatten() {
                tr {
                    td {
                        code { (name) }
                        @if required_names.is_some_and(|names| names.iter().any(|field| field == name)) {
                            " (required)"
                        }
                    }
                    td { (types(field)) }
                    td { @if let Some(text) = field.get("description").and_then(Value::as_str) { (text) } }
                }
            }
        }
    }
}

/// The types that a field may have, in words.
fn types(field: &Value) -> String {
    match field.get("type") {
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        _ => "any".into(),
    }
}
