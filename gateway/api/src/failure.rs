//! A request that has no answer, in the words of each format.

use serde::Serialize;

/// Why a request has no answer, with what the formats say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For people.
    pub message: String,
    /// OpenAI's `type`.
    pub kind: &'static str,
    /// Anthropic's `type`.
    pub anthropic_kind: &'static str,
    /// Path of the field at fault.
    pub param: Option<String>,
    /// For programs: one of OpenAI's codes, or of other servers with its API.
    pub code: Option<&'static str>,
    /// The same request fails again: the client has to change it.
    pub is_invalid: bool,
}

/// OpenAI's body of an error: `{"error": {...}}`.
#[derive(Debug, Serialize)]
pub struct ErrorBody<'a> {
    error: ErrorObject<'a>,
}

/// All four keys are always present.
#[derive(Debug, Serialize)]
struct ErrorObject<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    param: Option<&'a str>,
    code: Option<&'static str>,
}

impl<'a> From<&'a Failure> for ErrorBody<'a> {
    fn from(failure: &'a Failure) -> Self {
        let Failure { message, kind, param, code, .. } = failure;
        Self { error: ErrorObject { message, kind, param: param.as_deref(), code: *code } }
    }
}
