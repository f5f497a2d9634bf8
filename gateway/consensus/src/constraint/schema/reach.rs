//! A bound of the cost of validating a value, from the schema alone.
//!
//! Subschemas of `allOf` and the like, and targets of `$ref`, are applied to the same value as the schema
//! around them; those of `properties` or `items` to one part of it. The first kind must end, and both can
//! multiply: if two alternatives both describe `next`, a value at depth d is visited 2^d times.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Keywords whose subschemas look at the very value that the schema around them looks at.
const IN_PLACE: [&str; 9] =
    ["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies"];

/// Keywords whose subschemas may look at any part of the value.
const ANY_PART: &str = "additionalProperties unevaluatedProperties propertyNames items prefixItems \
     additionalItems unevaluatedItems contains";

/// Schemas inside of each other that look at the same value. Real ones have a handful; validating
/// takes some stack for each.
const DEPTH_MAX: usize = 32;

/// Entries in all the tables made here; a schema of 256 KiB can be built to need far more.
const ENTRIES_MAX: usize = 1_000_000;

/// How a schema multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reach {
    /// Subschemas that look at one value at most.
    pub(super) breadth: u64,
    /// Subschemas that look at the same part of one value at most.
    pub(super) fan: u64,
}

/// The reach of a schema.
///
/// # Errors
/// A reference to nothing, a reference that leads back to itself, or a schema that is too large.
pub(super) fn reach(root: &Value) -> Result<Reach, String> {
    let mut walk = Walk { root, cache: BTreeMap::new(), open: BTreeSet::new(), entries: 0 };
    let mut reach = Reach { breadth: 1, fan: 1 };
    let mut values = vec![root];
    while let Some(value) = values.pop() {
        match value {
            Value::Object(map) => {
                let here = walk.schema(value, map, 0)?;
                reach.breadth = reach.breadth.max(here.breadth);
                reach.fan = reach.fan.max(here.fan());
                values.extend(map.values());
            }
            Value::Array(more) => values.extend(more),
            _ => {}
        }
    }
    Ok(reach)
}

/// What looks at one value.
#[derive(Clone, Debug, Default)]
struct Here<'a> {
    breadth: u64,
    /// Subschemas that look at the property of this name.
    properties: BTreeMap<&'a str, u64>,
    /// Subschemas that may look at any part.
    any_part: u64,
}

impl Here<'_> {
    fn fan(&self) -> u64 {
        self.any_part.saturating_add(self.properties.values().copied().max().unwrap_or(0))
    }
}

struct Walk<'a> {
    root: &'a Value,
    cache: BTreeMap<*const Value, Here<'a>>,
    /// On the way from the first schema to this one.
    open: BTreeSet<*const Value>,
    entries: usize,
}

impl<'a> Walk<'a> {
    fn schema(
        &mut self,
        at: &'a Value,
        map: &'a Map<String, Value>,
        depth: usize,
    ) -> Result<Here<'a>, String> {
        let key = std::ptr::from_ref(at);
        if let Some(place) = self.cache.get(&key) {
            return Ok(place.clone());
        }
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} schemas look at the same value"));
        }
        if !self.open.insert(key) {
            return Err("a reference leads back to itself".to_owned());
        }
        let mut here = without_children(map);
        for inner in self.in_place(map)? {
            let Some(map) = inner.as_object() else { continue };
            let inner = self.schema(inner, map, depth + 1)?;
            here.breadth = here.breadth.saturating_add(inner.breadth);
            here.any_part = here.any_part.saturating_add(inner.any_part);
            for (name, count) in inner.properties {
                let place = here.properties.entry(name).or_default();
                *place = place.saturating_add(count);
            }
        }
        self.open.remove(&key);
        self.entries += 1 + here.properties.len();
        if self.entries > ENTRIES_MAX {
            return Err("it has too many alternatives".to_owned());
        }
        self.cache.insert(key, here.clone());
        Ok(here)
    }

    fn in_place(&self, map: &'a Map<String, Value>) -> Result<Vec<&'a Value>, String> {
        let mut children = Vec::new();
        if let Some(Value::String(reference)) = map.get("$ref") {
            children.push(target(self.root, reference)?);
        }
        for keyword in IN_PLACE {
            match map.get(keyword) {
                Some(Value::Array(schemas)) => children.extend(schemas),
                Some(Value::Object(schemas)) if keyword.starts_with("depend") => {
                    children.extend(schemas.values());
                }
                Some(schema) => children.push(schema),
                None => {}
            }
        }
        Ok(children)
    }
}

fn without_children<'a>(map: &'a Map<String, Value>) -> Here<'a> {
    // A value is compared with each of a list.
    let lists = ["enum", "required"].iter().filter_map(|name| map.get(*name)?.as_array());
    let comparisons: usize = lists.map(Vec::len).sum();
    let mut here = Here { breadth: 1 + comparisons as u64, ..Here::default() };
    let properties = map.get("properties").and_then(Value::as_object);
    here.properties.extend(properties.into_iter().flatten().map(|(name, _)| (name.as_str(), 1)));
    let patterns = map.get("patternProperties").and_then(Value::as_object).map_or(0, Map::len);
    // `false` and `true` cost nothing.
    let parts = ANY_PART.split(' ').filter(|keyword| {
        map.get(*keyword).is_some_and(|value| value.is_object() || value.is_array())
    });
    here.any_part = (patterns + parts.count()) as u64;
    here
}

fn target<'a>(root: &'a Value, reference: &str) -> Result<&'a Value, String> {
    // `keywords` has put the reference in this form.
    let target = reference.strip_prefix('#').and_then(|pointer| root.pointer(pointer));
    target.ok_or_else(|| format!("the reference '{reference}' points to nothing"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reach(schema: &Value) -> (u64, u64) {
        let reach = super::reach(schema).expect("it ends");
        (reach.breadth, reach.fan)
    }

    #[test]
    fn what_looks_at_the_same_part_multiplies() {
        let next = json!({"properties": {"next": {"$ref": "#"}}, "additionalProperties": false});
        assert_eq!(reach(&next), (2, 1));
        let two = json!({"anyOf": [next, {"properties": {"next": {"$ref": "#"}, "x": {}}}]});
        assert_eq!(reach(&two), (4, 2));
        let tree = json!({"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}});
        assert_eq!(reach(&tree), (2, 1));
    }

    #[test]
    fn doubling_along_references_is_counted_without_being_done() {
        let mut defs = Map::new();
        for at in 0..14 {
            let next = json!({"$ref": format!("#/$defs/d{}", at + 1)});
            defs.insert(format!("d{at}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d14".to_owned(), json!({}));
        let (breadth, _) = reach(&json!({"$ref": "#/$defs/d0", "$defs": defs}));
        assert!(breadth > 1 << 14, "{breadth}");
    }

    #[test]
    fn a_long_way_at_one_value_is_refused() {
        let mut schema = json!({});
        for _ in 0..40 {
            schema = json!({"allOf": [schema]});
        }
        assert!(super::reach(&schema).is_err_and(|why| why.contains("more than 32")));
    }
}
