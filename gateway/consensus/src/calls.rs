//! Function calls and JSON values as text: for judges, and in a canonical form.

use serde_json::{Map, Value, json};
use shoal_proto::tools::ToolCall;

/// Calls as [`shoal_proto::judge::Judge::tools`] describes them: `[{"name": .., "arguments": {..}}]`.
pub(crate) fn as_json(calls: &[ToolCall]) -> String {
    let objects = calls.iter().map(|call| {
        let arguments = serde_json::from_str(&call.arguments);
        let arguments: Value = arguments.unwrap_or_else(|_| Value::from(call.arguments.clone()));
        json!({ "name": call.name, "arguments": arguments })
    });
    Value::from_iter(objects).to_string()
}

/// The value with sorted keys and whole numbers without a fraction: equal values have equal texts.
pub(crate) fn canonical_value(value: &Value) -> String {
    fn sort_keys(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|x, y| x.0.cmp(y.0));
                let entries =
                    entries.into_iter().map(|(key, value)| (key.clone(), sort_keys(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            Value::Array(values) => values.iter().map(sort_keys).collect(),
            Value::Number(number) => match number.as_f64() {
                // Below 2^53 every whole float is its integer.
                Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => {
                    Value::from(float as i64)
                }
                _ => value.clone(),
            },
            leaf => leaf.clone(),
        }
    }
    sort_keys(value).to_string()
}

/// A canonical form of calls, without their order and ids.
pub(crate) fn canonical(calls: &[ToolCall]) -> String {
    let mut calls: Vec<String> = calls.iter().map(canonical_call).collect();
    calls.sort();
    calls.join("\n")
}

fn canonical_call(call: &ToolCall) -> String {
    let arguments = serde_json::from_str::<Value>(&call.arguments);
    let arguments =
        arguments.map_or_else(|_| call.arguments.clone(), |value| canonical_value(&value));
    format!("{}({arguments})", call.name)
}
