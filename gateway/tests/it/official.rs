//! Checks answers against OpenAI's own component schemas, if the shared folder has them.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde_json::Value;

/// The folder in `SHOAL_SHARED`, otherwise the folder beside the workspace.
pub(crate) fn schemas() -> Option<&'static Value> {
    static SCHEMAS: OnceLock<Option<Value>> = OnceLock::new();
    let files = SCHEMAS.get_or_init(read_schemas).as_ref();
    if files.is_none() {
        println!("skipped: no official schemas (SHOAL_SHARED names no folder with data/openapi)");
    }
    files
}

fn read_schemas() -> Option<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let folder = env::var_os("SHOAL_SHARED").map_or(beside, PathBuf::from);
    let text = fs::read_to_string(folder.join("data/openapi/openapi_subset.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Checks a body against one of the official schemas; without them, prints that it is skipped.
pub(crate) fn hold(name: &str, body: &Value) {
    let Some(schemas) = schemas() else { return };
    let mut schema = schemas.clone();
    assert!(schema["components"]["schemas"].get(name).is_some(), "no schema {name}");
    schema["$ref"] = format!("#/components/schemas/{name}").into();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let wrong: Vec<String> = validator
        .iter_errors(body)
        .map(|error| format!("{error} at {}", error.instance_path()))
        .map(|error| error.chars().take(400).collect())
        .collect();
    assert!(wrong.is_empty(), "{name}: {wrong:#?}\n{body}");
}
