//! What an answer must keep to: its form, and how it may call functions. Every candidate is held
//! to it before it is judged, whoever wrote it and whatever its engine promised.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shoal_proto::{
    generate::{Finish, Format, FormatKind},
    tools::{ToolCall, ToolChoice, Tools},
};

use crate::candidate::Candidate;
use schema::Schema;

/// Holds answers to what was asked for.
#[derive(Debug, Default)]
pub struct ResponseConstraint {
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
pub enum ConstraintViolation {
    #[error("the answer does not keep to the response format")]
    Text,
    #[error("the answer does not call functions as asked")]
    Calls,
}

/// Why no form could be made, and whose schema it is: None is the response format's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    pub function: Option<usize>,
    pub why: String,
}

impl ResponseConstraint {
    /// The constraint of these functions and this response format.
    ///
    /// # Errors
    /// A schema is not JSON or cannot be compiled.
    pub fn new(tools: Option<&Tools>, format: Option<&Format>) -> Result<Self, SchemaError> {
        let bad = |function| move |why| SchemaError { function, why };
        let compile = |text: &str| {
            let schema = serde_json::from_str(text).map_err(|_| "it is not JSON".to_owned())?;
            schema::compile(&schema)
        };
        let text = match format.map(|format| (format.kind(), format.body.as_str())) {
            Some((FormatKind::JsonSchema, body)) if !body.is_empty() => {
                Text::Schema(Box::new(compile(body).map_err(bad(None))?))
            }
            Some((FormatKind::JsonSchema | FormatKind::JsonObject, _)) => Text::Object,
            _ => Text::Free,
        };
        let Some(tools) = tools else { return Ok(Self { text, calls: None }) };
        let mut functions = BTreeMap::new();
        for (at, function) in tools.functions.iter().enumerate() {
            let strict = function.strict && !function.parameters.is_empty();
            let schema = strict.then(|| compile(&function.parameters)).transpose();
            functions.insert(function.name.clone(), schema.map_err(bad(Some(at)))?);
        }
        let (name, parallel) = (tools.named.clone(), tools.parallel);
        let calls = Calls { choice: tools.choice(), named: name, parallel, functions };
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
    pub fn hold(&self, candidate: &mut Candidate) -> Result<(), ConstraintViolation> {
        if candidate.tool_calls.is_empty() {
            return self.hold_text(candidate);
        }
        let calls = self.calls.as_ref().ok_or(ConstraintViolation::Calls)?;
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
            return Err(ConstraintViolation::Calls);
        }
        candidate.finish = Finish::ToolCalls;
        // The log-probability of a text with markup around it: nobody could recompute it.
        candidate.logprob = None;
        Ok(())
    }

    fn hold_text(&self, candidate: &mut Candidate) -> Result<(), ConstraintViolation> {
        let calls = self.calls.as_ref().map_or(ToolChoice::None, |calls| calls.choice);
        if matches!(calls, ToolChoice::Required | ToolChoice::Named) {
            return Err(ConstraintViolation::Calls);
        }
        if candidate.finish == Finish::ToolCalls {
            candidate.finish = Finish::Stop;
        }
        if !self.is_json() {
            return Ok(());
        }
        let bare = strip_fence(&candidate.text);
        let value: Value = serde_json::from_str(bare).map_err(|_| ConstraintViolation::Text)?;
        let fits = match &self.text {
            Text::Free => true,
            Text::Object => value.is_object(),
            Text::Schema(schema) => schema.holds(&value),
        };
        if !fits {
            return Err(ConstraintViolation::Text);
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
    fn hold(&self, call: &mut ToolCall) -> Result<(), ConstraintViolation> {
        let schema = self.functions.get(&call.name).ok_or(ConstraintViolation::Calls)?;
        if call.arguments.trim().is_empty() {
            call.arguments = "{}".to_owned();
        }
        let arguments: Value =
            serde_json::from_str(&call.arguments).map_err(|_| ConstraintViolation::Calls)?;
        let fits = schema.as_ref().is_none_or(|schema| schema.holds(&arguments));
        (arguments.is_object() && fits).then_some(()).ok_or(ConstraintViolation::Calls)
    }
}

/// The text without space around it, and without a Markdown fence around all of it.
fn strip_fence(text: &str) -> &str {
    let bare = text.trim();
    let body = bare.strip_prefix("```").and_then(|rest| rest.strip_suffix("```"));
    match body.and_then(|inside| inside.split_once('\n')) {
        Some((language, inside)) if language.trim().chars().all(char::is_alphanumeric) => {
            inside.trim()
        }
        _ => bare,
    }
}
