//! Other doors than `/v1/chat/completions`: what they ask is brought into a chat's words and
//! checked as one, so that a round is the same whatever the door. Complaints come back in the
//! words of the door that was used.

use serde_json::{Map, Value};

use crate::{chat::ChatRequest, error::AskError};
use shoal_consensus::ask::Limits;

/// What a field of the chat is called at another door.
pub type Names<'a> = &'a [(&'a str, &'a str)];

/// Fields that mean the same at every door of OpenAI's and those that other servers added: copied
/// as they are.
const SAME: [&str; 17] = [
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

/// A chat with what the body shares with one.
pub(super) fn chat(body: &Map<String, Value>) -> Map<String, Value> {
    let shared =
        SAME.iter().filter_map(|name| Some(((*name).to_owned(), body.get(*name)?.clone())));
    shared.collect()
}

/// Where the operator is strict, refuses what neither this door nor a chat's shared words know.
pub(super) fn refuse_unknown<'a>(
    mut names: impl Iterator<Item = &'a str>,
    known: &[&str],
    limits: &Limits,
) -> Result<(), AskError> {
    let unknown = |name: &&str| !known.contains(name) && !SAME.contains(name);
    match names.find(|name| limits.strict && unknown(name)) {
        Some(unknown) => Err(AskError::unknown_parameter(unknown)),
        None => Ok(()),
    }
}

/// Checks a chat that stands for another request.
pub(super) fn parse(
    chat: &Map<String, Value>,
    limits: &Limits,
    names: Names<'_>,
) -> Result<ChatRequest, AskError> {
    ChatRequest::read(chat, limits).map_err(|error| error.renamed(names))
}

impl AskError {
    /// The same complaint at a door where fields have other names: the first that fits counts.
    pub fn renamed(self, names: Names<'_>) -> Self {
        let Some(param) = &self.param else { return self };
        let fits = |chat: &str| {
            let rest = param.strip_prefix(chat)?;
            (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
        };
        let renamed = names.iter().find_map(|(chat, door)| {
            let rest = fits(chat)?;
            // A name with a dot at its end stands for the whole of what is below.
            Some(if door.ends_with('.') {
                door.trim_end_matches('.').to_owned()
            } else {
                format!("{door}{rest}")
            })
        });
        let Some(renamed) = renamed else { return self };
        let message = self.message.replace(&format!("'{param}'"), &format!("'{renamed}'"));
        Self { message, param: Some(renamed), code: self.code }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_field_that_the_client_sent() {
        let names: Names<'_> =
            &[("messages", "input."), ("tools", "tools"), ("max_tokens", "limit")];
        let at = |path: &str| AskError::missing(path).renamed(names);
        assert_eq!(at("messages[0].content").param.as_deref(), Some("input"));
        assert_eq!(at("max_tokens").message, "Missing required parameter: 'limit'.");
        assert_eq!(at("max_tokens_more").param.as_deref(), Some("max_tokens_more"));
        assert_eq!(at("tools[1].name").param.as_deref(), Some("tools[1].name"));
    }
}
