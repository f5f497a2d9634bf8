//! The functions that can be called, as a chat has them and as the response repeats them.
#![expect(clippy::indexing_slicing, reason = "JSON read by a key that is not there is null")]

use serde_json::{Map, Value, json};

use crate::{error::AskError, fields::Fields};

/// The key in the response's metadata that names the kinds of tools that were left out.
pub(super) const LEFT_OUT: &str = "shoal_left_out";

/// Longest value in metadata (OpenAI's limit).
const METADATA_MAX: usize = 512;

const CHOICES: [&str; 3] = ["none", "auto", "required"];

/// Puts `tools`, `tool_choice` and `parallel_tool_calls` into the chat; returns them as the
/// response repeats them.
pub(super) fn read(
    request: &Fields<'_>,
    chat: &mut Map<String, Value>,
) -> Result<Map<String, Value>, AskError> {
    let tools = request.array("tools")?.map(Vec::as_slice).unwrap_or_default();
    let mut echo = Vec::new();
    let (mut functions, mut left_out) = (Vec::new(), Vec::new());
    for (index, tool) in tools.iter().enumerate() {
        match function(tool, format!("tools[{index}]"))? {
            Tool::Function { echo: tool, function } => {
                echo.push(tool);
                functions.push(function);
            }
            Tool::Other(kind) => left_out.push(kind),
        }
    }
    let choice = match request.value("tool_choice") {
        Some(choice) => tool_choice(request, choice, &mut functions)?,
        None => None,
    };
    let parallel = request.boolean("parallel_tool_calls")?;
    if !functions.is_empty() {
        chat.insert("tools".into(), functions.into());
        chat.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
        chat.extend(parallel.map(|parallel| ("parallel_tool_calls".to_owned(), parallel.into())));
    }
    let choice = request.value("tool_choice").cloned().unwrap_or_else(|| "auto".into());
    let mut note = left_out.join(", ");
    note.truncate(note.floor_char_boundary(METADATA_MAX));
    Ok(Map::from_iter([
        (LEFT_OUT.to_owned(), note.into()),
        ("tools".to_owned(), echo.into()),
        ("tool_choice".to_owned(), choice),
        ("parallel_tool_calls".to_owned(), parallel.unwrap_or(true).into()),
    ]))
}

/// A tool of the request.
enum Tool {
    /// A function as the response repeats it, and as a chat has it.
    Function { echo: Value, function: Value },
    /// A tool of this kind, which OpenAI would run, or whose input is no JSON. Agents offer them beside
    /// their functions, and a model can do without.
    Other(String),
}

fn function(tool: &Value, path: String) -> Result<Tool, AskError> {
    let tool = Fields::at(tool, path)?;
    let kind = tool.required_string("type")?;
    if kind != "function" {
        return Ok(Tool::Other(kind.chars().take(64).collect()));
    }
    let name = tool.required_string("name")?;
    let description = tool.string("description")?;
    tool.object("parameters")?;
    let parameters = tool.value("parameters");
    let strict = tool.boolean("strict")?;
    let echo = json!({
        "type": "function", "name": name, "description": description, "parameters": parameters,
        "strict": strict,
    });
    let mut function = Map::from_iter([("name".to_owned(), name.into())]);
    let description = description.map(Value::from);
    for (key, value) in [
        ("description", description),
        ("parameters", parameters.cloned()),
        ("strict", strict.map(Value::from)),
    ] {
        function.extend(value.map(|value| (key.to_owned(), value)));
    }
    Ok(Tool::Function { echo, function: json!({ "type": "function", "function": function }) })
}

/// The choice as a chat has it. A choice among some functions removes the rest.
fn tool_choice(
    request: &Fields<'_>,
    choice: &Value,
    functions: &mut Vec<Value>,
) -> Result<Option<Value>, AskError> {
    if let Value::String(word) = choice {
        if !CHOICES.contains(&word.as_str()) {
            return Err(AskError::not_one_of("tool_choice", word, &CHOICES));
        }
        if word == "required" && functions.is_empty() {
            let message = "'tool_choice' is only allowed when 'tools' are specified.";
            return Err(AskError::plain(Some("tool_choice"), message));
        }
        return Ok(Some(choice.clone()));
    }
    let Some(choice) = request.object("tool_choice")? else { return Ok(None) };
    match choice.required_string("type")? {
        "function" => {
            let name = choice.required_string("name")?;
            check_name(functions, name)?;
            Ok(Some(json!({ "type": "function", "function": { "name": name } })))
        }
        "allowed_tools" => {
            let mode = choice.required_string("mode")?;
            if !["auto", "required"].contains(&mode) {
                return Err(AskError::not_one_of("tool_choice.mode", mode, &["auto", "required"]));
            }
            let Some(tools) = choice.array("tools")? else {
                return Err(choice.missing_field("tools", "an array"));
            };
            let mut names = Vec::new();
            for (index, tool) in tools.iter().enumerate() {
                let tool = Fields::at(tool, format!("tool_choice.tools[{index}]"))?;
                if tool.string("type")?.is_some_and(|kind| kind != "function") {
                    continue;
                }
                let name = tool.required_string("name")?;
                check_name(functions, name)?;
                names.push(name);
            }
            functions
                .retain(|function| names.iter().any(|name| function["function"]["name"] == *name));
            Ok(Some(mode.into()))
        }
        // A tool that was left out.
        _ => Ok(None),
    }
}

/// Refuses the name of a function that the request does not have.
fn check_name(functions: &[Value], name: &str) -> Result<(), AskError> {
    if functions.iter().any(|function| function["function"]["name"] == name) {
        return Ok(());
    }
    let name: String = name.chars().take(64).collect();
    let message = format!("Tool choice '{name}' is not among the 'tools'.");
    Err(AskError::plain(Some("tool_choice"), message))
}
