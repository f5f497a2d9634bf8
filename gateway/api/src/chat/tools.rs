//! `tools` and `tool_choice`, and their deprecated elders `functions` and `function_call`.

use serde_json::Value;
use shoal_proto::tools::{Function, ToolChoice, Tools};

use crate::{error::AskError, fields::Fields};

/// Most functions (OpenAI's limit).
const TOOLS_MAX: usize = 128;

/// Longest name of a function (OpenAI's limit).
const NAME_MAX: usize = 64;

/// What may be called, and how the client wants to hear of it.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) tools: Tools,
    /// Asked for as `functions`: one call at most, told as `function_call`.
    pub(super) deprecated: bool,
    /// Path of each function's schema.
    pub(super) schemas: Vec<String>,
}

pub(super) fn read(request: &Fields<'_>) -> Result<Option<Offered>, AskError> {
    let parallel = request.boolean("parallel_tool_calls")?.unwrap_or(true);
    let tools = listed(request, "tools", "tool_choice")?;
    let functions = listed(request, "functions", "function_call")?;
    match (tools, functions) {
        (Some(_), Some(_)) => Err(AskError::combination("functions", "tools")),
        (Some(list), None) => modern(request, list, parallel).map(Some),
        (None, Some(list)) => elder(request, list).map(Some),
        (None, None) => Ok(None),
    }
}

/// The list, if it has anything in it: an empty one is what many apps send for none.
fn listed<'a>(
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

fn modern(request: &Fields<'_>, list: &[Value], parallel: bool) -> Result<Offered, AskError> {
    let mut functions = Vec::with_capacity(list.len());
    let mut schemas = Vec::with_capacity(list.len());
    for (at, tool) in list.iter().enumerate() {
        let tool = Fields::at(tool, format!("tools[{at}]"))?;
        match tool.required_string("type")? {
            "function" => {}
            "custom" => {
                let why = "Only functions can be called here: describe it as one.";
                return Err(AskError::unsupported_value(&tool.path("type"), why));
            }
            other => return Err(AskError::not_one_of(&tool.path("type"), other, &["function"])),
        }
        let described = tool.object("function")?;
        let described = described.ok_or_else(|| tool.absent("function", "an object"))?;
        functions.push(function(&described)?);
        schemas.push(described.path("parameters"));
    }
    let mut tools = Tools { functions, parallel, ..Tools::default() };
    choose(request, &mut tools)?;
    Ok(Offered { tools, deprecated: false, schemas })
}

fn elder(request: &Fields<'_>, list: &[Value]) -> Result<Offered, AskError> {
    let mut functions = Vec::with_capacity(list.len());
    let mut schemas = Vec::with_capacity(list.len());
    for (at, described) in list.iter().enumerate() {
        let described = Fields::at(described, format!("functions[{at}]"))?;
        functions.push(function(&described)?);
        schemas.push(described.path("parameters"));
    }
    let mut tools = Tools { functions, ..Tools::default() };
    match request.value("function_call") {
        None => {}
        Some(Value::String(word)) => {
            let choice = match word.as_str() {
                "auto" => ToolChoice::Auto,
                "none" => ToolChoice::None,
                other => {
                    return Err(AskError::not_one_of("function_call", other, &["none", "auto"]));
                }
            };
            tools.set_choice(choice);
        }
        Some(value) => {
            let wish = Fields::at(value, "function_call".to_owned())?;
            name_one(&mut tools, "function_call", "functions", wish.required_string("name")?)?;
        }
    }
    Ok(Offered { tools, deprecated: true, schemas })
}

fn function(described: &Fields<'_>) -> Result<Function, AskError> {
    let name = described.required_string("name")?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > NAME_MAX || !name.chars().all(good) {
        let what = format!("1 to {NAME_MAX} of letters, digits, '_' and '-'");
        return Err(AskError::malformed(&described.path("name"), &what));
    }
    let parameters = match described.object("parameters")? {
        Some(schema) => schema.to_json(),
        None => String::new(),
    };
    Ok(Function {
        name: name.to_owned(),
        description: described.string("description")?.unwrap_or_default().to_owned(),
        parameters,
        strict: described.boolean("strict")?.unwrap_or(false),
    })
}

/// `none`, `auto`, `required`, one function, or some of them.
fn choose(request: &Fields<'_>, tools: &mut Tools) -> Result<(), AskError> {
    const PATH: &str = "tool_choice";
    let wish = match request.value(PATH) {
        None => return Ok(()),
        Some(Value::String(word)) => {
            tools.set_choice(word_of(PATH, word, &["none", "auto", "required"])?);
            return Ok(());
        }
        Some(value) if value.is_object() => Fields::at(value, PATH.to_owned())?,
        Some(other) => return Err(AskError::wrong_type(PATH, "a string or an object", other)),
    };
    match wish.required_string("type")? {
        "function" => {
            let named = wish.object("function")?;
            let named = named.ok_or_else(|| wish.absent("function", "an object"))?;
            name_one(tools, PATH, "tools", named.required_string("name")?)
        }
        "allowed_tools" => {
            let allowed = wish.object("allowed_tools")?;
            allow(tools, &allowed.ok_or_else(|| wish.absent("allowed_tools", "an object"))?)
        }
        other => {
            let known = ["function", "allowed_tools"];
            Err(AskError::not_one_of(&wish.path("type"), other, &known))
        }
    }
}

fn word_of(path: &str, word: &str, supported: &[&str]) -> Result<ToolChoice, AskError> {
    match word {
        _ if !supported.contains(&word) => Err(AskError::not_one_of(path, word, supported)),
        "none" => Ok(ToolChoice::None),
        "required" => Ok(ToolChoice::Required),
        _ => Ok(ToolChoice::Auto),
    }
}

fn name_one(tools: &mut Tools, path: &str, list: &str, name: &str) -> Result<(), AskError> {
    if !tools.functions.iter().any(|function| function.name == name) {
        let name: String = name.chars().take(NAME_MAX).collect();
        let message = format!("Tool choice '{name}' not found in '{list}' parameter.");
        return Err(AskError::plain(Some(path), message));
    }
    tools.set_choice(ToolChoice::Named);
    name.clone_into(&mut tools.named);
    Ok(())
}

/// Some of the functions: the others are as if they had not been offered.
fn allow(tools: &mut Tools, allowed: &Fields<'_>) -> Result<(), AskError> {
    let mode = allowed.required_string("mode")?;
    let choice = word_of(&allowed.path("mode"), mode, &["auto", "required"])?;
    let Some(list) = allowed.array("tools")? else {
        return Err(allowed.absent("tools", "an array"));
    };
    let mut names = Vec::with_capacity(list.len());
    for (at, tool) in list.iter().enumerate() {
        let tool = Fields::at(tool, format!("{}[{at}]", allowed.path("tools")))?;
        let named = tool.object("function")?.ok_or_else(|| tool.absent("function", "an object"))?;
        let name = named.required_string("name")?;
        name_one(tools, &named.path("name"), "tools", name)?;
        names.push(name.to_owned());
    }
    tools.named.clear();
    tools.set_choice(choice);
    tools.functions.retain(|function| names.contains(&function.name));
    Ok(())
}
