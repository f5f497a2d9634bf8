//! Function calls, put together from the bits in which they are streamed.

use serde_json::Value;
use shoal_proto::tools::{CALLS_MAX, ToolCall};

/// Calls as far as they have arrived.
#[derive(Debug, Default)]
pub(super) struct Calls(Vec<Call>);

#[derive(Debug, Default)]
struct Call {
    index: Option<u64>,
    call: ToolCall,
}

impl Calls {
    /// Takes the bits of one chunk in; returns their bytes. Lenient: some endpoints number no
    /// calls, repeat the name on every bit, or send arguments as an object.
    pub(super) fn read(&mut self, bits: &[Value]) -> usize {
        bits.iter().map(|bit| self.bit(bit)).sum()
    }

    fn bit(&mut self, bit: &Value) -> usize {
        let index = bit.get("index").and_then(Value::as_u64);
        let id = word(bit, "id");
        let function = bit.get("function").unwrap_or(&Value::Null);
        let name = word(function, "name");
        let Some(call) = self.place(index, id.as_deref(), name.is_some()) else { return 0 };
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            _ => String::new(),
        };
        call.arguments.push_str(&arguments);
        let mut bytes = arguments.len();
        if call.id.is_empty() {
            call.id = id.unwrap_or_default();
        }
        if call.name.is_empty() {
            call.name = name.unwrap_or_default();
            bytes += call.name.len();
        }
        bytes
    }

    /// The call that a bit belongs to: by number, else by id, else a new one where the bit has a
    /// name, else the last.
    fn place(
        &mut self,
        index: Option<u64>,
        id: Option<&str>,
        has_name: bool,
    ) -> Option<&mut ToolCall> {
        let position = match (index, id) {
            (Some(_), _) => self.0.iter().position(|part| part.index == index),
            (None, Some(id)) => self.0.iter().position(|part| part.call.id == id),
            (None, None) if has_name => None,
            (None, None) => self.0.len().checked_sub(1),
        };
        let at = match position {
            Some(at) => at,
            None if self.0.len() >= CALLS_MAX => return None,
            None => {
                self.0.push(Call { index, call: ToolCall::default() });
                self.0.len() - 1
            }
        };
        self.0.get_mut(at).map(|part| &mut part.call)
    }

    /// The calls that have a name.
    pub(super) fn into_tool_calls(self) -> Vec<ToolCall> {
        let calls = self.0.into_iter().map(|part| part.call).filter(|call| !call.name.is_empty());
        calls.map(with_arguments).collect()
    }
}

fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).filter(|word| !word.is_empty()).map(str::to_owned)
}

fn with_arguments(call: ToolCall) -> ToolCall {
    match call.arguments.trim() {
        "" => ToolCall { arguments: "{}".to_owned(), ..call },
        _ => call,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn whole(chunks: &[Value]) -> Vec<(String, String, String)> {
        let mut calls = Calls::default();
        for chunk in chunks {
            calls.read(chunk.as_array().unwrap());
        }
        calls
            .into_tool_calls()
            .into_iter()
            .map(|call| (call.id, call.name, call.arguments))
            .collect()
    }

    fn call(id: &str, name: &str, arguments: &str) -> (String, String, String) {
        (id.to_owned(), name.to_owned(), arguments.to_owned())
    }

    #[test]
    fn bits_of_two_calls_may_come_in_any_order() {
        let chunks = [
            json!([{"index": 0, "id": "a", "function": {"name": "f", "arguments": ""}}]),
            json!([{"index": 1, "id": "b", "function": {"name": "g", "arguments": "{\"y\""}}]),
            json!([{"index": 0, "function": {"arguments": "{\"x\":"}}, {"index": 1, "function": {"arguments": ":2}"}}]),
            json!([{"index": 0, "id": "", "function": {"name": "", "arguments": "1}"}}]),
        ];
        assert_eq!(whole(&chunks), [call("a", "f", "{\"x\":1}"), call("b", "g", "{\"y\":2}")]);
    }

    #[test]
    fn endpoints_that_number_nothing_are_understood() {
        let chunks = [
            json!([{"function": {"name": "f", "arguments": {"x": 1}}}]),
            json!([{"function": {"name": "g"}}]),
            json!([{"function": {"arguments": ""}}]),
        ];
        assert_eq!(whole(&chunks), [call("", "f", "{\"x\":1}"), call("", "g", "{}")]);
        let by_id = [
            json!([{"id": "a", "function": {"name": "f", "arguments": "{"}}]),
            json!([{"id": "a", "function": {"name": "f", "arguments": "}"}}]),
        ];
        assert_eq!(whole(&by_id), [call("a", "f", "{}")]);
    }

    proptest! {
        #[test]
        fn there_are_never_more_calls_than_a_message_may_have(
            indices in prop::collection::vec(prop::option::of(0u64..1000), 0..400),
        ) {
            let mut calls = Calls::default();
            for index in indices {
                calls.read(&[json!({"index": index, "function": {"name": "f"}})]);
            }
            prop_assert!(calls.into_tool_calls().len() <= CALLS_MAX);
        }
    }
}
