//! The required format of an answer, and the functions that it may call. Every candidate is checked before it
//! is judged, whoever wrote it and whatever its engine promised.

mod schema;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use shoal_proto::{
    generate::{Finish, Format, FormatKind},
    tools::{ToolCall, ToolChoice, Tools},
};

use crate::candidate::Candidate;
use schema::{Budget, Schema};

/// The constraint that the answers to a request must satisfy.
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
    /// The function that must be called, where the choice names one.
    function: String,
    parallel: bool,
    /// The schema of each function's arguments, where it is strict.
    functions: BTreeMap<String, Option<Schema>>,
}

/// Why an answer cannot be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintViolation {
    #[error("the answer does not have the response format")]
    Text,
    #[error("the answer does not call functions as asked")]
    Calls,
}

/// Why a schema cannot be used, and whose it is: None for that of the response format.
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
        let mut budget = Budget::default();
        let text = match format.map(|format| (format.kind(), format.body.as_str())) {
            Some((FormatKind::JsonSchema, body)) if !body.is_empty() => {
                Text::Schema(Box::new(compile(body, None, &mut budget)?))
            }
            Some((FormatKind::JsonSchema | FormatKind::JsonObject, _)) => Text::Object,
            _ => Text::Free,
        };
        let Some(tools) = tools else { return Ok(Self { text, calls: None }) };
        let mut functions = BTreeMap::new();
        for (at, function) in tools.functions.iter().enumerate() {
            let strict = function.strict && !function.parameters.is_empty();
            let schema = strict.then(|| compile(&function.parameters, Some(at), &mut budget));
            functions.insert(function.name.clone(), schema.transpose()?);
        }
        let (function, parallel) = (tools.named.clone(), tools.parallel);
        let calls = Calls { choice: tools.choice(), function, parallel, functions };
        Ok(Self { text, calls: Some(calls) })
    }

    /// Whether every answer satisfies it.
    pub(crate) fn is_free(&self) -> bool {
        matches!(self.text, Text::Free) && self.calls.is_none()
    }

    /// Whether an answer's text is JSON.
    pub fn is_json(&self) -> bool {
        !matches!(self.text, Text::Free)
    }

    /// Checks a candidate; one that was cut at the token limit need not be complete
    /// ([`ResponseConstraint::is_cut`]). Removes what is around its JSON (many models put it between fences),
    /// and normalises its calls.
    ///
    /// # Errors
    /// The candidate must not be sent.
    pub fn enforce(&self, candidate: &mut Candidate) -> Result<(), ConstraintViolation> {
        if candidate.tool_calls.is_empty() {
            return self.enforce_text(candidate);
        }
        let calls = self.calls.as_ref().ok_or(ConstraintViolation::Calls)?;
        let mut ids = BTreeSet::new();
        let mut is_cut = false;
        for call in &mut candidate.tool_calls {
            let result = calls.enforce(call);
            // The limit may have come within the arguments.
            let can_be_cut =
                candidate.finish == Finish::Length && calls.functions.contains_key(&call.name);
            is_cut |= result.is_err() && can_be_cut;
            if !can_be_cut {
                result?;
            }
            if !ids.insert(call.id.clone()) {
                call.id.clear();
            }
        }
        let fits = match calls.choice {
            ToolChoice::None => false,
            ToolChoice::Auto | ToolChoice::Required => true,
            ToolChoice::Named => {
                candidate.tool_calls.iter().all(|call| call.name == calls.function)
            }
        };
        if !fits || (candidate.tool_calls.len() > 1 && !calls.parallel) {
            return Err(ConstraintViolation::Calls);
        }
        candidate.finish = if is_cut { Finish::Length } else { Finish::ToolCalls };
        // It is the log-probability of a text with markup, which nobody could recompute.
        candidate.logprob = None;
        Ok(())
    }

    /// Whether a candidate was cut at the token limit before it satisfied the constraint. It is sent if there
    /// is no better one.
    pub fn is_cut(&self, candidate: &Candidate) -> bool {
        if candidate.finish != Finish::Length || self.is_free() {
            return false;
        }
        let calls = self.calls.as_ref().map_or(ToolChoice::None, |calls| calls.choice);
        let needs_call = matches!(calls, ToolChoice::Required | ToolChoice::Named);
        needs_call || !candidate.tool_calls.is_empty() || !self.fits(strip_fence(&candidate.text))
    }

    /// Whether a text has the required format.
    fn fits(&self, text: &str) -> bool {
        if !self.is_json() {
            return true;
        }
        serde_json::from_str::<Value>(text).is_ok_and(|value| match &self.text {
            Text::Free => true,
            Text::Object => value.is_object(),
            Text::Schema(schema) => schema.is_valid(&value),
        })
    }

    fn enforce_text(&self, candidate: &mut Candidate) -> Result<(), ConstraintViolation> {
        let calls = self.calls.as_ref().map_or(ToolChoice::None, |calls| calls.choice);
        if matches!(calls, ToolChoice::Required | ToolChoice::Named) {
            // The limit may have come before the call.
            let is_cut = candidate.finish == Finish::Length;
            return is_cut.then_some(()).ok_or(ConstraintViolation::Calls);
        }
        if candidate.finish == Finish::ToolCalls {
            candidate.finish = Finish::Stop;
        }
        if !self.is_json() {
            return Ok(());
        }
        let bare = strip_fence(&candidate.text);
        if !self.fits(bare) {
            // Cut at the token limit, JSON cannot be complete. Clients expect the text that there is.
            let is_cut = candidate.finish == Finish::Length;
            return is_cut.then_some(()).ok_or(ConstraintViolation::Text);
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

/// Compiles the schema of a function, or of the response format.
fn compile(
    text: &str,
    function: Option<usize>,
    budget: &mut Budget,
) -> Result<Schema, SchemaError> {
    serde_json::from_str(text)
        .map_err(|_| "it is not JSON".to_owned())
        .and_then(|schema| schema::compile(&schema, budget))
        .map_err(|why| SchemaError { function, why })
}

impl Calls {
    fn enforce(&self, call: &mut ToolCall) -> Result<(), ConstraintViolation> {
        let schema = self.functions.get(&call.name).ok_or(ConstraintViolation::Calls)?;
        if call.arguments.trim().is_empty() {
            call.arguments = "{}".to_owned();
        }
        let arguments: Value =
            serde_json::from_str(&call.arguments).map_err(|_| ConstraintViolation::Calls)?;
        let fits = schema.as_ref().is_none_or(|schema| schema.is_valid(&arguments));
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
