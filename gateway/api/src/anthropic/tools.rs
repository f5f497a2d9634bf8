//! Anthropic's tools as a chat's functions.

use serde_json::{Map, Value, json};

use crate::{error::AskError, fields::Fields};

const CHOICES: [&str; 4] = ["auto", "any", "tool", "none"];

/// Puts `tools` and `tool_choice` into the chat.
pub(super) fn read(request: &Fields<'_>, chat: &mut Map<String, Value>) -> Result<(), AskError> {
    let tools = request.array("tools")?.map(Vec::as_slice).unwrap_or_default().iter().enumerate();
    let functions = tools.map(|(index, tool)| function(tool, format!("tools[{index}]")));
    let functions: Vec<Value> =
        functions.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
    let choice = request.object("tool_choice")?.map(|choice| tool_choice(&choice)).transpose()?;
    if functions.is_empty() {
        return match choice {
            Some((choice, _)) if choice != "none" && choice != "auto" => {
                let message = "'tool_choice' is only allowed when 'tools' are specified.";
                Err(AskError::plain(Some("tool_choice"), message))
            }
            _ => Ok(()),
        };
    }
    chat.insert("tools".into(), functions.into());
    if let Some((choice, parallel)) = choice {
        chat.insert("tool_choice".into(), choice);
        chat.extend(parallel.map(|parallel| ("parallel_tool_calls".to_owned(), parallel.into())));
    }
    Ok(())
}

/// The function of a tool; `None` for a tool that the provider would run, which is left out: the client
/// offers it beside its own, and the model can do without.
fn function(tool: &Value, path: String) -> Result<Option<Value>, AskError> {
    let tool = Fields::at(tool, path)?;
    if tool.string("type")?.is_some_and(|kind| kind != "custom") {
        return Ok(None);
    }
    let name = tool.required_string("name")?;
    if tool.object("input_schema")?.is_none() {
        return Err(tool.missing_field("input_schema", "an object"));
    }
    let mut function = Map::from_iter([
        ("name".to_owned(), name.into()),
        ("parameters".to_owned(), tool.value("input_schema").cloned().unwrap_or_default()),
    ]);
    let description = tool.string("description")?;
    function.extend(description.map(|text| ("description".to_owned(), text.into())));
    function.extend(tool.boolean("strict")?.map(|strict| ("strict".to_owned(), strict.into())));
    Ok(Some(json!({ "type": "function", "function": function })))
}

/// The choice as a chat has it, and whether parallel calls are allowed.
fn tool_choice(choice: &Fields<'_>) -> Result<(Value, Option<bool>), AskError> {
    let parallel = choice.boolean("disable_parallel_tool_use")?.map(std::ops::Not::not);
    let choice = match choice.required_string("type")? {
        "auto" => "auto".into(),
        "any" => "required".into(),
        "none" => "none".into(),
        "tool" => {
            let name = choice.required_string("name")?;
            json!({ "type": "function", "function": { "name": name } })
        }
        kind => return Err(AskError::not_one_of("tool_choice.type", kind, &CHOICES)),
    };
    Ok((choice, parallel))
}
