//! Functions that an answer may call, and the calls.

use crate::invalid::InvalidMessage;

/// Most calls in one answer.
pub const CALLS_MAX: usize = 128;

/// The functions that an answer may call.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Tools {
    /// The functions.
    #[prost(message, repeated, tag = "1")]
    pub functions: Vec<Function>,
    /// Whether the answer calls functions.
    #[prost(enumeration = "ToolChoice", tag = "2")]
    pub choice: i32,
    /// The function of [`ToolChoice::Named`].
    #[prost(string, tag = "3")]
    pub named: String,
    /// Whether one answer may contain several calls.
    #[prost(bool, tag = "4")]
    pub parallel: bool,
}

/// A function as the client describes it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Function {
    /// The name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What the function does, for the model.
    #[prost(string, tag = "2")]
    pub description: String,
    /// The JSON Schema of its arguments, which is an object. Empty if it has no arguments.
    #[prost(string, tag = "3")]
    pub parameters: String,
    /// Whether the arguments must conform to the schema.
    #[prost(bool, tag = "4")]
    pub strict: bool,
}

/// Whether an answer calls functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ToolChoice {
    /// The model decides.
    Auto = 0,
    /// The answer calls no function.
    None = 1,
    /// The answer calls at least one function.
    Required = 2,
    /// The answer calls the function [`Tools::named`].
    Named = 3,
}

/// A call of a function.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ToolCall {
    /// Identifies the call when its result is sent back.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The function.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The arguments, a JSON object.
    #[prost(string, tag = "3")]
    pub arguments: String,
}

impl ToolCall {
    /// The arguments; an empty object where the call has none. Endpoints and clients write the arguments
    /// of a function that takes nothing as an empty text or as null.
    pub fn object(&self) -> &str {
        match self.arguments.trim() {
            "" | "null" => "{}",
            _ => &self.arguments,
        }
    }
}

pub(crate) fn check_calls(calls: &[ToolCall]) -> Result<(), InvalidMessage> {
    if calls.len() > CALLS_MAX {
        return Err(InvalidMessage("more than 128 calls"));
    }
    if calls.iter().any(|call| call.name.is_empty()) {
        return Err(InvalidMessage("a call of a function without a name"));
    }
    Ok(())
}
