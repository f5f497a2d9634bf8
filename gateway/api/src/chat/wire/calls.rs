//! Function calls: whole and as deltas.

use serde::Serialize;
use shoal_proto::tools;

/// A call in a whole answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ToolCall {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    function: Function,
}

impl From<&tools::ToolCall> for ToolCall {
    fn from(call: &tools::ToolCall) -> Self {
        Self { id: call.id.clone(), kind: "function", function: Function::from(call) }
    }
}

/// A function's name and its arguments, as text.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Function {
    name: String,
    arguments: String,
}

impl From<&tools::ToolCall> for Function {
    fn from(call: &tools::ToolCall) -> Self {
        Self { name: call.name.clone(), arguments: call.arguments.clone() }
    }
}

/// What a chunk adds to a call: first the function's name, then its arguments in pieces. Keys that
/// are sent already are left out: some clients overwrite what they have with null.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct CallDelta<'a> {
    index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    function: FunctionDelta<'a>,
}

/// What a chunk adds to a function's name or arguments.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct FunctionDelta<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

impl<'a> FunctionDelta<'a> {
    /// The name, without arguments.
    pub(crate) fn name(call: &'a tools::ToolCall) -> Self {
        Self { name: Some(&call.name), arguments: "" }
    }

    /// More of the arguments.
    pub(crate) fn arguments(arguments: &'a str) -> Self {
        Self { name: None, arguments }
    }
}

impl<'a> CallDelta<'a> {
    /// The name, without arguments.
    pub(crate) fn name(index: usize, call: &'a tools::ToolCall) -> Self {
        let function = FunctionDelta::name(call);
        Self { index, id: Some(&call.id), kind: Some("function"), function }
    }

    /// More of the arguments.
    pub(crate) fn arguments(index: usize, arguments: &'a str) -> Self {
        Self { index, id: None, kind: None, function: FunctionDelta::arguments(arguments) }
    }
}
