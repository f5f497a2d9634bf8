//! `/openapi.json`: every path that is served, with what it takes and every status it can give, and
//! `/docs`, the same for people. A test holds the list to the paths in `http.rs`, and every test's
//! answers to what stands here.

mod operations;
mod page;

use std::sync::OnceLock;

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
};
use serde_json::{Map, Value, json};

use operations::{OPERATIONS, Operation, Takes};

/// What goes over the wire, by name.
const SCHEMAS: &str = include_str!("document/schemas.json");

/// No script, nothing from anywhere else.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

pub(super) async fn json() -> HttpResponse {
    HttpResponse::Ok().json(document())
}

pub(super) async fn docs() -> HttpResponse {
    static PAGE: OnceLock<String> = OnceLock::new();
    HttpResponse::Ok()
        .insert_header(ContentType::html())
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .body(PAGE.get_or_init(|| page::html(document())).as_str())
}

/// The whole document, built once.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: Map<String, Value> = Map::new();
        for operation in OPERATIONS {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            if let Some(path) = path.as_object_mut() {
                path.insert(operation.method.to_lowercase(), described(operation));
            }
        }
        let schemas: Value = serde_json::from_str(SCHEMAS).unwrap_or_default();
        json!({
            "openapi": "3.1.0",
            "info": {
                "title": "Shoal",
                "summary": "One answer from a swarm of models.",
                "version": env!("CARGO_PKG_VERSION"),
                "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
            },
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            },
            // Only where the operator gives out keys.
            "security": [{}, { "key": [] }],
        })
    })
}

fn described(operation: &Operation) -> Value {
    let mut described = json!({
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let (Some(takes), Some(described)) = (operation.takes, described.as_object_mut()) {
        let body = json!({ "required": true, "content": content("application/json", takes) });
        described.insert("requestBody".into(), body);
    }
    described
}

/// What stands in the path has to be there; what stands in the query does not.
fn parameters(operation: &Operation) -> Vec<Value> {
    let in_path = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }),
        )
    });
    let in_query = operation.query.iter().map(|name| {
        json!({ "name": name, "in": "query", "required": false, "schema": { "type": "string" } })
    });
    in_path.chain(in_query).collect()
}

fn responses(operation: &Operation) -> Map<String, Value> {
    let error = if operation.path.starts_with("/v1/messages") { "AnthropicError" } else { "Error" };
    let mut responses = Map::new();
    for status in operation.statuses {
        let fine = *status < 400;
        let content = match operation.gives {
            Takes::Json(schema) if fine => content("application/json", schema),
            Takes::JsonOrEvents(schema) if fine => {
                let mut content = content("application/json", schema);
                if let Some(kinds) = content.as_object_mut() {
                    // What an event is, a schema of a whole body cannot say.
                    kinds.insert("text/event-stream".into(), json!({}));
                }
                content
            }
            Takes::Text(kind) if fine => json!({ kind: { "schema": { "type": "string" } } }),
            Takes::Whichever if !fine => content("application/json", "Status"),
            Takes::Whichever => content("application/json", "Status"),
            _ => content("application/json", error),
        };
        let text = operations::meaning(*status);
        responses.insert(status.to_string(), json!({ "description": text, "content": content }));
    }
    responses
}

fn content(kind: &str, schema: &str) -> Value {
    json!({ kind: { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths that `http.rs` serves, read from its text.
    fn served() -> BTreeSet<String> {
        let text = include_str!("../http.rs");
        let paths = text.split("resource(\"").skip(1).filter_map(|rest| rest.split('"').next());
        paths.map(|path| path.replace(":.+", "")).collect()
    }

    #[test]
    fn every_path_that_is_served_is_documented_and_no_other() {
        let documented: BTreeSet<String> =
            OPERATIONS.iter().map(|operation| operation.path.to_owned()).collect();
        assert!(served().len() > 10, "the paths are not read");
        assert_eq!(documented, served());
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = document().to_string();
        let named = text.split("#/components/schemas/").skip(1);
        for name in named.filter_map(|rest| rest.split('"').next()) {
            assert!(document()["components"]["schemas"].get(name).is_some(), "{name}");
        }
    }

    #[test]
    fn every_schema_is_a_json_schema() {
        let schemas = document()["components"]["schemas"].as_object().expect("schemas");
        assert!(schemas.len() > 10);
        for (name, schema) in schemas {
            let mut whole = document().clone();
            whole["$ref"] = format!("#/components/schemas/{name}").into();
            assert!(schema.is_object());
            assert!(jsonschema::validator_for(&whole).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_page_shows_every_operation() {
        let page = page::html(document());
        for operation in OPERATIONS {
            assert!(page.contains(operation.path), "{}", operation.path);
            assert!(page.contains(operation.summary), "{}", operation.summary);
        }
        assert!(!page.contains("<script") && !page.contains("http://"));
    }
}
