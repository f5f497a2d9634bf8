//! The document as a page for people: no script, nothing from anywhere else.
#![expect(clippy::indexing_slicing, reason = "JSON read by a key that is not there is null")]

use std::fmt::Write as _;

use serde_json::{Map, Value};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
    padding:0 1rem;color:#1a1a1a;background:#fff}h2{margin-top:2.5rem;font-size:1.1rem}\
    h2 b{font-family:ui-monospace,monospace}code{font-family:ui-monospace,monospace;\
    font-size:.9em}table{border-collapse:collapse;width:100%}td,th{border-bottom:1px solid #ddd;\
    padding:.3rem .6rem .3rem 0;text-align:left;vertical-align:top}nav a{margin-right:1rem}\
    @media(prefers-color-scheme:dark){body{color:#eee;background:#111}td,th{border-color:#333}\
    a{color:#8bf}}";

pub(super) fn html(document: &Value) -> String {
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>Shoal's API</title>\
         <style>{STYLE}</style><h1>Shoal's API</h1>\
         <p>What is served here, made from the program itself. For programs: \
         <a href=\"/openapi.json\">openapi.json</a>.</p>"
    );
    let none = Map::new();
    let paths = document["paths"].as_object().unwrap_or(&none);
    for (path, methods) in paths {
        for (method, operation) in methods.as_object().unwrap_or(&none) {
            section(&mut page, document, path, method, operation);
        }
    }
    page.push_str("</html>");
    page
}

/// Writing into a `String` cannot fail.
fn section(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let _ = write!(
        page,
        "<h2>{} <b>{}</b></h2><p>{}</p>",
        method.to_uppercase(),
        escaped(path),
        escaped(operation["summary"].as_str().unwrap_or_default())
    );
    let body = &operation["requestBody"]["content"]["application/json"]["schema"]["$ref"];
    if let Some(schema) = named(document, body) {
        fields(page, schema);
    }
    page.push_str("<table><tr><th>Status</th><th>Meaning</th></tr>");
    let none = Map::new();
    for (status, response) in operation["responses"].as_object().unwrap_or(&none) {
        let text = response["description"].as_str().unwrap_or_default();
        let _ = write!(page, "<tr><td>{}</td><td>{}</td></tr>", escaped(status), escaped(text));
    }
    page.push_str("</table>");
}

/// The schema that a reference names.
fn named<'a>(document: &'a Value, reference: &Value) -> Option<&'a Value> {
    let name = reference.as_str()?.rsplit('/').next()?;
    document["components"]["schemas"].get(name)
}

fn fields(page: &mut String, schema: &Value) {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("<table><tr><th>Field</th><th>Type</th><th></th></tr>");
    let none = Map::new();
    for (name, field) in schema["properties"].as_object().unwrap_or(&none) {
        let needed = if required.contains(&name.as_str()) { " (required)" } else { "" };
        let _ = write!(
            page,
            "<tr><td><code>{}</code>{needed}</td><td>{}</td><td>{}</td></tr>",
            escaped(name),
            escaped(&kinds(field)),
            escaped(field["description"].as_str().unwrap_or_default())
        );
    }
    page.push_str("</table>");
}

/// What may stand in a field, in words.
fn kinds(field: &Value) -> String {
    match &field["type"] {
        Value::String(kind) => kind.clone(),
        Value::Array(all) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".into(),
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c => safe.push(c),
        }
    }
    safe
}
