//! Grammars of calls, in llguidance's dialect of Lark.

use serde_json::{Value, json};
use shoal_proto::tools::{Function, ToolChoice, Tools};

use super::add_guidance;
use crate::tools::Dialect;

/// The functions that may be called: only the named one where the request names one.
pub(super) fn callable_functions(tools: &Tools) -> Vec<&Function> {
    let is_named = tools.choice == ToolChoice::Named as i32;
    tools.functions.iter().filter(|function| !is_named || function.name == tools.named).collect()
}

/// A grammar whose `start` is one call or, if parallel calls are on, several; or alternatively `answer`,
/// the text of a rule. `exact`: the schema holds for the arguments of all functions, not only of strict
/// ones.
pub(super) fn grammar(
    tools: &Tools,
    dialect: Dialect,
    answer: Option<&str>,
    exact: bool,
) -> Result<String, String> {
    let mut rules =
        vec![format!("start: {}calls", if answer.is_some() { "answer | " } else { "" })];
    rules.extend(answer.map(|answer| format!("answer: {answer}")));
    // A request that names a function wants one call of it.
    let several = tools.parallel && tools.choice != ToolChoice::Named as i32;
    rules.push(enclosing_rules(dialect, several).to_owned());
    let functions = callable_functions(tools);
    let names: Vec<String> = (0..functions.len()).map(|index| format!("f{index}")).collect();
    rules.push(format!("call: {}", names.join(" | ")));
    for (index, function) in functions.into_iter().enumerate() {
        rules.push(format!("f{index}: {}", body(function, dialect, index)));
        let schema = arguments(function, exact)?;
        rules.push(format!("a{index}: %json {schema}"));
    }
    // Models may write a line break after the opening tag.
    rules.push("NL: \"\\n\"".to_owned());
    rules.push("ID: /[a-zA-Z0-9]{9}/".to_owned());
    Ok(rules.join("\n"))
}

/// The rules for the markup around calls and between them.
fn enclosing_rules(dialect: Dialect, parallel: bool) -> &'static str {
    match (dialect, parallel) {
        (Dialect::Hermes, false) => "calls: \"<tool_call>\" [NL] call [NL] \"</tool_call>\"",
        (Dialect::Hermes, true) => {
            "calls: marked ([NL] marked)*\nmarked: \"<tool_call>\" [NL] call [NL] \"</tool_call>\""
        }
        (Dialect::Llama, false) => "calls: [\"<|python_tag|>\"] call",
        (Dialect::Llama, true) => "calls: [\"<|python_tag|>\"] call (\"; \" call)*",
        (Dialect::Mistral, false) => "calls: \"[TOOL_CALLS][\" call \"]\"",
        (Dialect::Mistral, true) => "calls: \"[TOOL_CALLS][\" call (\", \" call)* \"]\"",
        (Dialect::MistralArgs, false) => "calls: \"[TOOL_CALLS]\" call",
        (Dialect::MistralArgs, true) => "calls: (\"[TOOL_CALLS]\" call)+",
    }
}

/// The rule of one call of a function.
fn body(function: &Function, dialect: Dialect, index: usize) -> String {
    let name = json!(function.name).to_string();
    let close = literal("}");
    match dialect {
        Dialect::Hermes => format!("{} a{index} {close}", object_start(&name, "arguments")),
        Dialect::Llama => format!("{} a{index} {close}", object_start(&name, "parameters")),
        Dialect::Mistral => {
            let id = literal(", \"id\": \"");
            let quote = literal("\"");
            format!("{} a{index} [{id} ID {quote}] {close}", object_start(&name, "arguments"))
        }
        Dialect::MistralArgs => {
            format!("{} a{index}", literal(&format!("{}[ARGS]", function.name)))
        }
    }
}

/// The JSON of a call up to its arguments; `name` is a JSON string.
fn object_start(name: &str, arguments: &str) -> String {
    literal(&format!("{{\"name\": {name}, \"{arguments}\": "))
}

/// A string in Lark, which quotes as JSON does.
fn literal(text: &str) -> String {
    json!(text).to_string()
}

/// The schema of a function's arguments, which must be an object.
fn arguments(function: &Function, exact: bool) -> Result<Value, String> {
    let mut schema = match function.parameters.as_str() {
        "" => json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        _ if !exact && !function.strict => json!({ "type": "object" }),
        text => serde_json::from_str(text).map_err(|error| {
            format!("the parameters of {} are not JSON: {error}", function.name)
        })?,
    };
    let fields = schema
        .as_object_mut()
        .ok_or_else(|| format!("the parameters of {} are not a JSON Schema", function.name))?;
    let type_keywords = ["type", "$ref", "anyOf", "oneOf", "allOf"];
    if !type_keywords.iter().any(|key| fields.contains_key(*key)) {
        fields.insert("type".to_owned(), json!("object"));
    }
    add_guidance(&mut schema, function.strict);
    Ok(schema)
}
