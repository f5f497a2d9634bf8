//! `tools` and `tool_choice`, and the deprecated `functions` and `function_call`.

use serde_json::Value;
use shoal_proto::tools::{Function, ToolChoice, Tools};

use crate::{error::AskError, fields::Fields};

/// Most functions (OpenAI's limit).
const TOOLS_MAX: usize = 128;

/// Longest name of a function (OpenAI's limit).
const NAME_MAX: usize = 64;

/// The functions of a request.
#[derive(Debug, Default)]
pub(super) struct ToolRequest {
    pub(super) tools: Option<Tools>,
    /// The request has `functions`: the answer has one call at most, as `function_call`.
    pub(super) deprecated_calls: bool,
    /// Path of each function's schema.
    pub(super) schemas: Vec<String>,
}

/// Reads the functions and the choice among them, in one of the two forms.
pub(super) fn read(request: &Fields<'_>) -> Result<ToolRequest, AskError> {
    let parallel = request.boolean("parallel_tool_calls")?.unwrap_or(true);
    let tools = list(request, "tools", "tool_choice")?;
    let functions = list(request, "functions", "function_call")?;
    match (tools, functions) {
        (Some(_), Some(_)) => Err(AskError::combination("functions", "tools")),
        (Some(list), None) => tool_list(request, list, parallel),
        (None, Some(list)) => function_list(request, list),
        (None, None) => Ok(ToolRequest::default()),
    }
}

/// The list `name`; `None` if it is empty, which many apps send for no functions.
fn list<'a>(
    request: &Fields<'a>,
    name: &str,
    choice: &str,
) -> Result<Option<&'a Vec<Value>>, AskError> {
    let list = request.array(name)?.filter(|list| !list.is_empty());
    if let Some(list) = list.filter(|list| list.len() > TOOLS_MAX) {
        return Err(AskError::array_too_long(name, TOOLS_MAX, list.len()));
    }
    if list.is_none() && request.value(choice).is_some() {
        let message = format!("'{choice}' is only allowed when '{name}' are specified.");
        return Err(AskError::plain(Some(choice), message));
    }
    Ok(list)
}

fn tool_list(
    request: &Fields<'_>,
    list: &[Value],
    parallel: bool,
) -> Result<ToolRequest, AskError> {
    let mut functions = Vec::with_capacity(list.len());
    let mut schemas = Vec::with_capacity(list.len());
    for (index, tool) in list.iter().enumerate() {
        let tool = Fields::at(tool, format!("tools[{index}]"))?;
        match tool.required_string("type")? {
            "function" => {}
            "custom" => {
                let why = "Only functions can be called here: define the tool as a function.";
                return Err(AskError::unsupported_value(&tool.path("type"), why));
            }
            kind => return Err(AskError::not_one_of(&tool.path("type"), kind, &["function"])),
        }
        let definition = required_object(&tool, "function")?;
        functions.push(function(&definition)?);
        schemas.push(definition.path("parameters"));
    }
    let mut tools = Tools { functions, parallel, ..Tools::default() };
    choose(request, &mut tools)?;
    Ok(ToolRequest { tools: Some(tools), deprecated_calls: false, schemas })
}

fn function_list(request: &Fields<'_>, list: &[Value]) -> Result<ToolRequest, AskError> {
    let mut functions = Vec::with_capacity(list.len());
    let mut schemas = Vec::with_capacity(list.len());
    for (index, definition) in list.iter().enumerate() {
        let definition = Fields::at(definition, format!("functions[{index}]"))?;
        functions.push(function(&definition)?);
        schemas.push(definition.path("parameters"));
    }
    let mut tools = Tools { functions, ..Tools::default() };
    match request.value("function_call") {
        None => {}
        Some(Value::String(word)) => {
            let choice = match word.as_str() {
                "auto" => ToolChoice::Auto,
                "none" => ToolChoice::None,
                word => {
                    return Err(AskError::not_one_of("function_call", word, &["none", "auto"]));
                }
            };
            tools.set_choice(choice);
        }
        Some(value) => {
            let choice = Fields::at(value, "function_call".to_owned())?;
            let name = choice.required_string("name")?;
            choose_function(&mut tools, "function_call", "functions", name)?;
        }
    }
    Ok(ToolRequest { tools: Some(tools), deprecated_calls: true, schemas })
}

/// The `name` of a function or a schema, of at most `max` characters.
pub(super) fn identifier<'a>(definition: &Fields<'a>, max: usize) -> Result<&'a str, AskError> {
    let name = definition.required_string("name")?;
    if name.is_empty() || name.len() > max || !name.chars().all(is_name_char) {
        let form = format!("1 to {max} of letters, digits, '_' and '-'");
        return Err(AskError::bad_form(&definition.path("name"), &form));
    }
    Ok(name)
}

fn is_name_char(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}

fn required_object<'a>(fields: &Fields<'a>, name: &str) -> Result<Fields<'a>, AskError> {
    fields.object(name)?.ok_or_else(|| fields.missing_field(name, "an object"))
}

fn function(definition: &Fields<'_>) -> Result<Function, AskError> {
    let name = identifier(definition, NAME_MAX)?;
    let parameters = match definition.object("parameters")? {
        Some(schema) => schema.to_json(),
        None => String::new(),
    };
    Ok(Function {
        name: name.to_owned(),
        description: definition.string("description")?.unwrap_or_default().to_owned(),
        parameters,
        strict: definition.boolean("strict")?.unwrap_or(false),
    })
}

/// `tool_choice`: `none`, `auto`, `required`, one function, or some of the functions.
fn choose(request: &Fields<'_>, tools: &mut Tools) -> Result<(), AskError> {
    const PATH: &str = "tool_choice";
    let choice = match request.value(PATH) {
        None => return Ok(()),
        Some(Value::String(word)) => {
            tools.set_choice(choice_from_word(PATH, word, &["none", "auto", "required"])?);
            return Ok(());
        }
        Some(value) if value.is_object() => Fields::at(value, PATH.to_owned())?,
        Some(value) => return Err(AskError::wrong_type(PATH, "a string or an object", value)),
    };
    match choice.required_string("type")? {
        "function" => {
            let function = required_object(&choice, "function")?;
            choose_function(tools, PATH, "tools", function.required_string("name")?)
        }
        "allowed_tools" => choose_subset(tools, &required_object(&choice, "allowed_tools")?),
        kind => {
            let kinds = ["function", "allowed_tools"];
            Err(AskError::not_one_of(&choice.path("type"), kind, &kinds))
        }
    }
}

/// The choice for a word, which must be one of `words`.
fn choice_from_word(path: &str, word: &str, words: &[&str]) -> Result<ToolChoice, AskError> {
    match word {
        _ if !words.contains(&word) => Err(AskError::not_one_of(path, word, words)),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Ok(ToolChoice::Auto),
    }
}

/// Chooses the function that must be called. `path` is the field with its name.
fn choose_function(tools: &mut Tools, path: &str, list: &str, name: &str) -> Result<(), AskError> {
    if !tools.functions.iter().any(|function| function.name == name) {
        let name: String = name.chars().take(NAME_MAX).collect();
        let message = format!("Tool choice '{name}' not found in '{list}' parameter.");
        return Err(AskError::plain(Some(path), message));
    }
    tools.set_choice(ToolChoice::Named);
    name.clone_into(&mut tools.named);
    Ok(())
}

/// Chooses some of the functions and removes the rest.
fn choose_subset(tools: &mut Tools, subset: &Fields<'_>) -> Result<(), AskError> {
    let mode = subset.required_string("mode")?;
    let choice = choice_from_word(&subset.path("mode"), mode, &["auto", "required"])?;
    let Some(list) = subset.array("tools")? else {
        return Err(subset.missing_field("tools", "an array"));
    };
    let mut names = Vec::with_capacity(list.len());
    for (index, tool) in list.iter().enumerate() {
        let tool = Fields::at(tool, format!("{}[{index}]", subset.path("tools")))?;
        let function = required_object(&tool, "function")?;
        let name = function.required_string("name")?;
        choose_function(tools, &function.path("name"), "tools", name)?;
        names.push(name.to_owned());
    }
    tools.named.clear();
    tools.set_choice(choice);
    tools.functions.retain(|function| names.contains(&function.name));
    Ok(())
}
