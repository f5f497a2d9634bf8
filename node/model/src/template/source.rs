//! The sources of a model's templates.

use serde_json::Value;

use crate::{
    LoadError,
    files::Files,
    gguf::Metadata,
    tokenizer::{json, mark},
};

/// The templates and marker tokens that come with a model.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) chat: Option<String>,
    pub(super) tools: Option<String>,
    pub(super) bos: String,
    pub(super) eos: String,
}

/// Reads `chat_template.jinja` and the templates beside it, or `chat_template` in
/// `tokenizer_config.json` or `chat_template.json`.
pub(super) fn from_files(files: &Files) -> Result<Source, LoadError> {
    let config = json(files, "tokenizer_config.json")?;
    let map = json(files, "special_tokens_map.json")?;
    let [bos, eos] = ["bos_token", "eos_token"]
        .map(|name| mark(&config, name).or_else(|| mark(&map, name)).unwrap_or_default());
    let mut source = Source { bos, eos, ..from_config(&config) };
    if source.chat.is_none() {
        source.chat = from_config(&json(files, "chat_template.json")?).chat;
    }
    if let Some(chat) = files.read("chat_template.jinja")? {
        source.chat = Some(lossy(&chat));
    }
    if let Some(tools) = files.read("additional_chat_templates/tool_use.jinja")? {
        source.tools = Some(lossy(&tools));
    }
    Ok(source)
}

/// Reads `tokenizer.chat_template`, and `tokenizer.chat_template.tool_use` beside it.
pub(super) fn from_metadata(metadata: &Metadata) -> Source {
    let [template, default, tools] = [
        "tokenizer.chat_template",
        "tokenizer.chat_template.default",
        "tokenizer.chat_template.tool_use",
    ]
    .map(|key| metadata.text(key).map(str::to_owned));
    let [bos, eos] = ["tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"]
        .map(|key| token(metadata, key).unwrap_or_default());
    Source { chat: template.or(default), tools, bos, eos }
}

/// The text of the token whose number stands under `key`.
fn token(metadata: &Metadata, key: &str) -> Option<String> {
    let id = usize::try_from(metadata.unsigned(key)?).ok()?;
    metadata.texts("tokenizer.ggml.tokens")?.get(id).map(str::to_owned)
}

/// `chat_template` is a text, or an array of templates with names: `default` for chats and `tool_use` for
/// function calls.
fn from_config(config: &Value) -> Source {
    match config.get("chat_template") {
        Some(Value::Array(templates)) => Source {
            chat: template_of_name(templates, "default"),
            tools: template_of_name(templates, "tool_use"),
            ..Source::default()
        },
        template => Source {
            chat: template.and_then(Value::as_str).map(str::to_owned),
            ..Source::default()
        },
    }
}

fn template_of_name(templates: &[Value], name: &str) -> Option<String> {
    let entry = templates.iter().find(|entry| entry.get("name").is_some_and(|key| key == name))?;
    entry.get("template")?.as_str().map(str::to_owned)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces `{% generation %}`, which marks an assistant's text for training and prints nothing, by a
/// block that is always on.
pub(super) fn without_generation(source: &str) -> String {
    let mut text = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(start) = rest.find("{%") {
        let (before, tag) = rest.split_at(start);
        text.push_str(before);
        let Some(end) = tag.find("%}") else {
            rest = tag;
            break;
        };
        let (tag, after) = tag.split_at(end + 2);
        match tag.trim_matches(['{', '%', '-', '+', '}', ' ', '\n', '\t']) {
            "generation" => text.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => text.push_str(&tag.replace("endgeneration", "endif")),
            _ => text.push_str(tag),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_several_templates_the_default_is_for_talking() {
        let config = json!({ "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "talk" },
            { "name": "rag", "template": "documents" },
        ] });
        let source = from_config(&config);
        assert_eq!(
            (source.chat.as_deref(), source.tools.as_deref()),
            (Some("talk"), Some("tools"))
        );
        assert_eq!(from_config(&json!({ "chat_template": "one" })).chat.as_deref(), Some("one"));
        assert_eq!(from_config(&json!({})).chat, None);
    }

    #[test]
    fn marks_for_training_print_nothing() {
        let source = "a{%- generation -%} {{ x }}{% endgeneration %}b{% if y %}c{% endif %}{% z";
        let plain = "a{%- if true -%} {{ x }}{% endif %}b{% if y %}c{% endif %}{% z";
        assert_eq!(without_generation(source), plain);
    }
}
