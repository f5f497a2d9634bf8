//! Where a model's templates stand.

use serde_json::Value;

use crate::{
    LoadError,
    files::Files,
    gguf::Metadata,
    tokenizer::{json, mark},
};

/// What a model brings with it.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) talk: Option<String>,
    pub(super) tools: Option<String>,
    pub(super) bos: String,
    pub(super) eos: String,
}

/// `chat_template.jinja` with further ones beside it, or `chat_template` in `tokenizer_config.json`
/// or `chat_template.json`.
pub(super) fn of_files(files: &Files) -> Result<Source, LoadError> {
    let config = json(files, "tokenizer_config.json")?;
    let marks = json(files, "special_tokens_map.json")?;
    let marked = |name| mark(&config, name).or_else(|| mark(&marks, name)).unwrap_or_default();
    let text = |name| Ok::<_, LoadError>(files.read(name)?.map(|bytes| lossy(&bytes)));
    let mut source =
        Source { bos: marked("bos_token"), eos: marked("eos_token"), ..named(&config) };
    if source.talk.is_none() {
        source.talk = named(&json(files, "chat_template.json")?).talk;
    }
    if let Some(talk) = text("chat_template.jinja")? {
        source.talk = Some(talk);
    }
    if let Some(tools) = text("additional_chat_templates/tool_use.jinja")? {
        source.tools = Some(tools);
    }
    Ok(source)
}

/// `tokenizer.chat_template`, and `tokenizer.chat_template.tool_use` beside it.
pub(super) fn of_metadata(metadata: &Metadata) -> Source {
    let text = |key| metadata.text(key).map(str::to_owned);
    let tokens = metadata.texts("tokenizer.ggml.tokens");
    let token = |key| {
        let id = usize::try_from(metadata.unsigned(key)?).ok()?;
        tokens?.get(id).map(str::to_owned)
    };
    Source {
        talk: text("tokenizer.chat_template").or_else(|| text("tokenizer.chat_template.default")),
        tools: text("tokenizer.chat_template.tool_use"),
        bos: token("tokenizer.ggml.bos_token_id").unwrap_or_default(),
        eos: token("tokenizer.ggml.eos_token_id").unwrap_or_default(),
    }
}

/// `chat_template`: a text, or several with names, of which `default` is for talking and
/// `tool_use` for talking with functions.
fn named(config: &Value) -> Source {
    let Some(template) = config.get("chat_template") else { return Source::default() };
    let text = |template: &Value| template.as_str().map(str::to_owned);
    let Some(several) = template.as_array() else {
        return Source { talk: text(template), ..Source::default() };
    };
    let find = |name: &str| {
        let found = several.iter().find(|each| each.get("name").is_some_and(|it| it == name))?;
        text(found.get("template")?)
    };
    Source { talk: find("default"), tools: find("tool_use"), ..Source::default() }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `{% generation %}` marks for training what an assistant says, and prints nothing: a block that
/// always is there.
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
        let (tag, behind) = tag.split_at(end + 2);
        match tag.trim_matches(['{', '%', '-', '+', '}', ' ', '\n', '\t']) {
            "generation" => text.push_str(&tag.replace("generation", "if true")),
            "endgeneration" => text.push_str(&tag.replace("endgeneration", "endif")),
            _ => text.push_str(tag),
        }
        rest = behind;
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
        let several = json!({ "chat_template": [
            { "name": "tool_use", "template": "tools" },
            { "name": "default", "template": "talk" },
            { "name": "rag", "template": "documents" },
        ] });
        let found = named(&several);
        assert_eq!((found.talk.as_deref(), found.tools.as_deref()), (Some("talk"), Some("tools")));
        assert_eq!(named(&json!({ "chat_template": "one" })).talk.as_deref(), Some("one"));
        assert_eq!(named(&json!({})).talk, None);
    }

    #[test]
    fn marks_for_training_print_nothing() {
        let source = "a{%- generation -%} {{ x }}{% endgeneration %}b{% if y %}c{% endif %}{% z";
        let plain = "a{%- if true -%} {{ x }}{% endif %}b{% if y %}c{% endif %}{% z";
        assert_eq!(without_generation(source), plain);
    }
}
