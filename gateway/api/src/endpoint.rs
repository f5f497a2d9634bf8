//! What the endpoints other than `/v1/chat/completions` have in common.
//!
//! Their requests are written in a chat's fields and checked as a chat, so that a round does not
//! depend on the endpoint. Errors name the fields as the endpoint does.

use serde_json::{Map, Value};

use crate::{chat::ChatRequest, error::AskError};
use shoal_consensus::ask::Limits;

/// Pairs of a chat's field and the endpoint's name for it.
pub type FieldNames<'a> = &'a [(&'a str, &'a str)];

/// Fields that mean the same at each of OpenAI's endpoints, and those that other servers added:
/// they are copied unchanged.
const COMMON_FIELDS: [&str; 17] = [
    "model",
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "seed",
    "stop",
    "stream",
    "store",
    "metadata",
    "user",
    "chat_template_kwargs",
    "shoal",
];

/// A chat with the fields of the body that a chat has too.
pub(super) fn chat(body: &Map<String, Value>) -> Map<String, Value> {
    let fields = COMMON_FIELDS.iter();
    fields.filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone()))).collect()
}

/// If the operator is strict, refuses a field that is neither the endpoint's own nor a common one.
pub(super) fn refuse_unknown<'a>(
    mut names: impl Iterator<Item = &'a str>,
    own_fields: &[&str],
    limits: &Limits,
) -> Result<(), AskError> {
    if !limits.strict {
        return Ok(());
    }
    match names.find(|name| !own_fields.contains(name) && !COMMON_FIELDS.contains(name)) {
        Some(name) => Err(AskError::unknown_parameter(name)),
        None => Ok(()),
    }
}

/// Checks the chat that a request was rewritten to.
pub(super) fn parse(
    chat: &Map<String, Value>,
    limits: &Limits,
    names: FieldNames<'_>,
) -> Result<ChatRequest, AskError> {
    ChatRequest::from_object(chat, limits).map_err(|error| error.rename(names))
}

impl AskError {
    /// Replaces the name of a chat's field by the endpoint's. The first pair that fits counts.
    pub fn rename(self, names: FieldNames<'_>) -> Self {
        let Some(param) = &self.param else { return self };
        let Some(name) = names.iter().find_map(|pair| endpoint_name(param, *pair)) else {
            return self;
        };
        let message = self.message.replace(&format!("'{param}'"), &format!("'{name}'"));
        Self { message, param: Some(name), code: self.code }
    }
}

/// The endpoint's name for the path `param`; `None` if the chat's field is not its beginning.
fn endpoint_name(param: &str, (chat, endpoint): (&str, &str)) -> Option<String> {
    let rest = param.strip_prefix(chat)?;
    if !rest.is_empty() && !rest.starts_with(['.', '[']) {
        return None;
    }
    // A name that ends with a dot stands for everything below it.
    Some(match endpoint.strip_suffix('.') {
        Some(endpoint) => endpoint.to_owned(),
        None => format!("{endpoint}{rest}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_field_that_the_client_sent() {
        let names: FieldNames<'_> =
            &[("messages", "input."), ("tools", "tools"), ("max_tokens", "limit")];
        for (chat, endpoint) in [
            ("messages[0].content", "input"),
            ("max_tokens_more", "max_tokens_more"),
            ("tools[1].name", "tools[1].name"),
        ] {
            let error = AskError::missing_parameter(chat).rename(names);
            assert_eq!(error.param.as_deref(), Some(endpoint));
        }
        let error = AskError::missing_parameter("max_tokens").rename(names);
        assert_eq!(error.message, "Missing required parameter: 'limit'.");
    }
}
