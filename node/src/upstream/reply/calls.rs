//! Function calls, assembled from the parts in which they are streamed.

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
    /// Reads the calls of a delta or a message; returns their bytes.
    pub(super) fn read_message(&mut self, message: &Value) -> usize {
        let bytes = match message.get("tool_calls") {
            Some(Value::Array(bits)) => self.read(bits),
            Some(bit @ Value::Object(_)) => self.bit(bit),
            _ => 0,
        };
        // The older form, which has one call and no number.
        let function = message.get("function_call").filter(|function| function.is_object());
        bytes + function.map_or(0, |function| self.function(Some(0), None, function))
    }

    /// Reads the parts of one chunk; returns their bytes. Lenient: some endpoints number no
    /// calls or all of them 0, repeat the name on every bit, or send arguments as an object.
    pub(super) fn read(&mut self, bits: &[Value]) -> usize {
        bits.iter().map(|bit| self.bit(bit)).sum()
    }

    fn bit(&mut self, bit: &Value) -> usize {
        let index = bit.get("index").and_then(Value::as_u64);
        let function = bit.get("function").filter(|function| function.is_object()).unwrap_or(bit);
        self.function(index, word(bit, "id"), function)
    }

    fn function(&mut self, index: Option<u64>, id: Option<String>, function: &Value) -> usize {
        let name = word(function, "name");
        let arguments = match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            Some(object @ Value::Object(_)) => object.to_string(),
            _ => String::new(),
        };
        let bit = Bit { index, id: id.as_deref(), name: name.as_deref(), arguments: &arguments };
        if self.0.iter().any(|part| bit.repeats(&part.call)) {
            return 0;
        }
        let Some(call) = self.place(&bit) else { return 0 };
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

    /// The call that a bit belongs to, which may be a new one.
    fn place(&mut self, bit: &Bit<'_>) -> Option<&mut ToolCall> {
        let by_id = self.0.iter().rposition(|part| bit.is_more_of(part));
        let at = match by_id.or_else(|| self.0.iter().rposition(|part| bit.continues(part))) {
            Some(at) => at,
            // Without a name it begins no call.
            None if bit.index.is_none() && bit.name.is_none() => self.0.len().checked_sub(1)?,
            None if self.0.len() >= CALLS_MAX => return None,
            None => {
                self.0.push(Call { index: bit.index, call: ToolCall::default() });
                self.0.len() - 1
            }
        };
        self.0.get_mut(at).map(|part| &mut part.call)
    }

    /// The calls that have a name. `is_cut`: the answer was cut, so that the last one may be half a
    /// call, which is none.
    pub(super) fn into_tool_calls(self, is_cut: bool) -> Vec<ToolCall> {
        let calls = self.0.into_iter().map(|part| part.call).filter(|call| !call.name.is_empty());
        let calls = calls.map(|call| ToolCall { arguments: call.object().to_owned(), ..call });
        calls.filter(|call| !is_cut || is_json(&call.arguments)).collect()
    }
}

/// A part of a call.
struct Bit<'a> {
    index: Option<u64>,
    id: Option<&'a str>,
    name: Option<&'a str>,
    arguments: &'a str,
}

impl Bit<'_> {
    /// Whether this is more of `part`. The number decides first. Of two calls with one number (some
    /// endpoints number all of them 0) another id with a name begins the second; without a name it is
    /// the same call, because other endpoints make up an id for each bit. Without ids a name begins a
    /// call when the arguments of the one before are complete.
    fn continues(&self, part: &Call) -> bool {
        let (index, call) = (part.index, &part.call);
        if self.index != index {
            return false;
        }
        match (self.id, self.name) {
            (Some(_), Some(_)) => call.id.is_empty() && !self.begins_after(call),
            (None, Some(_)) => index.is_some() && !self.begins_after(call),
            (Some(_), None) => index.is_some(),
            (None, None) => true,
        }
    }

    /// Whether this has the id of `part`, and `part` is not complete.
    fn is_more_of(&self, part: &Call) -> bool {
        self.index == part.index
            && self.id.is_some_and(|id| id == part.call.id)
            && !(self.name.is_some() && self.begins_after(&part.call))
    }

    /// Whether this is a call that has come already: some endpoints repeat all of them at the end.
    fn repeats(&self, call: &ToolCall) -> bool {
        self.id.is_some_and(|id| id == call.id)
            && self.name.is_some_and(|name| name == call.name)
            && self.arguments == call.arguments
            && is_json(self.arguments)
    }

    /// Whether `call` is complete, so that more arguments belong to another one.
    fn begins_after(&self, call: &ToolCall) -> bool {
        !call.name.is_empty()
            && !self.arguments.is_empty()
            && !call.arguments.is_empty()
            && is_json(&call.arguments)
    }
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

fn word(value: &Value, key: &str) -> Option<String> {
    value.get(key).and_then(Value::as_str).filter(|word| !word.is_empty()).map(str::to_owned)
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
            .into_tool_calls(false)
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

    #[test]
    fn calls_that_share_a_number_are_told_apart() {
        let (oslo, lima) = ("{\"town\":\"Oslo\"}", "{\"town\":\"Lima\"}");
        let bit = |id: &str, name: &str, arguments: &str| json!({"index": 0, "id": id, "function": {"name": name, "arguments": arguments}});
        let both = [call("a", "f", oslo), call("b", "f", lima)];
        let (first, second) = (bit("a", "f", oslo), bit("b", "f", lima));
        assert_eq!(whole(&[json!([first.clone()]), json!([second.clone()])]), both);
        assert_eq!(whole(&[json!([first, second])]), both);
        // The same in bits: what has no id is more of the newest call.
        let more = |arguments: &str| json!([{"index": 0, "function": {"arguments": arguments}}]);
        let in_bits = [
            json!([bit("a", "f", "")]),
            more(&oslo[..5]),
            more(&oslo[5..]),
            json!([bit("b", "f", &lima[..5])]),
            more(&lima[5..]),
        ];
        assert_eq!(whole(&in_bits), both);
        // Without ids a complete call is followed by another one.
        let nameless = whole(&[json!([bit("", "f", oslo)]), json!([bit("", "g", lima)])]);
        assert_eq!(nameless, [call("", "f", oslo), call("", "g", lima)]);
    }

    #[test]
    fn an_id_that_changes_with_every_bit_makes_no_calls() {
        let chunks = [
            json!([{"index": 0, "id": "r1", "function": {"name": "f", "arguments": ""}}]),
            json!([{"index": 0, "id": "r2", "function": {"arguments": "{\"x\":"}}]),
            json!([{"index": 0, "id": "r3", "function": {"arguments": "1}"}}]),
        ];
        assert_eq!(whole(&chunks), [call("r1", "f", "{\"x\":1}")]);
    }

    #[test]
    fn whole_and_older_forms_of_calls_are_calls() {
        let mut calls = Calls::default();
        calls.read_message(&json!({"function_call": {"name": "f", "arguments": "{\"x\""}}));
        calls.read_message(&json!({"function_call": {"arguments": ":1}"}}));
        assert_eq!(calls.into_tool_calls(false)[0].arguments, "{\"x\":1}");
        let mut calls = Calls::default();
        calls.read_message(&json!({"tool_calls": {"id": "a", "name": "f", "arguments": "null"}}));
        assert_eq!(calls.into_tool_calls(false)[0].arguments, "{}");
        let mut calls = Calls::default();
        calls.read_message(&json!({"tool_calls": [{"name": "f", "arguments": "{\"x\""}]}));
        assert_eq!(calls.into_tool_calls(true), [], "half a call is none");
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
            prop_assert!(calls.into_tool_calls(false).len() <= CALLS_MAX);
        }
    }
}
