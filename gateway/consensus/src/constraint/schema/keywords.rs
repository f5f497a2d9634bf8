//! A schema reduced to the keywords that are enforced. What the reduced schema can cost is known, because
//! nothing else reaches the validator: a keyword that changes where references point, such as `$id`, would
//! hide any amount of work.
//!
//! Every reference is replaced by one to a definition at the root, so that its spelling (percent-encoded or
//! not) and its place do not matter.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

/// Keywords whose value is one schema, or an array of them.
const SCHEMAS: &str = "allOf anyOf oneOf not if then else additionalProperties propertyNames prefixItems \
     additionalItems contains";

/// Keywords whose value has a schema for each name. The older `dependencies` may have a list of names instead.
const SCHEMAS_BY_NAME: [&str; 4] =
    ["properties", "patternProperties", "dependentSchemas", "dependencies"];

/// Keywords whose value is compared with the answer.
const VALUES: &str = "type enum const format pattern required dependentRequired multipleOf minimum maximum \
     exclusiveMinimum exclusiveMaximum minLength maxLength minItems maxItems uniqueItems \
     minContains maxContains minProperties maxProperties";

/// Keywords that change what a reference means. Nobody needs them to describe an answer, except `$id` at the
/// root, which changes nothing.
const FORBIDDEN: [&str; 6] =
    ["$id", "id", "$dynamicRef", "$recursiveRef", "$dynamicAnchor", "$recursiveAnchor"];

/// Keywords that depend on what other schemas have looked at. Alone in a schema they mean the same as those
/// beside them; beside others the validator would look at each part again and again.
const REST_KEYWORDS: [(&str, &str); 2] =
    [("unevaluatedProperties", "additionalProperties"), ("unevaluatedItems", "items")];

/// Keywords that look at the same value, after which "unevaluated" means something else.
const IN_PLACE: &str = "$ref allOf anyOf oneOf not if then else dependentSchemas dependencies";

fn has_word(words: &str, name: &str) -> bool {
    words.split(' ').any(|word| word == name)
}

/// A schema with nothing but enforced keywords.
#[derive(Debug)]
pub(super) struct Subset {
    pub(super) schema: Value,
    /// The number of patterns in it.
    pub(super) patterns: usize,
    /// The places from which the definitions `r0`, `r1`, ... were taken.
    sources: Vec<String>,
}

impl Subset {
    /// The place in the client's schema of a place in this one.
    pub(super) fn source(&self, place: &str) -> String {
        self.source_of_definition(place).unwrap_or_else(|| place.to_owned())
    }

    fn source_of_definition(&self, place: &str) -> Option<String> {
        let rest = place.strip_prefix("/definitions/r")?;
        let (number, rest) = rest.split_once('/').unwrap_or((rest, ""));
        let source = self.sources.get(number.parse::<usize>().ok()?)?;
        Some(if rest.is_empty() { source.clone() } else { format!("{source}/{rest}") })
    }
}

/// Reduces a client's schema.
///
/// # Errors
/// A keyword that is refused, or a reference to nothing.
pub(super) fn reduce(root: &Value) -> Result<Subset, String> {
    let mut reducer = Reducer {
        root,
        names: BTreeMap::new(),
        targets: Vec::new(),
        sources: Vec::new(),
        patterns: 0,
    };
    let mut schema = reducer.schema(root)?;
    // Those that no reference needs are checked all the same.
    for keyword in ["$defs", "definitions"] {
        for (name, target) in root.get(keyword).and_then(Value::as_object).into_iter().flatten() {
            reducer.define(target, || format!("/{keyword}/{name}"));
        }
    }
    let mut definitions = Map::new();
    // Reducing a definition may find further ones.
    let mut next = 0;
    while let Some(target) = reducer.targets.get(next).copied() {
        definitions.insert(format!("r{next}"), reducer.schema(target)?);
        next += 1;
    }
    if let Some(schema) = schema.as_object_mut() {
        if let Some(dialect) = root.get("$schema") {
            schema.insert("$schema".into(), dialect.clone());
        }
        if !definitions.is_empty() {
            schema.insert("definitions".into(), definitions.into());
        }
    }
    Ok(Subset { schema, patterns: reducer.patterns, sources: reducer.sources })
}

struct Reducer<'a> {
    root: &'a Value,
    /// The number of each definition, by the schema that it is made from.
    names: BTreeMap<*const Value, usize>,
    targets: Vec<&'a Value>,
    sources: Vec<String>,
    patterns: usize,
}

impl<'a> Reducer<'a> {
    fn schema(&mut self, schema: &'a Value) -> Result<Value, String> {
        // `true` and `false`, and what is no schema, which the validator names.
        let Value::Object(map) = schema else { return Ok(schema.clone()) };
        let is_root = std::ptr::eq(schema, self.root);
        let mut forbidden = FORBIDDEN.iter().filter(|name| !(is_root && name.ends_with("id")));
        if let Some(name) = forbidden.find(|name| map.contains_key(**name)) {
            return Err(format!("'{name}' is not supported"));
        }
        let mut subset = Map::new();
        for (name, value) in map {
            let name = name.as_str();
            let value = if name == "$ref" {
                self.reference(value)?
            } else if SCHEMAS_BY_NAME.contains(&name) {
                self.by_name(name, value)?
            } else if has_word(SCHEMAS, name) || name == "items" {
                self.one_or_many(value)?
            } else if has_word(VALUES, name) {
                self.patterns += usize::from(name == "pattern");
                value.clone()
            } else {
                // Names and descriptions, definitions (a reference takes what it needs), and keywords of
                // others, which say nothing about the answer.
                continue;
            };
            subset.insert(name.to_owned(), value);
        }
        self.rest_keyword(map, &mut subset)?;
        Ok(subset.into())
    }

    fn one_or_many(&mut self, value: &'a Value) -> Result<Value, String> {
        match value {
            Value::Array(schemas) => schemas.iter().map(|schema| self.schema(schema)).collect(),
            schema => self.schema(schema),
        }
    }

    fn by_name(&mut self, keyword: &str, value: &'a Value) -> Result<Value, String> {
        let Value::Object(schemas) = value else { return Ok(value.clone()) };
        if keyword == "patternProperties" {
            self.patterns += schemas.len();
        }
        let subset = schemas.iter().map(|(name, schema)| {
            let subset = if schema.is_array() { schema.clone() } else { self.schema(schema)? };
            Ok((name.clone(), subset))
        });
        Ok(Value::Object(subset.collect::<Result<_, String>>()?))
    }

    /// A reference to the definition that is made from the target of this one.
    fn reference(&mut self, reference: &Value) -> Result<Value, String> {
        let Value::String(reference) = reference else { return Ok(reference.clone()) };
        let (target, pointer) = target(self.root, reference)?;
        if pointer.is_empty() {
            return Ok("#".into());
        }
        let number = self.define(target, || pointer);
        Ok(json!(format!("#/definitions/r{number}")))
    }

    /// The number of the definition that is made from a schema.
    fn define(&mut self, target: &'a Value, source: impl FnOnce() -> String) -> usize {
        let next = self.targets.len();
        let number = *self.names.entry(std::ptr::from_ref(target)).or_insert(next);
        if number == next {
            self.targets.push(target);
            self.sources.push(source());
        }
        number
    }

    /// Puts the simpler keyword in the place of each "unevaluated" one.
    fn rest_keyword(
        &mut self,
        map: &'a Map<String, Value>,
        subset: &mut Map<String, Value>,
    ) -> Result<(), String> {
        for (keyword, simpler) in REST_KEYWORDS {
            let Some(value) = map.get(keyword) else { continue };
            if let Some(beside) = IN_PLACE.split(' ').find(|name| map.contains_key(*name)) {
                return Err(format!(
                    "'{keyword}' beside '{beside}' is not supported: write '{simpler}' in each alternative"
                ));
            }
            // Beside `additionalProperties` or `items` it says nothing: all is evaluated.
            if !map.contains_key(simpler) {
                let value = self.schema(value)?;
                subset.insert(simpler.to_owned(), value);
            }
        }
        Ok(())
    }
}

/// What a reference points to, and the JSON pointer of it.
fn target<'a>(root: &'a Value, reference: &str) -> Result<(&'a Value, String), String> {
    let pointer = reference.strip_prefix('#').and_then(percent_decoded);
    let pointer = pointer.filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let target = pointer.and_then(|pointer| Some((root.pointer(&pointer)?, pointer)));
    target.ok_or_else(|| {
        let reference: String = reference.chars().take(128).collect();
        format!("the reference '{reference}' points to nothing in the schema: give '#/$defs/name'")
    })
}

/// The text of a URI's fragment (RFC 6901, 6): `%24defs` is `$defs`. `None` if it is not UTF-8.
fn percent_decoded(fragment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.as_bytes();
    while let [first, after @ ..] = rest {
        let (byte, end) = match rest {
            [b'%', high, low, end @ ..] if [high, low].iter().all(|d| d.is_ascii_hexdigit()) => {
                let digits = [*high, *low];
                (u8::from_str_radix(str::from_utf8(&digits).ok()?, 16).ok()?, end)
            }
            _ => (*first, after),
        };
        bytes.push(byte);
        rest = end;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subset(schema: &Value) -> Value {
        reduce(schema).expect("a schema").schema
    }

    #[test]
    fn a_reference_is_found_however_it_is_spelled() {
        for (name, reference) in [
            ("Page<string>", "#/definitions/Page%3Cstring%3E"),
            ("Page<string>", "#/definitions/Page<string>"),
            ("a page", "#/definitions/a%20page"),
            ("Größe", "#/definitions/Gr%C3%B6%c3%9fe"),
            ("a/b", "#/definitions/a~1b"),
            ("100%", "#/definitions/100%25"),
            ("x", "#/%64efinitions/x"),
        ] {
            let schema = json!({"$ref": reference, "definitions": {name: {"type": "string"}}});
            let expectation = json!({
                "$ref": "#/definitions/r0", "definitions": {"r0": {"type": "string"}}
            });
            assert_eq!(subset(&schema), expectation, "{reference}");
        }
    }

    #[test]
    fn only_keywords_that_are_enforced_are_left() {
        let schema = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "$id": "https://x.example/root",
            "title": "x", "x-order": 1, "type": "object",
            "properties": {"$id": {"type": "string", "description": "y"}, "title": {"$ref": "#"}},
            "definitions": {"unused": {"title": "z", "type": "null"}},
        });
        let expectation = json!({
            "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
            "properties": {"$id": {"type": "string"}, "title": {"$ref": "#"}},
            "definitions": {"r0": {"type": "null"}},
        });
        assert_eq!(subset(&schema), expectation);
    }

    #[test]
    fn what_changes_the_meaning_of_references_is_refused() {
        for (schema, name) in [
            (json!({"properties": {"a": {"$id": "https://x.example/y"}}}), "$id"),
            (json!({"items": {"id": "x"}}), "'id'"),
            (json!({"$dynamicRef": "#a"}), "$dynamicRef"),
            (json!({"allOf": [{}], "unevaluatedProperties": false}), "unevaluatedProperties"),
            (
                json!({"if": {"$ref": "#/$defs/a"}, "$defs": {"a": {"$ref": "#", "unevaluatedItems": false}}}),
                "unevaluatedItems",
            ),
        ] {
            let why = reduce(&schema).expect_err("a refusal");
            assert!(why.contains(name), "{why}");
        }
        let alone = json!({"properties": {"a": {}}, "unevaluatedProperties": false});
        assert_eq!(subset(&alone), json!({"properties": {"a": {}}, "additionalProperties": false}));
    }

    #[test]
    fn a_place_is_that_of_the_clients_schema() {
        let schema =
            json!({"$ref": "#/$defs/a", "$defs": {"a": {"items": {"$ref": "#/$defs/b"}}, "b": {}}});
        let subset = reduce(&schema).expect("a schema");
        assert_eq!(subset.source("/definitions/r1/type"), "/$defs/b/type");
        assert_eq!(subset.source("/properties/a"), "/properties/a");
    }
}
