//! `POST /v1/chat/completions`. Requests are checked by hand, because types alone do not check
//! ranges and do not name the path of a wrong field.
//!
//! Unknown fields are ignored, as in most compatible servers, unless the operator is strict.
//! Fields that would change the answer and that nothing here supports are refused by name.

mod encoder;
mod format;
mod messages;
mod sampling;
mod tools;
pub mod treatment;
pub mod wire;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use crate::{error::AskError, fields::Fields};
pub use encoder::ChatEncoder;
use shoal_consensus::{
    Ask, Mode,
    ask::{Effort, Limits, Target},
    constraint::{ResponseConstraint, SchemaError},
};
use tools::ToolRequest;
use treatment::Treatment;

/// A checked request: the ask, and the form of the answer.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    /// The conversation, and who answers it.
    pub ask: Ask,
    /// The model's name as the client sent it. The answer repeats it.
    pub model: String,
    /// The answer is sent as events instead of one JSON object.
    pub stream: bool,
    /// A stream ends with a chunk that has the usage.
    pub include_usage: bool,
    /// The client agrees that the round is kept for training (OpenAI's `store`).
    pub store: bool,
    /// Calls are sent as the deprecated `function_call`.
    pub deprecated_calls: bool,
    /// A stream reports how far the round is, as reasoning.
    pub progress: bool,
}

/// Most completions in `n` (OpenAI's limit).
const N_MAX: i64 = 128;
/// Most pairs in `metadata` (OpenAI's limit).
const METADATA_MAX: usize = 16;
/// Most characters of a pair's name, of its text, and of `safety_identifier` (OpenAI's limits).
const METADATA_KEY_MAX: usize = 64;
const METADATA_VALUE_MAX: usize = 512;
const IDENTIFIER_MAX: usize = 64;
/// The words of `reasoning_effort`, with the swarm's mode for each.
const REASONING_EFFORTS: [(&str, Mode); 7] = [
    ("none", Mode::Fast),
    ("minimal", Mode::Fast),
    ("low", Mode::Fast),
    ("medium", Mode::Balanced),
    ("high", Mode::Deep),
    ("xhigh", Mode::Deep),
    ("max", Mode::Deep),
];

impl ChatRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong, in this order: JSON, model, messages, then the rest.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        Self::from_object(&object(body)?, limits)
    }

    /// Checks a request whose JSON is parsed: the other endpoints rewrite their requests to a chat.
    ///
    /// # Errors
    /// As for [`Self::parse`].
    pub fn from_object(body: &Map<String, Value>, limits: &Limits) -> Result<Self, AskError> {
        let request = Fields::root(body);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        let mode = Mode::of_model(&model);
        let target = mode.map_or_else(|| Target::Model(model.clone()), |_| Target::Swarm);
        let conversation = messages::read(&request)?;
        let sampling = sampling::read(&request, &target)?;
        let stream = request.boolean("stream")?.unwrap_or(false);
        let include_usage = include_usage(&request, stream)?;
        let choices = choices(&request, limits)?;
        let tool_request = tools::read(&request)?;
        let format = format::read(&request)?;
        refuse_unsupported(&request)?;
        check_ignored(&request)?;
        let effort = effort(&request, mode, choices, limits)?;
        let template_variables = template_variables(&request, &target)?;
        let ToolRequest { tools, deprecated_calls, schemas } = tool_request;
        let constraint = ResponseConstraint::new(tools.as_ref(), format.as_ref());
        let constraint = Arc::new(constraint.map_err(|error| bad_schema(&error, &schemas))?);
        let ask = Ask {
            target,
            messages: conversation.messages,
            sampling,
            effort,
            tools,
            format,
            constraint,
            template_variables,
            choices,
            image: conversation.image,
            prompt: None,
        };
        let store = request.boolean("store")?.unwrap_or(false);
        let progress = progress(&request)?;
        if limits.strict {
            refuse_unknown(&request)?;
        }
        Ok(Self { ask, model, stream, include_usage, store, deprecated_calls, progress })
    }
}

/// The body as a JSON object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, AskError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(AskError::not_json("expected an object")),
        Err(error) => Err(AskError::not_json(&syntax_error(&error))),
    }
}

/// The category and place of the parser's error. Its own message may quote the body.
fn syntax_error(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let category = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Syntax | Category::Data | Category::Io => "it is not valid JSON",
    };
    format!("{category}, at line {} column {}", error.line(), error.column())
}

/// `stream_options.include_usage`.
fn include_usage(request: &Fields<'_>, stream: bool) -> Result<bool, AskError> {
    let Some(options) = request.object("stream_options")? else { return Ok(false) };
    if !stream {
        return Err(AskError::plain(
            Some("stream_options"),
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        ));
    }
    options.boolean("include_obfuscation")?;
    Ok(options.boolean("include_usage")?.unwrap_or(false))
}

/// `n`. A round has as many answers as writers, so that the limit of writers is one of answers.
fn choices(request: &Fields<'_>, limits: &Limits) -> Result<usize, AskError> {
    let choices = request.integer("n", 1..=N_MAX)?.unwrap_or(1);
    let choices = usize::try_from(choices).unwrap_or(usize::MAX);
    if choices > limits.writers_max {
        let why = format!("At most {} completions can be requested.", limits.writers_max);
        return Err(AskError::unsupported_value("n", &why));
    }
    Ok(choices)
}

/// The error for a schema. `schemas` are the paths of the functions' schemas.
fn bad_schema(error: &SchemaError, schemas: &[String]) -> AskError {
    match error.function {
        Some(index) => {
            let path = schemas.get(index).map_or("tools", String::as_str);
            AskError::bad_schema(path, true, &error.why)
        }
        None => AskError::bad_schema("response_format.json_schema.schema", false, &error.why),
    }
}

/// Refuses fields that would change the answer and that nothing here supports.
fn refuse_unsupported(request: &Fields<'_>) -> Result<(), AskError> {
    for (name, treatment) in treatment::FIELDS {
        if *treatment == Treatment::Refused && request.value(name).is_some() {
            let why = "Nothing here supports it: send the request without it.";
            return Err(AskError::unsupported_parameter(name, why));
        }
    }
    let audio = Value::from("audio");
    if request.array("modalities")?.is_some_and(|modes| modes.contains(&audio)) {
        let why = "The models here write text only.";
        return Err(AskError::unsupported_value("modalities", why));
    }
    Ok(())
}

/// Checks fields that have no effect, so that a mistake in them shows up now and not when they
/// have one.
fn check_ignored(request: &Fields<'_>) -> Result<(), AskError> {
    request.boolean("store")?;
    for text in ["user", "safety_identifier", "prompt_cache_key", "service_tier"] {
        request.string(text)?;
    }
    check_length(request, "safety_identifier", IDENTIFIER_MAX)?;
    word(request, "verbosity", &["low", "medium", "high"])?;
    match request.object("metadata")? {
        Some(metadata) => check_metadata(&metadata),
        None => Ok(()),
    }
}

/// Checks a client's labels: few pairs of short texts.
pub(crate) fn check_metadata(metadata: &Fields<'_>) -> Result<(), AskError> {
    let pairs = metadata.names().count();
    if pairs > METADATA_MAX {
        let message = format!("Invalid 'metadata': at most {METADATA_MAX} pairs, got {pairs}.");
        return Err(AskError::plain(Some("metadata"), message));
    }
    for name in metadata.names() {
        check_length(metadata, name, METADATA_VALUE_MAX)?;
        let length = name.chars().count();
        if length > METADATA_KEY_MAX {
            return Err(AskError::string_too_long("metadata", METADATA_KEY_MAX, length));
        }
    }
    Ok(())
}

/// Checks that a text has at most `max` characters.
fn check_length(request: &Fields<'_>, name: &str, max: usize) -> Result<(), AskError> {
    match request.string(name)?.map(|text| text.chars().count()) {
        Some(length) if length > max => {
            Err(AskError::string_too_long(&request.path(name), max, length))
        }
        _ => Ok(()),
    }
}

/// A field whose value is one of these words.
fn word<'a>(request: &Fields<'a>, name: &str, words: &[&str]) -> Result<Option<&'a str>, AskError> {
    match request.string(name)? {
        Some(word) if !words.contains(&word) => {
            Err(AskError::not_one_of(&request.path(name), word, words))
        }
        word => Ok(word),
    }
}

/// Refuses unknown fields: this finds typos, and clients that rely on a feature that is missing.
fn refuse_unknown(request: &Fields<'_>) -> Result<(), AskError> {
    match request.names().find(|name| treatment::of_field(name).is_none()) {
        Some(unknown) => Err(AskError::unknown_parameter(unknown)),
        None => Ok(()),
    }
}

/// `chat_template_kwargs`, with `reasoning_effort` for a member's model: templates have a variable
/// of that name.
fn template_variables(request: &Fields<'_>, target: &Target) -> Result<String, AskError> {
    let variables = request.object("chat_template_kwargs")?;
    let effort = request.string("reasoning_effort")?.filter(|_| *target != Target::Swarm);
    let Some(effort) = effort else {
        return Ok(variables.map(|variables| variables.to_json()).unwrap_or_default());
    };
    let mut variables = variables.map(|variables| variables.to_map()).unwrap_or_default();
    variables.entry("reasoning_effort").or_insert_with(|| json!(effort));
    Ok(Value::Object(variables).to_string())
}

/// `shoal: {progress: "reasoning"}`
fn progress(request: &Fields<'_>) -> Result<bool, AskError> {
    let Some(shoal) = request.object("shoal")? else { return Ok(false) };
    Ok(word(&shoal, "progress", &["reasoning", "off"])? == Some("reasoning"))
}

/// `shoal: {mode, writers, judges, deadline_ms, fusion, min_confidence}`: the operator's defaults for the mode, which
/// the client overrides within limits.
///
/// `mode` in `shoal` comes first, then a model's name with a mode (`shoal-deep`), then
/// `reasoning_effort`, then the plain name `shoal`.
fn effort(
    request: &Fields<'_>,
    model_mode: Option<Mode>,
    choices: usize,
    limits: &Limits,
) -> Result<Effort, AskError> {
    let word = word(request, "reasoning_effort", &REASONING_EFFORTS.map(|(word, _)| word))?;
    let pair = REASONING_EFFORTS.iter().find(|pair| word == Some(pair.0));
    let mode = match (model_mode, pair) {
        (Some(Mode::Balanced), Some((_, mode))) => *mode,
        _ => model_mode.unwrap_or_default(),
    };
    let mut effort = match request.object("shoal")? {
        Some(shoal) => shoal_effort(&shoal, mode, limits)?,
        None => limits.effort(mode),
    };
    effort.writers = effort.writers.max(choices);
    Ok(effort)
}

/// The effort for a request with the field `shoal`.
fn shoal_effort(shoal: &Fields<'_>, mode: Mode, limits: &Limits) -> Result<Effort, AskError> {
    const KEYS: [&str; 7] =
        ["mode", "writers", "judges", "deadline_ms", "fusion", "min_confidence", "progress"];
    // Only shoal's own clients send this field, so that an unknown key is a mistake.
    if let Some(unknown) = shoal.names().find(|name| !KEYS.contains(name)) {
        return Err(AskError::unknown_parameter(&shoal.path(unknown)));
    }
    let word = word(shoal, "mode", &Mode::ALL.map(Mode::word))?;
    let defaults = limits.effort(word.and_then(Mode::of_word).unwrap_or(mode));
    let longest = i64::try_from(limits.deadline_ms_max).unwrap_or(i64::MAX);
    let shortest = i64::try_from(limits.deadline_ms_min).unwrap_or(i64::MAX);
    let deadline = shoal.integer("deadline_ms", shortest..=longest)?;
    Ok(Effort {
        writers: count(shoal, "writers", 1, limits.writers_max)?.unwrap_or(defaults.writers),
        judges: count(shoal, "judges", 0, limits.judges_max)?.unwrap_or(defaults.judges),
        deadline: deadline
            .and_then(|ms| u64::try_from(ms).ok())
            .map_or(defaults.deadline, Duration::from_millis),
        fusion: shoal.boolean("fusion")?.unwrap_or(false),
        min_confidence: shoal
            .decimal("min_confidence", 0.0..=1.0)?
            .unwrap_or(defaults.min_confidence),
        ..defaults
    })
}

/// A number of members from `min` to `max`.
fn count(shoal: &Fields<'_>, name: &str, min: i64, max: usize) -> Result<Option<usize>, AskError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    Ok(shoal.integer(name, min..=max)?.and_then(|value| usize::try_from(value).ok()))
}

#[cfg(test)]
pub(crate) mod tests;
