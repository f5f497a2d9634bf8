//! A conversation as templates read it.

use std::collections::BTreeMap;

use minijinja::{Error, Value};
use serde_json::json;
use sha2::{Digest, Sha256};
use shoal_proto::{
    generate::ChatMessage,
    tools::{Function, ToolCall, ToolChoice, Tools},
};

use super::error;

/// What a template takes, and what has to be brought into another form for it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Habits {
    /// It shows the functions itself.
    pub(super) knows_tools: bool,
    /// It has no place for what the system says: that goes to the front of what the user says.
    pub(super) folds_system: bool,
    /// It knows the role `developer`; else that is `system`, which it was called before.
    developer: bool,
    /// It wants calls' identifiers of exactly nine letters and digits, as Mistral's do.
    nine: bool,
}

impl Habits {
    pub(super) fn of(source: &str, knows_tools: bool) -> Self {
        Self {
            knows_tools,
            folds_system: false,
            developer: source.contains("developer"),
            nine: source.contains("length != 9") || source.contains("length == 9"),
        }
    }

    /// The conversation with nothing in it that the template does not know.
    pub(super) fn adapt(self, messages: &[ChatMessage], tools: Option<&Tools>) -> Vec<ChatMessage> {
        let mut messages = messages.to_vec();
        for message in &mut messages {
            if message.role == "developer" && !self.developer {
                message.role = "system".to_owned();
            }
        }
        if !self.knows_tools {
            messages = spelled_out(messages);
            if let Some(tools) = tools {
                instruct(&mut messages, tools);
            }
        }
        if self.folds_system { folded(messages) } else { messages }
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

    /// With arguments as an object: templates write them as JSON themselves.
    fn call(self, call: &ToolCall) -> Result<Value, Error> {
        let arguments: Value = serde_json::from_str(&call.arguments)
            .map_err(|_| error(format!("the arguments of a call of {} are no JSON", call.name)))?;
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
        if !self.nine || fits {
            return id.to_owned();
        }
        let digest = Sha256::digest(id.as_bytes());
        digest
            .iter()
            .flat_map(|byte| format!("{byte:02x}").into_bytes())
            .take(9)
            .map(char::from)
            .collect()
    }
}

/// The functions that an answer may call.
pub(super) fn offered(tools: &Tools) -> Option<&Tools> {
    let none = tools.functions.is_empty() || tools.choice == ToolChoice::None as i32;
    (!none).then_some(tools)
}

/// In OpenAI's form, which templates were written for.
pub(super) fn functions(tools: &Tools) -> Result<Value, Error> {
    tools.functions.iter().map(function).collect()
}

fn function(function: &Function) -> Result<Value, Error> {
    let parameters: serde_json::Value = match function.parameters.as_str() {
        "" => json!({ "type": "object", "properties": {} }),
        schema => serde_json::from_str(schema)
            .map_err(|_| error(format!("the parameters of {} are no JSON", function.name)))?,
    };
    let described = json!({
        "type": "function",
        "function": {
            "name": function.name,
            "description": function.description,
            "parameters": parameters,
        },
    });
    serde_json::from_value(described).map_err(|_| error("a function that is no JSON"))
}

/// Further variables of a template.
pub(super) fn variables(text: &str) -> Result<BTreeMap<String, Value>, Error> {
    match text {
        "" => Ok(BTreeMap::new()),
        text => serde_json::from_str(text)
            .map_err(|_| error("the template's variables are no JSON object")),
    }
}

/// Calls and their results as text, for templates that know neither.
fn spelled_out(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut plain: Vec<ChatMessage> = Vec::with_capacity(messages.len());
    let mut answers = false;
    for mut message in messages {
        let result = message.role == "tool";
        if result {
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
                call.arguments
            ));
        }
        match plain.last_mut() {
            Some(last) if result && answers => {
                last.content.push('\n');
                last.content.push_str(&message.content);
            }
            _ => plain.push(message),
        }
        answers = result;
    }
    plain
}

/// Tells a model of the functions whose template does not: in the words that Hermes was trained
/// with, which others understand.
fn instruct(messages: &mut Vec<ChatMessage>, tools: &Tools) {
    let functions: Vec<String> = tools
        .functions
        .iter()
        .filter_map(|each| Some(super::python::json(&function(each).ok()?)))
        .collect();
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
}

/// Puts what the system says in front of what the user says next.
fn folded(messages: Vec<ChatMessage>) -> Vec<ChatMessage> {
    let mut plain = Vec::with_capacity(messages.len());
    let mut said: Vec<String> = Vec::new();
    for mut message in messages {
        match message.role.as_str() {
            "system" => said.push(message.content),
            "user" if !said.is_empty() => {
                said.push(message.content);
                message.content = std::mem::take(&mut said).join("\n\n");
                plain.push(message);
            }
            _ => plain.push(message),
        }
    }
    if !said.is_empty() {
        plain.push(ChatMessage::new("user", said.join("\n\n")));
    }
    plain
}
