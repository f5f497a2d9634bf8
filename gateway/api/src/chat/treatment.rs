//! The fields of a chat request, with what the gateway does with each. docs/COMPATIBILITY.md has the
//! same table with reasons, and a test compares the two.

/// What the gateway does with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The gateway does what the field asks for.
    Honoured,
    /// The field is checked and sent to the members' engines, which do what they can.
    PassedOn,
    /// The field has no effect. It is checked where that is cheap.
    Ignored,
    /// A request with the field is refused: without it the answer would be another one.
    Refused,
}

/// Each field: OpenAI's first, then those of other servers, then Shoal's own.
pub const FIELDS: &[(&str, Treatment)] = {
    use Treatment::{Honoured, Ignored, PassedOn, Refused};
    &[
        ("messages", Honoured),
        ("model", Honoured),
        ("audio", Ignored),
        ("frequency_penalty", PassedOn),
        ("function_call", Honoured),
        ("functions", Honoured),
        ("logit_bias", PassedOn),
        ("logprobs", PassedOn),
        ("max_completion_tokens", PassedOn),
        ("max_tokens", PassedOn),
        ("metadata", Ignored),
        ("modalities", Honoured),
        ("moderation", Refused),
        ("n", Honoured),
        ("parallel_tool_calls", Honoured),
        ("prediction", Ignored),
        ("presence_penalty", PassedOn),
        ("prompt_cache_key", Ignored),
        ("prompt_cache_options", Ignored),
        ("prompt_cache_retention", Ignored),
        ("reasoning_effort", Honoured),
        ("response_format", Honoured),
        ("safety_identifier", Ignored),
        ("seed", PassedOn),
        ("service_tier", Ignored),
        ("stop", PassedOn),
        ("store", Honoured),
        ("stream", Honoured),
        ("stream_options", Honoured),
        ("temperature", PassedOn),
        ("tool_choice", Honoured),
        ("tools", Honoured),
        ("top_logprobs", PassedOn),
        ("top_p", PassedOn),
        ("user", Ignored),
        ("verbosity", Ignored),
        ("web_search_options", Refused),
        ("chat_template_kwargs", PassedOn),
        ("min_p", PassedOn),
        ("repetition_penalty", PassedOn),
        ("top_k", PassedOn),
        ("shoal", Honoured),
    ]
};

/// The treatment of a field; `None` if it is unknown.
pub fn of_field(field: &str) -> Option<Treatment> {
    FIELDS.iter().find(|(name, _)| *name == field).map(|(_, treatment)| *treatment)
}
