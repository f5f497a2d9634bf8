//! Functions on offer, as a chat has them and as the response shows them.
#![expect(clippy::indexing_slicing, reason = "JSON read by a key that is not there is null")]

use serde_json::{Map, Value, json};

use crate::{error::AskError, fields::Fields};

const CHOICES: [&str; 3] = ["none", "auto", "required"];

/// Puts `tools`, `tool_choice` and `parallel_tool_calls` into the chat; returns them as the
/// response repeats them.
pub(super) fn read(
    request: &Fields<'_>,
    chat: &mut Map<String, Value>,
) -> Result<Map<String, Value>, AskError> {
    let listed = request.array("tools")?.map(Vec::as_slice).unwrap_or_default();
    let mut shown = Vec::new();
    let mut offered = Vec::new();
    for (index, tool) in listed.iter().enumerate() {
        let (tool, function) = function(tool, format!("tools[{index}]"))?;
        shown.push(tool);
        offered.push(function);
    }
    let choice = match request.value("tool_choice") {
        Some(choice) => chosen(request, choice, &mut offered)?,
        None => None,
    };
    let parallel = request.boolean("parallel_tool_calls")?;
    if !offered.is_empty() {
        chat.insert("tools".into(), offered.into());
        chat.extend(choice.map(|choice| ("tool_choice".to_owned(), choice)));
        chat.extend(parallel.map(|on| ("parallel_tool_calls".to_owned(), on.into())));
    }
    let choice = request.value("tool_choice").cloned().unwrap_or_else(|| "auto".into());
    Ok(Map::from_iter([
        ("tools".to_owned(), shown.into()),
        ("tool_choice".to_owned(), choice),
        ("parallel_tool_calls".to_owned(), parallel.unwrap_or(true).into()),
    ]))
}

/// One function, as the response shows it and as a chat has it.
fn function(tool: &Value, path: String) -> Result<(Value, Value), AskError> {
    let tool = Fields::at(tool, path)?;
    match tool.required_string("type")? {
        "function" => {}
        other => {
            let other: String = other.chars().take(64).collect();
            let why = format!("Only functions can be called, not '{other}'.");
            return Err(AskError::unsupported_value(&tool.path("type"), &why));
        }
    }
    let name = tool.required_string("name")?;
    let description = tool.string("description")?;
    tool.object("parameters")?;
    let parameters = tool.value("parameters");
    let strict = tool.boolean("strict")?;
    let shown = json!({
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
    Ok((shown, json!({ "type": "function", "function": function })))
}

/// The choice as a chat has it. A choice among some takes the others off the list.
fn chosen(
    request: &Fields<'_>,
    choice: &Value,
    offered: &mut Vec<Value>,
) -> Result<Option<Value>, AskError> {
    if let Value::String(word) = choice {
        if !CHOICES.contains(&word.as_str()) {
            return Err(AskError::not_one_of("tool_choice", word, &CHOICES));
        }
        if word == "required" && offered.is_empty() {
            let message = "'tool_choice' is only allowed when 'tools' are specified.";
            return Err(AskError::plain(Some("tool_choice"), message));
        }
        return Ok(Some(choice.clone()));
    }
    let Some(choice) = request.object("tool_choice")? else { return Ok(None) };
    let is = |tool: &Value, name: &str| tool["function"]["name"] == name;
    let unknown = |name: &str| {
        let name: String = name.chars().take(64).collect();
        let message = format!("Tool choice '{name}' is not among the 'tools'.");
        AskError::plain(Some("tool_choice"), message)
    };
    match choice.required_string("type")? {
        "function" => {
            let name = choice.required_string("name")?;
            if !offered.iter().any(|tool| is(tool, name)) {
                return Err(unknown(name));
            }
            Ok(Some(json!({ "type": "function", "function": { "name": name } })))
        }
        "allowed_tools" => {
            let mode = choice.required_string("mode")?;
            if !["auto", "required"].contains(&mode) {
                return Err(AskError::not_one_of("tool_choice.mode", mode, &["auto", "required"]));
            }
            let Some(tools) = choice.array("tools")? else {
                return Err(choice.absent("tools", "an array"));
            };
            let mut names = Vec::new();
            for (index, tool) in tools.iter().enumerate() {
                let tool = Fields::at(tool, format!("tool_choice.tools[{index}]"))?;
                let name = tool.required_string("name")?;
                if !offered.iter().any(|offer| is(offer, name)) {
                    return Err(unknown(name));
                }
                names.push(name);
            }
            offered.retain(|tool| names.iter().any(|name| is(tool, name)));
            Ok(Some(mode.into()))
        }
        other => {
            let other: String = other.chars().take(64).collect();
            let why = format!("Only functions can be called, not '{other}'.");
            Err(AskError::unsupported_value("tool_choice.type", &why))
        }
    }
}
