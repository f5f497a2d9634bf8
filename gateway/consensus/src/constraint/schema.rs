//! JSON Schemas as clients send them, compiled within bounds: nothing is fetched, patterns take
//! linear time, and no schema refers back to itself without going deeper into the answer.

mod keywords;
mod reach;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use reach::Reach;

/// Bytes of one schema, as JSON. OpenAI allows 120,000 characters of names and values.
const BYTES_MAX: usize = 256 * 1024;

/// Bytes that one compiled pattern may take; the crate's own limit is forty times this.
const PATTERN_BYTES_MAX: usize = 1 << 18;

/// What all schemas of one request may take together.
#[derive(Debug)]
pub(super) struct Budget {
    /// Bytes as JSON.
    bytes: usize,
    /// Patterns; each may take [`PATTERN_BYTES_MAX`].
    patterns: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { bytes: 4 * BYTES_MAX, patterns: 64 }
    }
}

impl Budget {
    fn spend(&mut self, bytes: usize, patterns: usize) -> Result<(), String> {
        let left = self.bytes.checked_sub(bytes).zip(self.patterns.checked_sub(patterns));
        let (bytes, patterns) = left.ok_or_else(|| {
            let Self { bytes, patterns } = Self::default();
            format!(
                "the schemas of the request have more than {bytes} bytes or {patterns} patterns"
            )
        })?;
        *self = Self { bytes, patterns };
        Ok(())
    }
}

/// Levels of a value that is validated: no answer has more, and each takes stack.
const LEVELS_MAX: usize = 64;

/// Visits of parts of a value after which it counts as invalid: about a second.
const LOOKS_MAX: u64 = 10_000_000;

/// Bytes of a text that count as one more part: a pattern reads all of them.
const PART_BYTES: usize = 64;

/// A compiled schema.
#[derive(Debug)]
pub(super) struct Schema {
    validator: Validator,
    reach: Reach,
}

impl Schema {
    /// Whether the value is valid; false if the check would take too long.
    pub(super) fn is_valid(&self, value: &Value) -> bool {
        let (levels, parts) = size(value);
        let ways = u32::try_from(levels).map_or(u64::MAX, |d| self.reach.fan.saturating_pow(d));
        let looks = ways.saturating_mul(self.reach.breadth).saturating_mul(parts);
        levels <= LEVELS_MAX && looks <= LOOKS_MAX && self.validator.is_valid(value)
    }
}

/// How deep a value is, and how many parts it has.
fn size(value: &Value) -> (usize, u64) {
    let (mut levels, mut parts) = (0, 0);
    let mut open = vec![(value, 0)];
    while let Some((value, level)) = open.pop() {
        levels = levels.max(level);
        parts += 1 + value.as_str().map_or(0, |text| (text.len() / PART_BYTES) as u64);
        match value {
            Value::Array(values) => open.extend(values.iter().map(|value| (value, level + 1))),
            Value::Object(map) => open.extend(map.values().map(|value| (value, level + 1))),
            _ => {}
        }
    }
    (levels, parts)
}

/// Reads a schema.
///
/// # Errors
/// What is wrong with it and where, as one line; quotes no more than a keyword or a pointer.
pub(super) fn compile(schema: &Value, budget: &mut Budget) -> Result<Schema, String> {
    let bytes = schema.to_string().len();
    if bytes > BYTES_MAX {
        return Err(format!("it is over {BYTES_MAX} bytes"));
    }
    let subset = keywords::reduce(schema)?;
    budget.spend(bytes, subset.patterns)?;
    let reach = reach::reach(&subset.schema)?;
    let patterns =
        PatternOptions::regex().size_limit(PATTERN_BYTES_MAX).dfa_size_limit(PATTERN_BYTES_MAX);
    let options = jsonschema::options().offline().with_pattern_options(patterns);
    let validator = options.build(&subset.schema).map_err(|error| {
        let place = subset.source(&error.instance_path().to_string());
        let keyword = error.kind().keyword().to_owned();
        let place = if place.is_empty() { "the schema itself".to_owned() } else { place };
        format!("at {} ('{keyword}' does not hold)", short(&place))
    })?;
    Ok(Schema { validator, reach })
}

fn short(text: &str) -> String {
    text.chars().take(128).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn compile(schema: &Value) -> Result<Schema, String> {
        super::compile(schema, &mut Budget::default())
    }

    #[test]
    fn a_bomb_is_refused_at_once() {
        let patterns: Vec<_> =
            (0..100).map(|n| json!({ "pattern": format!("{n}[^a]{{1000}}") })).collect();
        for schema in [
            json!({ "anyOf": patterns }),
            json!({"pattern": "(((a{50}){50}){50}){50}"}),
            doubling_bomb("if"),
            doubling_bomb("not"),
            doubling_bomb("allOf"),
            json!({"enum": vec!["x"; 100_000]}),
        ] {
            assert!(compile(&schema).is_err());
        }
    }

    /// Sixty doublings at one value, for which the references mean something else than they say.
    fn doubling_bomb(keyword: &str) -> Value {
        let mut bomb = serde_json::Map::new();
        let mut plain = serde_json::Map::new();
        for at in 0..60 {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            bomb.insert(format!("d{at}"), json!({"allOf": [next, next]}));
            plain.insert(format!("d{}", at + 1), json!({}));
        }
        bomb.insert("d60".to_owned(), json!({"type": "object"}));
        plain.insert("d0".to_owned(), json!({}));
        let x = json!({"$id": "https://x.example/y", "$ref": "#/$defs/d0", "$defs": bomb});
        plain.insert("x".to_owned(), x);
        let inner = json!({"$ref": "#/$defs/x"});
        let inner = if keyword == "allOf" { json!([inner]) } else { inner };
        json!({ keyword: inner, "$defs": plain })
    }

    #[test]
    fn all_schemas_of_a_request_share_a_budget() {
        let schema = json!({"properties": {"a": {"pattern": "^a+$"}, "b": {"pattern": "^b+$"}}});
        let mut budget = Budget::default();
        let fits = (0..100).take_while(|_| super::compile(&schema, &mut budget).is_ok()).count();
        assert_eq!(fits, 32);
    }

    #[test]
    fn a_long_list_of_values_counts_for_each_part() {
        let list: Vec<_> = (0..20_000).collect();
        let schema = compile(&json!({"items": {"enum": list}})).expect("a schema");
        assert!(schema.is_valid(&json!([19_999])));
        assert!(!schema.is_valid(&json!(vec![19_999; 10_000])), "it would take too long");
    }

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
    fn what_would_take_for_ever_does_not_fit() {
        let next = json!({"properties": {"next": {"$ref": "#"}}});
        let schema = compile(&json!({"allOf": [next, next, next]})).expect("a schema");
        let mut deep = json!({});
        for _ in 0..5 {
            deep = json!({ "next": deep });
        }
        assert!(schema.is_valid(&deep));
        for _ in 0..50 {
            deep = json!({ "next": deep });
        }
        assert!(!schema.is_valid(&deep));
    }

    #[test]
    fn nothing_is_fetched() {
        for reference in ["https://example.com/schema.json", "file:///etc/passwd", "#/nowhere"] {
            let why = compile(&json!({"$ref": reference})).expect_err("refused");
            assert!(why.contains("points to nothing"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_schema_and_no_value_bring_the_gateway_down(schema in schemas(), value in schemas()) {
            if let Ok(schema) = compile(&schema) {
                schema.is_valid(&value);
            }
        }
    }

    /// JSON that is nearly a schema, with references that lead anywhere.
    fn schemas() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!({})),
            any::<bool>().prop_map(Value::from),
            Just(json!({"$ref": "#"})),
            Just(json!({"$ref": "#/$defs/a"})),
            Just(json!({"$ref": "#/properties/a"})),
            Just(json!({"type": "string", "pattern": "^a*$"})),
        ];
        leaf.prop_recursive(5, 40, 3, |inner| {
            let children = prop::collection::vec(inner.clone(), 1..3);
            prop_oneof![
                children.clone().prop_map(|all| json!({ "allOf": all })),
                children.prop_map(|any| json!({ "anyOf": any, "$defs": {"a": {"not": {}}} })),
                inner.clone().prop_map(|a| json!({ "properties": {"a": a.clone(), "b": a} })),
                inner
                    .clone()
                    .prop_map(|a| json!({ "$defs": {"a": a}, "items": {"$ref": "#/$defs/a"} })),
                inner.prop_map(|a| json!({ "a": a, "if": {"$ref": "#"} })),
            ]
        })
    }

    #[test]
    fn what_is_no_schema_is_named_by_its_place() {
        let why = compile(&json!({"properties": {"a": {"type": "strin"}}})).expect_err("refused");
        assert!(why.contains("/properties/a/type"), "{why}");
        assert!(compile(&json!({"pattern": "("})).is_err());
    }
}
