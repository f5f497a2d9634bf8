//! What an answer must keep to: its form, and how it may call functions. Every candidate is held
//! to it before it is judged, whoever wrote it and whatever its engine promised.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use shoal_proto::{
    generate::{Finish, Format, FormatKind},
    tools::{ToolCall, ToolChoice, Tools},
};

use super::{
    Candidate,
    schema::{self, Schema},
};

/// Holds answers to what was asked for.
#[derive(Debug, Default)]
pub struct Form {
    text: Text,
    calls: Option<Calls>,
}

#[derive(Debug, Default)]
enum Text {
    #[default]
    Free,
    /// Any JSON object.
    Object,
    Schema(Box<Schema>),
}

#[derive(Debug)]
struct Calls {
    choice: ToolChoice,
    named: String,
    parallel: bool,
    /// What the arguments of each function must keep to, where it is strict.
    functions: BTreeMap<String, Option<Schema>>,
}

/// Why an answer cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    #[error("the answer does not keep to the response format")]
    Text,
    #[error("the answer does not call functions as asked")]
    Calls,
}

/// Why no form could be made, and whose schema it is: None is the response format's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadSchema {
    pub(super) function: Option<usize>,
    pub(super) why: String,
}

impl Form {
    pub(super) fn new(tools: Option<&Tools>, format: Option<&Format>) -> Result<Self, BadSchema> {
        let bad = |function| move |why| BadSchema { function, why };
        let compiled = |text: &str| {
            let schema = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
            schema::compile(&schema)
        };
        let text = match format.map(|format| (format.kind(), format.body.as_str())) {
            Some((FormatKind::JsonSchema, body)) if !body.is_empty() => {
                Text::Schema(Box::new(compiled(body).map_err(bad(None))?))
            }
            Some((FormatKind::JsonSchema | FormatKind::JsonObject, _)) => Text::Object,
            _ => Text::Free,
        };
        let Some(tools) = tools else { return Ok(Self { text, calls: None }) };
        let mut functions = BTreeMap::new();
        for (at, function) in tools.functions.iter().enumerate() {
            let strict = function.strict && !function.parameters.is_empty();
            let schema = strict.then(|| compiled(&function.parameters)).transpose();
            functions.insert(function.name.clone(), schema.map_err(bad(Some(at)))?);
        }
        let (named, parallel) = (tools.named.clone(), tools.parallel);
        let calls = Calls { choice: tools.choice(), named, parallel, functions };
        Ok(Self { text, calls: Some(calls) })
    }

    /// Whether any answer at all fits.
    pub fn is_free(&self) -> bool {
        matches!(self.text, Text::Free) && self.calls.is_none()
    }

    /// Whether an answer's text is JSON.
    pub fn is_json(&self) -> bool {
        !matches!(self.text, Text::Free)
    }

    /// Holds a candidate to the form. What is around its JSON is taken away (many models cannot
    /// help putting it between fences), and calls are brought into one shape.
    ///
    /// # Errors
    /// The candidate must not be sent.
    pub fn hold(&self, candidate: &mut Candidate) -> Result<(), Misfit> {
        if candidate.tool_calls.is_empty() {
            return self.hold_text(candidate);
        }
        let calls = self.calls.as_ref().ok_or(Misfit::Calls)?;
        let mut ids = BTreeSet::new();
        for call in &mut candidate.tool_calls {
            calls.hold(call)?;
            if !ids.insert(call.id.clone()) {
                call.id.clear();
            }
        }
        let named = |call: &ToolCall| call.name == calls.named;
        let fits = match calls.choice {
            ToolChoice::None => false,
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::Named => candidate.tool_calls.iter().all(named),
        };
        if !fits || (candidate.tool_calls.len() > 1 && !calls.parallel) {
            return Err(Misfit::Calls);
        }
        candidate.finish = Finish::ToolCalls;
        // The log-probability of a text with markup around it: nobody could recompute it.
        candidate.logprob = None;
        Ok(())
    }

    fn hold_text(&self, candidate: &mut Candidate) -> Result<(), Misfit> {
        let calls = self.calls.as_ref().map_or(ToolChoice::None, |calls| calls.choice);
        if matches!(calls, ToolChoice::Required | ToolChoice::Named) {
            return Err(Misfit::Calls);
        }
        if candidate.finish == Finish::ToolCalls {
            candidate.finish = Finish::Stop;
        }
        if !self.is_json() {
            return Ok(());
        }
        let bare = unfenced(&candidate.text);
        let value: Value = serde_json::from_str(bare).map_err(|_| Misfit::Text)?;
        let fits = match &self.text {
            Text::Free => true,
            Text::Object => value.is_object(),
            Text::Schema(schema) => schema.holds(&value),
        };
        if !fits {
            return Err(Misfit::Text);
        }
        if bare.len() != candidate.text.len() {
            candidate.text = bare.to_owned();
            // They were of the text as it came.
            candidate.tokens.clear();
            candidate.logprob = None;
        }
        Ok(())
    }
}

impl Calls {
    fn hold(&self, call: &mut ToolCall) -> Result<(), Misfit> {
        let schema = self.functions.get(&call.name).ok_or(Misfit::Calls)?;
        if call.arguments.trim().is_empty() {
            call.arguments = "{}".to_owned();
        }
        let arguments: Value = serde_json::from_str(&call.arguments).map_err(|_| Misfit::Calls)?;
        let fits = schema.as_ref().is_none_or(|schema| schema.holds(&arguments));
        (arguments.is_object() && fits).then_some(()).ok_or(Misfit::Calls)
    }
}

/// The text without space around it, and without a Markdown fence around all of it.
fn unfenced(text: &str) -> &str {
    let bare = text.trim();
    let fenced = bare.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match fenced.and_then(|inside| inside.split_once('\n')) {
        Some((language, inside)) if language.trim().chars().all(char::is_alphanumeric) => {
            inside.trim()
        }
        _ => bare,
    }
}

/// Calls as [`shoal_proto::judge::Judge::tools`] describes them: `[{"name": .., "arguments": {..}}]`.
pub(super) fn calls_as_json(calls: &[ToolCall]) -> String {
    let shown = calls.iter().map(|call| {
        let arguments = serde_json::from_str(&call.arguments);
        let arguments: Value = arguments.unwrap_or_else(|_| Value::from(call.arguments.clone()));
        json!({ "name": call.name, "arguments": arguments })
    });
    Value::from_iter(shown).to_string()
}

/// The value with every object's keys in order and every whole number without a fraction: equal
/// values are equal texts.
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by(|x, y| x.0.cmp(y.0));
                let entries = entries.into_iter().map(|(key, value)| (key.clone(), sorted(value)));
                Value::Object(entries.collect::<Map<_, _>>())
            }
            Value::Array(values) => values.iter().map(sorted).collect(),
            Value::Number(number) => match number.as_f64() {
                // Below 2^53 every whole float is its integer.
                Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => {
                    Value::from(float as i64)
                }
                _ => value.clone(),
            },
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

/// Calls in a form in which equal calls are equal, whatever their order and ids.
pub fn canonical_calls(calls: &[ToolCall]) -> String {
    let one = |call: &ToolCall| {
        let arguments = serde_json::from_str::<Value>(&call.arguments);
        let arguments = arguments.map_or_else(|_| call.arguments.clone(), |it| canonical(&it));
        format!("{}({arguments})", call.name)
    };
    let mut calls: Vec<String> = calls.iter().map(one).collect();
    calls.sort();
    calls.join("\n")
}
