//! What an endpoint's model can do besides writing: as its owner says, otherwise found out by asking.

use serde_json::{Value, json};

use super::{
    call::{CHAT, COMPLETIONS, EMBEDDINGS, ask, greeting},
    fault::CallError,
    fields::FieldPolicy,
    transport::Transport,
};

/// What a model can do besides writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Calls functions.
    pub tools: bool,
    /// Constrains its answer to a JSON schema while it writes.
    pub json: bool,
    /// Reads images.
    pub vision: bool,
    /// Turns texts into vectors.
    pub embeddings: bool,
    /// Continues a text without a chat template.
    pub completions: bool,
}

impl Abilities {
    /// Reads a list like `tools, json`; `none` is no ability.
    ///
    /// # Errors
    /// A word that is none of those, in one line.
    pub fn read(list: &str) -> Result<Self, String> {
        let mut can = Self::default();
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "none" => {}
                "tools" => can.tools = true,
                "json" => can.json = true,
                "vision" => can.vision = true,
                "embeddings" => can.embeddings = true,
                "completions" => can.completions = true,
                word => {
                    let word: String = word.chars().take(32).collect();
                    return Err(format!(
                        "upstream_can has {word:?}: give some of tools, json, vision, embeddings, completions, or none"
                    ));
                }
            }
        }
        Ok(can)
    }

    /// Asks for one token with a function on offer, for one vector, and for one token that continues a
    /// text. An endpoint without the ability refuses. Also returns why, if the endpoint answers none of
    /// them. A trial cannot show whether an answer follows a schema or an image is read, because many
    /// endpoints ignore what they do not know.
    pub(super) async fn find(
        transport: &Transport,
        policy: &FieldPolicy,
        model: &str,
    ) -> (Self, Option<CallError>) {
        let schema = json!({ "type": "object", "properties": {} });
        let function = json!({ "name": "noop", "description": "Nothing.", "parameters": schema });
        let mut chat = greeting(model);
        if let Some(body) = chat.as_object_mut() {
            body.insert("tools".to_owned(), json!([{ "type": "function", "function": function }]));
        }
        let chat = ask(transport, policy, CHAT, chat).await;
        let embed = json!({ "model": model, "input": ["Hi"] });
        let vectors = ask(transport, policy, EMBEDDINGS, embed).await;
        let completion = json!({ "model": model, "prompt": "Hi", "max_tokens": 1 });
        let text = ask(transport, policy, COMPLETIONS, completion).await;
        let can = Self {
            tools: is_taken(&chat),
            embeddings: vectors.as_ref().is_ok_and(has_vector),
            completions: text.as_ref().is_ok_and(has_text),
            ..Self::default()
        };
        if can != Self::default() {
            return (can, None);
        }
        let chat = ask(transport, policy, CHAT, greeting(model)).await;
        let refusal = chat.err().filter(|error| error.refusal().is_some());
        (can, refusal.filter(|error| !error.is_an_answer()))
    }
}

/// Whether a chat was answered, or would have been with more tokens.
fn is_taken(chat: &Result<Value, CallError>) -> bool {
    match chat {
        Ok(_) => true,
        Err(error) => error.refusal().is_some() && error.is_an_answer(),
    }
}

fn has_text(reply: &Value) -> bool {
    reply.pointer("/choices/0/text").is_some_and(Value::is_string)
}

fn has_vector(reply: &Value) -> bool {
    reply.pointer("/data/0/embedding").is_some_and(Value::is_array)
}
