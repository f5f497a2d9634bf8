//! Conversations in the form that a template accepts.

use std::collections::BTreeMap;

use minijinja::{Error, Value};
use serde_json::json;
use sha2::{Digest, Sha256};
use shoal_proto::{
    generate::ChatMessage,
    hex,
    tools::{Function, ToolCall, ToolChoice, Tools},
};

use super::error;

/// What a template supports; a conversation is adapted to it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Capabilities {
    /// The template lists the functions itself.
    pub(super) tools: bool,
    /// The template has no system messages: their content goes before the next user message.
    pub(super) folds_system: bool,
    /// The template supports the role `developer`, the newer name of `system`.
    developer_role: bool,
    /// Identifiers of calls must have exactly nine letters and digits, as Mistral's do.
    short_ids: bool,
}

impl Capabilities {
    pub(super) fn new(source: &str, tools: bool) -> Self {
        Self {
            tools,
            folds_system: false,
            developer_role: source.contains("developer"),
            short_ids: source.contains("length != 9") || source.contains("length == 9"),
        }
    }

    /// The conversation without anything that the template does not support.
    ///
    /// # Errors
    /// When a function cannot be described.
    pub(super) fn adapt(
        self,
        messages: &[ChatMessage],
        tools: Option<&Tools>,
    ) -> Result<Vec<ChatMessage>, Error> {
        let mut messages = messages.to_vec();
        for message in &mut messages {
            if message.role == "developer" && !self.developer_role {
                message.role = "system".to_owned();
            }
        }
        if !self.tools {
            messages = calls_as_text(messages);
            if let Some(tools) = tools {
                instruct(&mut messages, tools)?;
            }
        }
        Ok(if self.folds_system { fold_system(messages) } else { messages })
    }

    pub(super) fn messages(self, messages: &[ChatMessage]) -> Result<Value, Error> {
        messages.iter().map(|message| self.message(message)).collect()
    }

    fn message(self, message: &ChatMessage) -> Result<Value, Error> {
        let mut fields = vec![
            ("role", Value::from(message.role.as_str())),
            ("content", Value::from(message.content.as_str())),
        ];
        if !message.name.is_empty() {
            fields.push(("name", Value::from(message.name.as_str())));
        }
        if !message.tool_calls.is_empty() {
            let calls: Result<Value, Error> =
                message.tool_calls.iter().map(|call| self.call(call)).collect();
            fields.push(("tool_calls", calls?));
        }
        if !message.tool_call_id.is_empty() {
            fields.push(("tool_call_id", Value::from(self.identifier(&message.tool_call_id))));
        }
        Ok(Value::from_pairs(fields))
    }

    /// A call with its arguments as an object, because templates write the JSON themselves.
    fn call(self, call: &ToolCall) -> Result<Value, Error> {
        // Arguments that were cut off are a text: agents send such calls back with the error as result.
        let arguments: Value = serde_json::from_str(call.object())
            .unwrap_or_else(|_| Value::from(call.arguments.as_str()));
        let function = Value::from_pairs([
            ("name", Value::from(call.name.as_str())),
            ("arguments", arguments),
        ]);
        Ok(Value::from_pairs([
            ("id", Value::from(self.identifier(&call.id))),
            ("type", Value::from("function")),
            ("function", function),
        ]))
    }

    fn identifier(self, id: &str) -> String {
        let fits = id.len() == 9 && id.chars().all(|c| c.is_ascii_alphanumeric());
        if !self.short_ids || fits {
            return id.to_owned();
        }
        hex(&Sha256::digest(id.as_bytes())).chars().take(9).collect()
    }
}

/// The tools, if an answer may call any.
pub(super) fn callable_tools(tools: &Tools) -> Option<&Tools> {
    Some(tools)
        .filter(|tools| !tools.functions.is_empty() && tools.choice != ToolChoice::None as i32)
}

/// The functions in OpenAI's format, which templates expect.
pub(super) fn functions(tools: &Tools) -> Result<Value, Error> {
    tools.functions.iter().map(function).collect()
}

fn function(function: &Function) -> Result<Value, Error> {
    let parameters: serde_json::Value = match function.parameters.as_str() {
        "" => json!({ "type": "object", "properties": {} }),
        schema => serde_json::from_str(schema)
            .map_err(|_| error(format!("the parameters of {} are not JSON", function.name)))?,
    };
    let description = json!({
        "type": "function",
        "function": {
            "name": function.name,
            "description": function.description,
            "parameters": parameters,
        },
    });
    serde_json::from_value(description).map_err(|_| error("a function is not JSON"))
}

/// Further variables of a template, from a JSON object.
pub(super) fn variables(text: &str) -> Result<BTreeMap<String, Value>, Error> {
    match text {
        "" => Ok(BTreeMap::new()),
        text => serde_json::from_str(text)
            .map_err(|_| error("the template's variables are not a JSON object")),
    }
}

/// Replaces calls and their results by text, for templates that support neither.
fn calls_as_text(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut plain: Vec<ChatMessage> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for mut message in messages {
        let is_result = message.role == "tool";
        if is_result {
            message.role = "user".to_owned();
            message.content = format!("<tool_response>\n{}\n</tool_response>", message.content);
            message.tool_call_id.clear();
            message.name.clear();
        }
        for call in std::mem::take(&mut message.tool_calls) {
            let name = json!(call.name);
            let gap = if message.content.is_empty() { "" } else { "\n" };
            message.content.push_str(&format!(
                "{gap}<tool_call>\n{{\"name\": {name}, \"arguments\": {}}}\n</tool_call>",
                call.object()
            ));
        }
        match plain.last_mut() {
            Some(last) if is_result && after_result => {
                last.content.push('\n');
                last.content.push_str(&message.content);
            }
            _ => plain.push(message),
        }
        after_result = is_result;
    }
    plain
}

/// Describes the functions in a system message, for templates that do not. The text is the one that
/// Hermes was trained with; other models understand it.
fn instruct(messages: &mut Vec<ChatMessage>, tools: &Tools) -> Result<(), Error> {
    let functions = tools
        .functions
        .iter()
        .map(|tool| super::python::json(&function(tool)?))
        .collect::<Result<Vec<String>, Error>>()?;
    let text = format!(
        "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are \
         provided with function signatures within <tools></tools> XML tags:\n<tools>\n{}\n</tools>\n\n\
         For each function call, return a json object with function name and arguments within \
         <tool_call></tool_call> XML tags:\n<tool_call>\n{{\"name\": <function-name>, \"arguments\": \
         <args-json-object>}}\n</tool_call>",
        functions.join("\n")
    );
    match messages.first_mut().filter(|first| first.role == "system") {
        Some(system) => system.content = format!("{}\n\n{text}", system.content),
        None => messages.insert(0, ChatMessage::new("system", text)),
    }
    Ok(())
}

/// Moves system messages to the front of the next user message.
fn fold_system(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut plain = Vec::with_capacity(messages.len());
    let mut instructions: Vec<String> = Vec::new();
    for mut message in messages {
        match message.role.as_str() {
            "system" => instructions.push(message.content),
            "user" if !instructions.is_empty() => {
                instructions.push(message.content);
                message.content = std::mem::take(&mut instructions).join("\n\n");
                plain.push(message);
            }
            _ => plain.push(message),
        }
    }
    if !instructions.is_empty() {
        plain.push(ChatMessage::new("user", instructions.join("\n\n")));
    }
    plain
}
