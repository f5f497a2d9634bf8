//! JSON Schemas as clients send them, compiled within bounds: nothing is fetched, patterns take
//! linear time, and no schema refers back to itself without going deeper into the answer.

use std::collections::BTreeSet;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// Bytes of one schema, as JSON. OpenAI allows 120,000 characters of names and values.
const BYTES_MAX: usize = 256 * 1024;

/// Bytes that one compiled pattern may take; the crate's own limit is ten times this.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Keywords whose subschemas look at the very value that the schema around them looks at.
const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// References that depend on where one comes from; nobody needs them to describe an answer, and
/// they would have to be followed to know that they end.
const DYNAMIC: [&str; 2] = ["$dynamicRef", "$recursiveRef"];

/// A schema ready to hold values against it.
///
/// # Errors
/// What is wrong with it and where, as one line; quotes no more than a keyword or a pointer.
pub(super) fn compile(schema: &Value) -> Result<Validator, String> {
    if schema.to_string().len() > BYTES_MAX {
        return Err(format!("it is over {BYTES_MAX} bytes"));
    }
    check_references(schema)?;
    let patterns = PatternOptions::regex().size_limit(PATTERN_BYTES_MAX);
    let built = jsonschema::options().offline().with_pattern_options(patterns).build(schema);
    built.map_err(|error| {
        let place = error.instance_path().to_string();
        let keyword = error.kind().keyword().to_owned();
        let place = if place.is_empty() { "the schema itself".to_owned() } else { place };
        format!("at {} ('{keyword}' does not hold)", short(&place))
    })
}

fn short(text: &str) -> String {
    text.chars().take(128).collect()
}

/// Every reference points into the schema itself, at something that is there, and following
/// references alone never comes back to where it began.
fn check_references(root: &Value) -> Result<(), String> {
    let mut open = vec![root];
    while let Some(value) = open.pop() {
        match value {
            Value::Object(map) => {
                if let Some(dynamic) = DYNAMIC.iter().find(|name| map.contains_key(**name)) {
                    return Err(format!("'{dynamic}' is not supported"));
                }
                if let Some(Value::String(reference)) = map.get("$ref") {
                    ends(root, value, reference)?;
                }
                open.extend(map.values());
            }
            Value::Array(values) => open.extend(values),
            _ => {}
        }
    }
    Ok(())
}

/// Walks what looks at the same value as the schema that has the reference.
fn ends(root: &Value, from: &Value, reference: &str) -> Result<(), String> {
    let mut seen: BTreeSet<*const Value> = BTreeSet::new();
    let mut open = vec![target(root, reference)?];
    while let Some(schema) = open.pop() {
        if std::ptr::eq(schema, from) {
            return Err(format!("the reference '{}' leads back to itself", short(reference)));
        }
        if !seen.insert(schema) {
            continue;
        }
        let Some(map) = schema.as_object() else { continue };
        if let Some(Value::String(next)) = map.get("$ref") {
            open.push(target(root, next)?);
        }
        for value in IN_PLACE.iter().filter_map(|keyword| map.get(*keyword)) {
            match value {
                Value::Array(values) => open.extend(values),
                Value::Object(values) => {
                    // `not` is a schema; `dependentSchemas` is an object of schemas.
                    open.push(value);
                    open.extend(values.values());
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn target<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    let pointer =
        reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let found = pointer.and_then(|pointer| {
        // `%24defs` is `$defs`; few clients write it so, but those that do are right.
        let plain = pointer.replace("%24", "$").replace("%25", "%");
        root.pointer(&plain)
    });
    found.ok_or_else(|| {
        let reference = short(reference);
        format!("the reference '{reference}' points to nothing in the schema: give '#/$defs/name'")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_that_never_goes_deeper_is_refused() {
        for schema in [
            json!({"$ref": "#"}),
            json!({"allOf": [{"$ref": "#"}]}),
            json!({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}}),
            json!({"if": {"not": {"$ref": "#"}}}),
            json!({"dependentSchemas": {"a": {"$ref": "#"}}}),
        ] {
            assert!(compile(&schema).is_err_and(|why| why.contains("leads back")), "{schema}");
        }
    }

    #[test]
    fn a_schema_that_goes_deeper_each_time_holds() {
        let tree = json!({
            "type": "object", "additionalProperties": false, "required": ["value"],
            "properties": {"value": {"type": "integer"}, "next": {"$ref": "#"}},
        });
        let tree = compile(&tree).expect("a schema");
        assert!(tree.is_valid(&json!({"value": 1, "next": {"value": 2}})));
        assert!(!tree.is_valid(&json!({"value": 1, "next": {"value": "2"}})));
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd", "#/nowhere"] {
            let why = compile(&json!({"$ref": reference})).expect_err("refused");
            assert!(why.contains("points to nothing"), "{why}");
        }
    }

    #[test]
    fn what_is_no_schema_is_named_by_its_place() {
        let why = compile(&json!({"properties": {"a": {"type": "strin"}}})).expect_err("refused");
        assert!(why.contains("/properties/a/type"), "{why}");
        assert!(compile(&json!({"pattern": "("})).is_err());
    }
}
