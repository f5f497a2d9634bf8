//! Every field of a chat request that is known here, and what becomes of it. The table in
//! docs/COMPATIBILITY.md says the same with reasons; a test holds them together.

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// The gateway does what it says.
    Honoured,
    /// Checked and handed to the members' engines, which do it as far as they can.
    PassedOn,
    /// Checked where that is cheap, and without effect.
    Ignored,
    /// A request that has it is refused: ignoring it would give another answer than was asked for.
    Refused,
}

/// Every field by its name: OpenAI's first, then those of other servers, then our own.
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

/// What becomes of a field; None: it is unknown.
pub fn treatment(field: &str) -> Option<Treatment> {
    FIELDS.iter().find(|(name, _)| *name == field).map(|(_, treatment)| *treatment)
}
