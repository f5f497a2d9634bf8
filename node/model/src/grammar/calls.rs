//! Grammars of calls, in llguidance's dialect of Lark.

use serde_json::{Value, json};
use shoal_proto::tools::{Function, ToolChoice, Tools};

use super::guided;
use crate::tools::Dialect;

/// The functions that may be called: by name where one is asked for.
pub(super) fn allowed(tools: &Tools) -> Vec<&Function> {
    let named = tools.choice == ToolChoice::Named as i32;
    tools.functions.iter().filter(|each| !named || each.name == tools.named).collect()
}

/// A grammar whose `start` is one call or, where that is allowed, several; or else `answer`, the
/// text of a rule. `exact`: of all functions the arguments keep to the schema, not of the strict
/// ones alone.
pub(super) fn grammar(
    tools: &Tools,
    dialect: Dialect,
    answer: Option<&str>,
    exact: bool,
) -> Result<String, String> {
    let mut rules =
        vec![format!("start: {}calls", if answer.is_some() { "answer | " } else { "" })];
    rules.extend(answer.map(|answer| format!("answer: {answer}")));
    // Who names a function wants it called once.
    let several = tools.parallel && tools.choice != ToolChoice::Named as i32;
    rules.push(around(dialect, several).to_owned());
    let functions = allowed(tools);
    let names: Vec<String> = (0..functions.len()).map(|index| format!("f{index}")).collect();
    rules.push(format!("call: {}", names.join(" | ")));
    for (index, function) in functions.into_iter().enumerate() {
        rules.push(format!("f{index}: {}", body(function, dialect, index)));
        let schema = arguments(function, exact)?;
        rules.push(format!("a{index}: %json {schema}"));
    }
    // A line break after the mark, as models are taught, or none.
    rules.push("NL: \"\\n\"".to_owned());
    rules.push("ID: /[a-zA-Z0-9]{9}/".to_owned());
    Ok(rules.join("\n"))
}

/// What stands around calls and between them.
fn around(dialect: Dialect, parallel: bool) -> &'static str {
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

/// One call of a function.
fn body(function: &Function, dialect: Dialect, index: usize) -> String {
    let name = json!(function.name).to_string();
    let open = |key: &str| literal(&format!("{{\"name\": {name}, \"{key}\": "));
    let close = literal("}");
    match dialect {
        Dialect::Hermes => format!("{} a{index} {close}", open("arguments")),
        Dialect::Llama => format!("{} a{index} {close}", open("parameters")),
        Dialect::Mistral => {
            let id = literal(", \"id\": \"");
            let quote = literal("\"");
            format!("{} a{index} [{id} ID {quote}] {close}", open("arguments"))
        }
        Dialect::MistralArgs => {
            format!("{} a{index}", literal(&format!("{}[ARGS]", function.name)))
        }
    }
}

/// Lark writes text as JSON does.
fn literal(text: &str) -> String {
    json!(text).to_string()
}

/// The schema of a function's arguments, which are an object.
fn arguments(function: &Function, exact: bool) -> Result<Value, String> {
    let mut schema = match function.parameters.as_str() {
        "" => json!({ "type": "object", "properties": {}, "additionalProperties": false }),
        _ if !exact && !function.strict => json!({ "type": "object" }),
        text => serde_json::from_str(text)
            .map_err(|error| format!("the parameters of {} are no JSON: {error}", function.name))?,
    };
    let fields = schema
        .as_object_mut()
        .ok_or_else(|| format!("the parameters of {} are no JSON Schema", function.name))?;
    let says = ["type", "$ref", "anyOf", "oneOf", "allOf"];
    if !says.iter().any(|key| fields.contains_key(*key)) {
        fields.insert("type".to_owned(), json!("object"));
    }
    guided(&mut schema, function.strict);
    Ok(schema)
}
