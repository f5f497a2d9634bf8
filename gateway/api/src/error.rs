//! Why a request cannot be asked, in the words, `param` and `code` that OpenAI's clients know.

use serde_json::Value;

/// A request that the sender has to change. Every one is a 400 on HTTP.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AskError {
    /// For people: what is wrong and what would be right. Quotes at most a short piece of the input.
    pub message: String,
    /// Path of the field, like `messages[0].role`.
    pub param: Option<String>,
    /// For programs, one of OpenAI's codes.
    pub code: Option<&'static str>,
}

/// Longest piece of the request that a message repeats, in characters.
const QUOTED: usize = 64;

impl AskError {
    /// An error of a kind that OpenAI gives no code.
    pub(super) fn plain(param: Option<&str>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: param.map(str::to_owned), code: None }
    }

    fn coded(code: &'static str, param: &str, message: String) -> Self {
        Self { message, param: Some(param.to_owned()), code: Some(code) }
    }

    /// The body is no JSON, or no JSON object. `why` comes from the parser and quotes nothing.
    pub(super) fn not_json(why: &str) -> Self {
        Self::plain(None, format!("We could not parse the JSON body of your request: {why}."))
    }

    pub(super) fn missing(path: &str) -> Self {
        let message = format!("Missing required parameter: '{path}'.");
        Self::coded("missing_required_parameter", path, message)
    }

    pub(super) fn wrong_type(path: &str, expected: &str, got: &Value) -> Self {
        let got = kind(got);
        let message =
            format!("Invalid type for '{path}': expected {expected}, but got {got} instead.");
        Self::coded("invalid_type", path, message)
    }

    /// Not one of a closed set of words.
    pub(super) fn not_one_of(path: &str, got: &str, supported: &[&str]) -> Self {
        let supported = supported.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>();
        let (got, supported) = (quote(got), supported.join(", "));
        let message = format!("Invalid value: '{got}'. Supported values are: {supported}.");
        Self::coded("invalid_value", path, message)
    }

    /// A number outside its range. `code` says which end, and whether it is whole.
    pub(super) fn out_of_range(code: RangeCode, path: &str, limit: &str, got: &str) -> Self {
        let (code, words, sign) = code.parts();
        let message = format!(
            "Invalid '{path}': {words}. Expected a value {sign} {limit}, but got {got} instead."
        );
        Self::coded(code, path, message)
    }

    pub(super) fn empty_array(path: &str) -> Self {
        let message = format!(
            "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        Self::coded("empty_array", path, message)
    }

    pub(super) fn array_too_long(path: &str, max: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': array too long. Expected an array with maximum length {max}, \
             but got an array with length {got} instead."
        );
        Self::coded("array_above_max_length", path, message)
    }

    pub(super) fn string_too_long(path: &str, max: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': string too long. Expected a string with maximum length {max}, but \
             got a string with length {got} instead."
        );
        Self::coded("string_above_max_length", path, message)
    }

    pub(super) fn array_too_short(path: &str, min: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': array too short. Expected an array with minimum length {min}, \
             but got an array with length {got} instead."
        );
        Self::coded("array_below_min_length", path, message)
    }

    /// A vector has fewer numbers than are wanted of it.
    pub fn too_many_dimensions(wanted: usize, model: &str, size: usize) -> Self {
        let message = format!(
            "Invalid 'dimensions': integer above maximum value. Expected a value <= {size}, the \
             size of the vectors of '{model}', but got {wanted} instead."
        );
        Self::coded("integer_above_max_value", "dimensions", message)
    }

    /// A text in a shape that cannot be right. `expected` says which would be.
    pub(super) fn malformed(path: &str, expected: &str) -> Self {
        let message = format!("Invalid '{path}': expected {expected}.");
        Self::coded("invalid_value", path, message)
    }

    /// A JSON Schema that is none, or none that can be held to. OpenAI has a code for a
    /// function's only.
    pub(super) fn bad_schema(path: &str, of_function: bool, why: &str) -> Self {
        Self {
            message: format!("Invalid schema for '{path}': {why}."),
            param: Some(path.to_owned()),
            code: of_function.then_some("invalid_function_parameters"),
        }
    }

    /// A field that nothing here can honour.
    pub(super) fn unsupported_parameter(path: &str, why: &str) -> Self {
        Self::coded(
            "unsupported_parameter",
            path,
            format!("Unsupported parameter: '{path}'. {why}"),
        )
    }

    /// A value that OpenAI knows and nothing here can honour.
    pub(super) fn unsupported_value(path: &str, why: &str) -> Self {
        Self::coded("unsupported_value", path, format!("Unsupported value: '{path}'. {why}"))
    }

    pub(super) fn unknown_parameter(path: &str) -> Self {
        Self::coded("unknown_parameter", path, format!("Unknown parameter: '{}'.", quote(path)))
    }

    /// Two fields that exclude each other.
    pub(super) fn combination(param: &str, other: &str) -> Self {
        let message = format!("Setting '{param}' and '{other}' at the same time is not supported.");
        Self::coded("invalid_parameter_combination", param, message)
    }
}

/// Which end of which kind of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RangeCode {
    IntegerBelow,
    IntegerAbove,
    DecimalBelow,
    DecimalAbove,
}

impl RangeCode {
    /// OpenAI's code, its words, and the sign before the limit.
    fn parts(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::IntegerBelow => ("integer_below_min_value", "integer below minimum value", ">="),
            Self::IntegerAbove => ("integer_above_max_value", "integer above maximum value", "<="),
            Self::DecimalBelow => ("decimal_below_min_value", "decimal below minimum value", ">="),
            Self::DecimalAbove => ("decimal_above_max_value", "decimal above maximum value", "<="),
        }
    }
}

/// What a value is, with its article, as OpenAI words it.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// At most [`QUOTED`] characters, so that a message never carries a whole request back.
fn quote(text: &str) -> String {
    text.chars().take(QUOTED).collect()
}
