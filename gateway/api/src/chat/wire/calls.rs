//! Function calls, whole and as deltas.

use serde::Serialize;
use shoal_proto::tools;

/// A call in a whole answer.
#[derive(Clone, Debug, Serialize)]
pub struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

impl ToolCall {
    pub fn of(call: &tools::ToolCall) -> Self {
        Self { id: call.id.clone(), kind: "function", function: Function::of(call) }
    }
}

/// A function's name and its arguments, as text.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    name: String,
    arguments: String,
}

impl Function {
    pub fn of(call: &tools::ToolCall) -> Self {
        Self { name: call.name.clone(), arguments: call.arguments.clone() }
    }
}

/// What a chunk adds to a call: first who is called, then the arguments bit by bit. Keys that
/// were told are left out afterwards: some clients overwrite what they have with null.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct CallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

#[derive(Clone, Copy, Debug, Serialize)]
pub struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> FunctionDelta<'a> {
    pub fn named(call: &'a tools::ToolCall) -> Self {
        Self { name: Some(&call.name), arguments: "" }
    }

    pub fn piece(arguments: &'a str) -> Self {
        Self { name: None, arguments }
    }
}

impl<'a> CallDelta<'a> {
    pub fn named(index: usize, call: &'a tools::ToolCall) -> Self {
        let function = FunctionDelta::named(call);
        Self { index, id: Some(&call.id), kind: Some("function"), function }
    }

    pub fn piece(index: usize, arguments: &'a str) -> Self {
        Self { index, id: None, kind: None, function: FunctionDelta::piece(arguments) }
    }
}
