//! Compares prompts with those of transformers, which `tests/templates/make.py` recorded.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use shoal_proto::tools::{Function, ToolCall};

use crate::template::*;

#[derive(Deserialize)]
struct Cases {
    conversations: BTreeMap<String, Conversation>,
    own: BTreeMap<String, OwnCase>,
    /// Templates that are not part of this project: the SHA-256 of their prompts.
    #[serde(rename = "others")]
    external: BTreeMap<String, BTreeMap<String, Option<String>>>,
}

#[derive(Deserialize)]
struct Conversation {
    messages: Vec<Json>,
    tools: Option<Vec<Json>>,
    variables: Option<Json>,
}

#[derive(Deserialize)]
struct OwnCase {
    template: String,
    /// `None`: the template refuses the conversation.
    prompts: BTreeMap<String, Option<String>>,
}

fn cases() -> Cases {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/templates/cases.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn text(json: &Json, key: &str) -> String {
    json[key].as_str().unwrap_or_default().to_owned()
}

fn message(json: &Json) -> ChatMessage {
    let calls = json["tool_calls"].as_array().into_iter().flatten().map(|call| ToolCall {
        id: text(call, "id"),
        name: text(&call["function"], "name"),
        arguments: call["function"]["arguments"].to_string(),
    });
    ChatMessage {
        name: text(json, "name"),
        tool_calls: calls.collect(),
        tool_call_id: text(json, "tool_call_id"),
        ..ChatMessage::new(text(json, "role"), text(json, "content"))
    }
}

fn tools(json: &[Json]) -> Tools {
    let functions = json.iter().map(|tool| Function {
        name: text(&tool["function"], "name"),
        description: text(&tool["function"], "description"),
        parameters: tool["function"]["parameters"].to_string(),
        strict: false,
    });
    Tools { functions: functions.collect(), ..Tools::default() }
}

/// The prompt of a conversation, without adaptation, on the day of the recording.
fn prompt(source: &str, conversation: &Conversation) -> Result<String, Error> {
    let mut template = Template::new(source, None, "<s>".to_owned(), "</s>".to_owned())?;
    template.environment.add_function("strftime_now", |format: String| match format.as_str() {
        "%d %b %Y" => "23 Nov 2026",
        _ => "2026-11-23",
    });
    template.capabilities.tools = true;
    let messages: Vec<ChatMessage> = conversation.messages.iter().map(message).collect();
    let tools = conversation.tools.as_deref().map(tools);
    let variables = conversation.variables.as_ref().map(Json::to_string).unwrap_or_default();
    template.render_adapted(&messages, tools.as_ref(), &variables)
}

#[test]
fn prompts_are_those_of_transformers() {
    let cases = cases();
    let mut wrong = Vec::new();
    for (name, own) in &cases.own {
        for (case, reference) in &own.prompts {
            let result = prompt(&own.template, &cases.conversations[case]);
            if result.as_deref().ok() != reference.as_deref() {
                wrong.push(format!("{name}, {case}:\n{result:?}\nbut\n{reference:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}

#[test]
fn templates_in_use_render_as_transformers_renders_them() {
    let default_root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared");
    let root = std::env::var_os("SHOAL_SHARED").map_or_else(|| default_root.into(), PathBuf::from);
    let folder = root.join("data/weights/templates");
    if !folder.is_dir() {
        eprintln!("skipped: there is no {}", folder.display());
        return;
    }
    let cases = cases();
    let mut wrong = Vec::new();
    for (name, prompts) in &cases.external {
        let source = fs::read_to_string(folder.join(name)).unwrap();
        for (case, reference) in prompts {
            let result = prompt(&source, &cases.conversations[case]);
            let digest = result.as_ref().ok().map(|prompt| {
                let digest = Sha256::digest(prompt.as_bytes());
                digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
            });
            if digest != *reference {
                wrong.push(format!("{name}, {case}:\n{result:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
}
