//! Why a request is refused, with the message, `param` and `code` that OpenAI's clients expect.

use serde_json::Value;

/// A request that the client has to change. Over HTTP it is a 400.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct AskError {
    /// For people: what is wrong and what is right. It quotes at most a short piece of the request.
    pub message: String,
    /// Path of the field, like `messages[0].role`.
    pub param: Option<String>,
    /// For programs, one of OpenAI's codes.
    pub code: Option<&'static str>,
}

/// Longest piece of the request that a message quotes, in characters.
const QUOTE_CHARS: usize = 64;

impl AskError {
    /// An error that OpenAI has no code for.
    pub(super) fn plain(param: Option<&str>, message: impl Into<String>) -> Self {
        Self { message: message.into(), param: param.map(str::to_owned), code: None }
    }

    fn with_code(code: &'static str, param: &str, message: String) -> Self {
        Self { message, param: Some(param.to_owned()), code: Some(code) }
    }

    /// The body is not a JSON object. `why` quotes nothing of the body.
    pub(super) fn not_json(why: &str) -> Self {
        Self::plain(None, format!("We could not parse the JSON body of your request: {why}."))
    }

    pub(super) fn missing_parameter(path: &str) -> Self {
        let message = format!("Missing required parameter: '{path}'.");
        Self::with_code("missing_required_parameter", path, message)
    }

    pub(super) fn wrong_type(path: &str, expectation: &str, got: &Value) -> Self {
        let got = kind(got);
        let message =
            format!("Invalid type for '{path}': expected {expectation}, but got {got} instead.");
        Self::with_code("invalid_type", path, message)
    }

    /// A word that is not in a closed set.
    pub(super) fn not_one_of(path: &str, got: &str, words: &[&str]) -> Self {
        let words = words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>();
        let (got, words) = (quote(got), words.join(", "));
        let message = format!("Invalid value: '{got}'. Supported values are: {words}.");
        Self::with_code("invalid_value", path, message)
    }

    /// A number outside its range. `code` says beyond which end, and whether it is an integer.
    pub(super) fn out_of_range(code: RangeCode, path: &str, limit: &str, got: &str) -> Self {
        let (code, words, sign) = code.parts();
        let message = format!(
            "Invalid '{path}': {words}. Expected a value {sign} {limit}, but got {got} instead."
        );
        Self::with_code(code, path, message)
    }

    pub(super) fn empty_array(path: &str) -> Self {
        let message = format!(
            "Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty array instead."
        );
        Self::with_code("empty_array", path, message)
    }

    pub(super) fn array_too_long(path: &str, max: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': array too long. Expected an array with maximum length {max}, \
             but got an array with length {got} instead."
        );
        Self::with_code("array_above_max_length", path, message)
    }

    pub(super) fn string_too_long(path: &str, max: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': string too long. Expected a string with maximum length {max}, but \
             got a string with length {got} instead."
        );
        Self::with_code("string_above_max_length", path, message)
    }

    pub(super) fn array_too_short(path: &str, min: usize, got: usize) -> Self {
        let message = format!(
            "Invalid '{path}': array too short. Expected an array with minimum length {min}, \
             but got an array with length {got} instead."
        );
        Self::with_code("array_below_min_length", path, message)
    }

    /// More dimensions than the model's vectors have.
    pub fn too_many_dimensions(dimensions: usize, model: &str, size: usize) -> Self {
        let message = format!(
            "Invalid 'dimensions': integer above maximum value. Expected a value <= {size}, the \
             size of the vectors of '{model}', but got {dimensions} instead."
        );
        Self::with_code("integer_above_max_value", "dimensions", message)
    }

    /// A text or an object with the wrong form. `expectation` describes the right one.
    pub(super) fn bad_form(path: &str, expectation: &str) -> Self {
        let message = format!("Invalid '{path}': expected {expectation}.");
        Self::with_code("invalid_value", path, message)
    }

    /// A JSON Schema that is invalid, or that answers cannot be constrained to. OpenAI has a code
    /// only for the schema of a function.
    pub(super) fn bad_schema(path: &str, of_function: bool, why: &str) -> Self {
        Self {
            message: format!("Invalid schema for '{path}': {why}."),
            param: Some(path.to_owned()),
            code: of_function.then_some("invalid_function_parameters"),
        }
    }

    /// A field that nothing here supports.
    pub(super) fn unsupported_parameter(path: &str, why: &str) -> Self {
        Self::with_code(
            "unsupported_parameter",
            path,
            format!("Unsupported parameter: '{path}'. {why}"),
        )
    }

    /// A value that OpenAI supports and nothing here does.
    pub(super) fn unsupported_value(path: &str, why: &str) -> Self {
        Self::with_code("unsupported_value", path, format!("Unsupported value: '{path}'. {why}"))
    }

    /// A field that the endpoint does not have.
    pub(super) fn unknown_parameter(path: &str) -> Self {
        Self::with_code("unknown_parameter", path, format!("Unknown parameter: '{}'.", quote(path)))
    }

    /// Two fields that exclude each other.
    pub(super) fn combination(param: &str, rival: &str) -> Self {
        let message = format!("Setting '{param}' and '{rival}' at the same time is not supported.");
        Self::with_code("invalid_parameter_combination", param, message)
    }
}

/// The end of the range that a number is beyond, and the kind of number.
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

/// The kind of a value with its article, in OpenAI's words.
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

/// At most [`QUOTE_CHARS`] characters, so that a message never repeats a whole request.
fn quote(text: &str) -> String {
    text.chars().take(QUOTE_CHARS).collect()
}
