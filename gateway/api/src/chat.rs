//! `POST /v1/chat/completions`, checked by hand: types alone miss ranges and cannot name paths.
//!
//! Unknown fields are ignored, as most compatible servers do, unless the operator is strict;
//! fields that would change the answer in a way nothing here can honour are refused by name.

mod format;
pub mod known;
mod messages;
mod sampling;
mod tools;
pub mod wire;

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value, json};

use crate::{error::AskError, fields::Fields};
use known::Treatment;
use shoal_consensus::{
    Ask, Mode,
    ask::{Effort, Limits, Target},
    constraint::{ResponseConstraint, SchemaError},
};
use tools::Offered;

/// A whole chat request: what is asked, and how the answer shall be written.
#[derive(Clone, Debug)]
pub struct ChatRequest {
    pub ask: Ask,
    /// The model's name as it was asked for; the reply repeats it.
    pub model: String,
    /// Pieces as server-sent events instead of one JSON object.
    pub stream: bool,
    /// One more chunk with the usage at the end of a stream.
    pub include_usage: bool,
    /// The client agrees that the round is kept (OpenAI's `store`).
    pub store: bool,
    /// Calls are told as the deprecated `function_call`.
    pub deprecated_calls: bool,
    /// A stream tells how far the round is, as reasoning.
    pub progress: bool,
}

/// Most completions in `n` (OpenAI's limit).
const N_MAX: i64 = 128;
/// Most pairs in `metadata` (OpenAI's limit).
const METADATA_MAX: usize = 16;
/// Characters of a pair's name and of its text, and of `safety_identifier` (OpenAI's limits).
const METADATA_KEY_MAX: usize = 64;
const METADATA_VALUE_MAX: usize = 512;
const IDENTIFIER_MAX: usize = 64;
/// Words of `reasoning_effort`, and the mode that each means for the swarm.
const REASONING: [(&str, Mode); 7] = [
    ("none", Mode::Fast),
    ("minimal", Mode::Fast),
    ("low", Mode::Fast),
    ("medium", Mode::Balanced),
    ("high", Mode::Deep),
    ("xhigh", Mode::Deep),
    ("max", Mode::Deep),
];

impl ChatRequest {
    /// Checks a request's body, with what concerns the reply's form.
    ///
    /// # Errors
    /// The first field that is wrong, in a fixed order: JSON, model, messages, then the rest.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        Self::read(&object(body)?, limits)
    }

    /// Checks a request that is JSON already: other endpoints put theirs into this one's words.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn read(body: &Map<String, Value>, limits: &Limits) -> Result<Self, AskError> {
        let request = Fields::root(body);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        let mode = Mode::of_model(&model);
        let target = mode.map_or_else(|| Target::Model(model.clone()), |_| Target::Swarm);
        let talk = messages::read(&request)?;
        let sampling = sampling::read(&request, &target)?;
        let stream = request.boolean("stream")?.unwrap_or(false);
        let include_usage = include_usage(&request, stream)?;
        let choices = choices(&request, limits)?;
        let offered = tools::read(&request)?;
        let format = format::read(&request)?;
        refuse_unsupported(&request)?;
        check_ignored(&request)?;
        let effort = effort(&request, mode, choices, limits)?;
        let template_variables = template_variables(&request, &target)?;
        let (tools, deprecated_calls, schemas) = match offered {
            Some(Offered { tools, deprecated, schemas }) => (Some(tools), deprecated, schemas),
            None => (None, false, Vec::new()),
        };
        let form = ResponseConstraint::new(tools.as_ref(), format.as_ref());
        let form = Arc::new(form.map_err(|bad| bad_schema(&bad, &schemas))?);
        let ask = Ask {
            target,
            messages: talk.messages,
            sampling,
            effort,
            tools,
            format,
            form,
            template_variables,
            choices,
            image: talk.image,
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

pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, AskError> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(_) => Err(AskError::not_json("expected an object")),
        Err(error) => Err(AskError::not_json(&place(&error))),
    }
}

/// The parser's category and place; its own words may repeat the body.
fn place(error: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let what = match error.classify() {
        Category::Eof => "it ends too early",
        Category::Syntax | Category::Data | Category::Io => "it is not valid JSON",
    };
    format!("{what}, at line {} column {}", error.line(), error.column())
}

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

/// `n`: a round has as many answers as writers, so it can give no more than it may have writers.
fn choices(request: &Fields<'_>, limits: &Limits) -> Result<usize, AskError> {
    let wanted = request.integer("n", 1..=N_MAX)?.unwrap_or(1);
    let wanted = usize::try_from(wanted).unwrap_or(1);
    if wanted > limits.writers_max {
        let why = format!("At most {} completions a request are served.", limits.writers_max);
        return Err(AskError::unsupported_value("n", &why));
    }
    Ok(wanted)
}

fn bad_schema(bad: &SchemaError, schemas: &[String]) -> AskError {
    match bad.function {
        Some(at) => {
            let path = schemas.get(at).map_or("tools", String::as_str);
            AskError::bad_schema(path, true, &bad.why)
        }
        None => AskError::bad_schema("response_format.json_schema.schema", false, &bad.why),
    }
}

/// Fields that would change the answer and that nothing here honours.
fn refuse_unsupported(request: &Fields<'_>) -> Result<(), AskError> {
    let refused = known::FIELDS.iter().filter(|(_, treatment)| *treatment == Treatment::Refused);
    for (name, _) in refused {
        if request.value(name).is_some() {
            let why = "Nothing here does that: send the request without it.";
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

/// Fields that are accepted without effect still have to be well-formed, so that a mistake shows
/// up here and not on the day they gain one.
fn check_ignored(request: &Fields<'_>) -> Result<(), AskError> {
    request.boolean("store")?;
    for text in ["user", "safety_identifier", "prompt_cache_key", "service_tier"] {
        request.string(text)?;
    }
    short(request, "safety_identifier", IDENTIFIER_MAX)?;
    word(request, "verbosity", &["low", "medium", "high"])?;
    if let Some(metadata) = request.object("metadata")? {
        let pairs = metadata.names().count();
        if pairs > METADATA_MAX {
            let message = format!("Invalid 'metadata': at most {METADATA_MAX} pairs, got {pairs}.");
            return Err(AskError::plain(Some("metadata"), message));
        }
        for name in metadata.names() {
            short(&metadata, name, METADATA_VALUE_MAX)?;
            let length = name.chars().count();
            if length > METADATA_KEY_MAX {
                return Err(AskError::string_too_long("metadata", METADATA_KEY_MAX, length));
            }
        }
    }
    Ok(())
}

/// A text of at most so many characters.
fn short(request: &Fields<'_>, name: &str, max: usize) -> Result<(), AskError> {
    match request.string(name)?.map(|text| text.chars().count()) {
        Some(length) if length > max => {
            Err(AskError::string_too_long(&request.path(name), max, length))
        }
        _ => Ok(()),
    }
}

fn word<'a>(request: &Fields<'a>, name: &str, words: &[&str]) -> Result<Option<&'a str>, AskError> {
    match request.string(name)? {
        Some(word) if !words.contains(&word) => {
            Err(AskError::not_one_of(&request.path(name), word, words))
        }
        word => Ok(word),
    }
}

/// Typos are found this way, and so are clients that count on what is not there.
fn refuse_unknown(request: &Fields<'_>) -> Result<(), AskError> {
    match request.names().find(|name| known::treatment(name).is_none()) {
        Some(unknown) => Err(AskError::unknown_parameter(unknown)),
        None => Ok(()),
    }
}

/// `chat_template_kwargs`, and for one model `reasoning_effort`, which templates know by that name.
fn template_variables(request: &Fields<'_>, target: &Target) -> Result<String, AskError> {
    let given = request.object("chat_template_kwargs")?;
    let effort = request.string("reasoning_effort")?.filter(|_| *target != Target::Swarm);
    match (given, effort) {
        (None, None) => Ok(String::new()),
        (Some(given), None) => Ok(given.to_json()),
        (given, Some(effort)) => {
            let mut all: Map<String, Value> =
                given.and_then(|it| serde_json::from_str(&it.to_json()).ok()).unwrap_or_default();
            all.entry("reasoning_effort").or_insert_with(|| json!(effort));
            Ok(Value::Object(all).to_string())
        }
    }
}

/// `shoal: {progress: "reasoning"}`
fn progress(request: &Fields<'_>) -> Result<bool, AskError> {
    let Some(wish) = request.object("shoal")? else { return Ok(false) };
    Ok(word(&wish, "progress", &["reasoning", "off"])? == Some("reasoning"))
}

/// `shoal: {mode, writers, judges, deadline_ms, fusion}`: the operator's defaults for the mode,
/// overridden within limits. A mode in the body comes before `reasoning_effort`, and that before
/// the plain name of the swarm; a name that says its mode has said it.
fn effort(
    request: &Fields<'_>,
    named: Option<Mode>,
    choices: usize,
    limits: &Limits,
) -> Result<Effort, AskError> {
    let reasoning = word(request, "reasoning_effort", &REASONING.map(|(word, _)| word))?;
    let meant = REASONING.iter().find(|(word, _)| reasoning == Some(*word)).map(|(_, mode)| *mode);
    let named = match named {
        Some(Mode::Balanced) => meant.unwrap_or(Mode::Balanced),
        named => named.unwrap_or_default(),
    };
    let enough = |effort: Effort| Effort { writers: effort.writers.max(choices), ..effort };
    let Some(wish) = request.object("shoal")? else { return Ok(enough(limits.effort(named))) };
    const KEYS: [&str; 6] = ["mode", "writers", "judges", "deadline_ms", "fusion", "progress"];
    // Only shoal's own clients send this, so a word it does not know is a mistake worth telling.
    if let Some(unknown) = wish.names().find(|name| !KEYS.contains(name)) {
        return Err(AskError::unknown_parameter(&wish.path(unknown)));
    }
    let defaults = limits.effort(mode(&wish)?.unwrap_or(named));
    let count = |name, range| -> Result<Option<usize>, AskError> {
        Ok(wish.integer(name, range)?.and_then(|value| usize::try_from(value).ok()))
    };
    let top = |max: usize| i64::try_from(max).unwrap_or(i64::MAX);
    let longest = i64::try_from(limits.deadline_ms_max).unwrap_or(i64::MAX);
    let shortest = i64::try_from(limits.deadline_ms_min).unwrap_or(i64::MAX);
    let deadline = wish.integer("deadline_ms", shortest..=longest)?;
    Ok(enough(Effort {
        writers: count("writers", 1..=top(limits.writers_max))?.unwrap_or(defaults.writers),
        judges: count("judges", 0..=top(limits.judges_max))?.unwrap_or(defaults.judges),
        deadline: deadline
            .and_then(|ms| u64::try_from(ms).ok())
            .map_or(defaults.deadline, Duration::from_millis),
        fusion: wish.boolean("fusion")?.unwrap_or(false),
        ..defaults
    }))
}

fn mode(wish: &Fields<'_>) -> Result<Option<Mode>, AskError> {
    let word = word(wish, "mode", &Mode::ALL.map(Mode::word))?;
    Ok(word.and_then(Mode::of_word))
}

#[cfg(test)]
pub(crate) mod tests;
