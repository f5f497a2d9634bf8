//! `/openapi.json`: each path with its request, its answers and every status it can give. `/docs` shows
//! the same as an HTML page. A test compares the paths with those in `http.rs`, and the integration
//! tests validate every answer against this document.
//!
//! utoipa is not used: its schemas derive from serde types, but requests are parsed by hand so that an
//! error can name the field, so the schemas would still be written by hand, only in longer Rust.

mod operations;
mod page;

use std::sync::OnceLock;

use actix_web::{
    HttpResponse,
    http::header::{self, ContentType},
};
use serde_json::{Map, Value, json};

use operations::{OPERATIONS, Operation, Reply};

/// JSON Schemas of requests and answers, by name.
const SCHEMAS: &str = include_str!("document/schemas.json");

const JSON: &str = "application/json";

/// Forbids scripts and external resources.
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
        .body(PAGE.get_or_init(|| page::render(OPERATIONS, schemas())).as_str())
}

/// The document, built once.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let mut paths: Map<String, Value> = Map::new();
        for operation in OPERATIONS {
            let path = paths.entry(operation.path).or_insert_with(|| json!({}));
            if let Some(path) = path.as_object_mut() {
                path.insert(operation.method.to_lowercase(), operation_object(operation));
            }
        }
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
                "schemas": schemas(),
                "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            },
            // A key is needed only if the operator has configured keys.
            "security": [{}, { "key": [] }],
        })
    })
}

/// The schemas, parsed once. Unit tests check that the text is JSON and that each part is a schema.
fn schemas() -> &'static Value {
    static PARSED: OnceLock<Value> = OnceLock::new();
    PARSED.get_or_init(|| serde_json::from_str(SCHEMAS).unwrap_or_default())
}

/// An Operation Object of OpenAPI.
fn operation_object(operation: &Operation) -> Value {
    let mut object = json!({
        "summary": operation.summary,
        "tags": [operation.tag],
        "parameters": parameters(operation),
        "responses": responses(operation),
    });
    if let (Some(schema), Some(object)) = (operation.request, object.as_object_mut()) {
        let body = json!({ "required": true, "content": { JSON: media_type(schema) } });
        object.insert("requestBody".into(), body);
    }
    object
}

/// Parameters in the path are required; those in the query are optional.
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
        let content = match operation.answer {
            Reply::Status if *status != 403 => json!({ JSON: media_type("Status") }),
            _ if *status >= 400 => json!({ JSON: media_type(error) }),
            Reply::Json(schema) => json!({ JSON: media_type(schema) }),
            // A schema describes a whole body, so it cannot describe an event.
            Reply::JsonOrEvents(schema) => {
                json!({ JSON: media_type(schema), "text/event-stream": {} })
            }
            Reply::Status => json!({ JSON: media_type(error) }),
            Reply::Text(name) => json!({ name: { "schema": { "type": "string" } } }),
        };
        let text = operations::meaning(*status);
        responses.insert(status.to_string(), json!({ "description": text, "content": content }));
    }
    responses
}

/// A Media Type Object of OpenAPI that refers to a schema by name.
fn media_type(schema: &str) -> Value {
    json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") } })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The paths that `http.rs` serves, read from its text.
    fn routes() -> BTreeSet<String> {
        let text = include_str!("../http.rs");
        let paths =
            ["resource(\"", "public(\""].into_iter().flat_map(|start| text.split(start).skip(1));
        paths
            .filter_map(|rest| rest.split('"').next())
            .map(|path| path.replace(":.+", ""))
            .collect()
    }

    #[test]
    fn every_path_that_is_served_is_documented_and_no_other() {
        let paths: BTreeSet<String> =
            OPERATIONS.iter().map(|operation| operation.path.to_owned()).collect();
        assert!(routes().len() > 10, "the routes cannot be read from the text");
        assert_eq!(paths, routes());
    }

    #[test]
    fn every_schema_that_is_named_is_there() {
        let text = document().to_string();
        let references = text.split("#/components/schemas/").skip(1);
        for name in references.filter_map(|rest| rest.split('"').next()) {
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
        let page = page::render(OPERATIONS, schemas());
        for operation in OPERATIONS {
            assert!(page.contains(operation.path), "{}", operation.path);
            assert!(page.contains(operation.summary), "{}", operation.summary);
        }
        assert!(!page.contains("<script") && !page.contains("http://"));
    }
}
