//! What an endpoint's model can do beside writing: by its owner's word, else found out by asking.

use async_openai::{Client, config::OpenAIConfig};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::FIRST_BYTE;

/// What a model can do beside writing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Calls functions.
    pub tools: bool,
    /// Holds its answer to a JSON schema while it writes.
    pub json: bool,
    /// Looks at images.
    pub vision: bool,
    /// Turns texts into vectors.
    pub embeddings: bool,
    /// Goes on with a text as it stands.
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

    /// Asks for one token with a function on offer, for one vector, and for one token more of a
    /// text: who knows none of these refuses.
    /// Whether an answer keeps to a schema, or an image is looked at, no such trial can show: many
    /// endpoints ignore what they do not know.
    pub(super) async fn find(client: &Client<OpenAIConfig>, model: &str) -> Self {
        let schema = json!({ "type": "object", "properties": {} });
        let function = json!({ "name": "noop", "description": "Nothing.", "parameters": schema });
        let chat = json!({
            "model": model,
            "messages": [{ "role": "user", "content": "Hi" }],
            "max_tokens": 1,
            "tools": [{ "type": "function", "function": function }],
        });
        let chats = client.chat();
        let chat_reply = timeout(FIRST_BYTE, chats.create_byot::<_, Value>(chat)).await;
        let embed = json!({ "model": model, "input": ["Hi"] });
        let vectors = client.embeddings();
        let vectors_reply = timeout(FIRST_BYTE, vectors.create_byot::<_, Value>(embed)).await;
        let completion = json!({ "model": model, "prompt": "Hi", "max_tokens": 1 });
        let texts = client.completions();
        let completion_reply = timeout(FIRST_BYTE, texts.create_byot::<_, Value>(completion)).await;
        Self {
            tools: matches!(chat_reply, Ok(Ok(_))),
            embeddings: matches!(vectors_reply, Ok(Ok(reply)) if has_vector(&reply)),
            completions: matches!(completion_reply, Ok(Ok(reply)) if has_text(&reply)),
            ..Self::default()
        }
    }
}

fn has_text(reply: &Value) -> bool {
    reply.pointer("/choices/0/text").is_some_and(Value::is_string)
}

fn has_vector(reply: &Value) -> bool {
    reply.pointer("/data/0/embedding").is_some_and(Value::is_array)
}
