//! Functions that an answer may call, and the calls.

use crate::wire::Nonsense;

/// Calls of one answer at most.
pub const CALLS_MAX: usize = 128;

/// The functions on offer.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Tools {
    #[prost(message, repeated, tag = "1")]
    pub functions: Vec<Function>,
    #[prost(enumeration = "ToolChoice", tag = "2")]
    pub choice: i32,
    /// For [`ToolChoice::Named`]: which function.
    #[prost(string, tag = "3")]
    pub named: String,
    /// One answer may call more than once.
    #[prost(bool, tag = "4")]
    pub parallel: bool,
}

/// A function as its client describes it.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Function {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub description: String,
    /// JSON Schema of its arguments, an object; empty: it takes none.
    #[prost(string, tag = "3")]
    pub parameters: String,
    /// The arguments must keep to the schema.
    #[prost(bool, tag = "4")]
    pub strict: bool,
}

/// Whether an answer calls functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum ToolChoice {
    /// The model decides.
    Auto = 0,
    /// It calls none.
    None = 1,
    /// It calls at least one.
    Required = 2,
    /// It calls the one that is named.
    Named = 3,
}

/// One call.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct ToolCall {
    /// Names the call when its result comes back.
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(string, tag = "2")]
    pub name: String,
    /// A JSON object.
    #[prost(string, tag = "3")]
    pub arguments: String,
}

pub(crate) fn check_calls(calls: &[ToolCall]) -> Result<(), Nonsense> {
    if calls.len() > CALLS_MAX {
        return Err(Nonsense("more than 128 calls"));
    }
    if calls.iter().any(|call| call.name.is_empty()) {
        return Err(Nonsense("a call of a function without a name"));
    }
    Ok(())
}
