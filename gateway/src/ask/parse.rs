//! `POST /v1/chat/completions`, checked by hand: types alone miss ranges and cannot name paths.
//!
//! Unknown fields are ignored, as most compatible servers do; fields that OpenAI knows and that
//! would change the answer in a way nothing here can honour are refused by name.

use std::time::Duration;

use serde_json::{Map, Value};
use shoal_proto::generate::Sampling;

use super::{Ask, Effort, Limits, Mode, Target, error::AskError, fields::Fields, messages};

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
}

/// Most sequences in `stop` (OpenAI's limit).
const STOP_MAX: usize = 4;
/// Most alternatives in `top_logprobs` (OpenAI's limit).
const TOP_LOGPROBS_MAX: i64 = 20;
/// Most completions in `n` (OpenAI's limit).
const N_MAX: i64 = 128;
/// Most pairs in `metadata` (OpenAI's limit).
const METADATA_MAX: usize = 16;

impl Ask {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong, in a fixed order: JSON, model, messages, then the rest.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        ChatRequest::parse(body, limits).map(|request| request.ask)
    }
}

impl ChatRequest {
    /// Checks a request's body, with what concerns the reply's form.
    ///
    /// # Errors
    /// As [`Ask::parse`].
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        let messages = messages::read(&request)?;
        let sampling = sampling(&request)?;
        let stream = request.boolean("stream")?.unwrap_or(false);
        let include_usage = include_usage(&request, stream)?;
        refuse_unsupported(&request)?;
        check_ignored(&request)?;
        let mode = Mode::of_model(&model);
        let effort = effort(&request, mode.unwrap_or_default(), limits)?;
        let target = mode.map_or_else(|| Target::Model(model.clone()), |_| Target::Swarm);
        let store = request.boolean("store")?.unwrap_or(false);
        let ask = Ask { target, messages, sampling, effort };
        Ok(Self { ask, model, stream, include_usage, store })
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

fn sampling(request: &Fields<'_>) -> Result<Sampling, AskError> {
    let temperature = request.decimal("temperature", 0.0..=2.0)?.map(|value| value as f32);
    // 0 means the one best token; samplers want a mass above 0, and this one holds one token too.
    let top_p = request.decimal("top_p", 0.0..=1.0)?.map(|value| (value as f32).max(f32::EPSILON));
    let seed = request.integer("seed", i64::MIN..=i64::MAX)?;
    let old = request.integer("max_tokens", 1..=i64::MAX)?;
    let new = request.integer("max_completion_tokens", 1..=i64::MAX)?;
    if old.is_some() && new.is_some() {
        return Err(AskError::combination("max_tokens", "max_completion_tokens"));
    }
    // More than any context holds is the same as no limit.
    let max_tokens = old.or(new).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    Ok(Sampling {
        temperature,
        top_p,
        seed,
        max_tokens,
        stop: stop(request)?,
        ..Sampling::default()
    })
}

/// `stop`: one string or up to four; an empty string stops nothing.
fn stop(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    let values = match request.value("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(other) => {
            return Err(AskError::wrong_type("stop", "a string or an array of strings", other));
        }
    };
    if values.len() > STOP_MAX {
        return Err(AskError::array_too_long("stop", STOP_MAX, values.len()));
    }
    let read = |(index, value): (usize, &Value)| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(AskError::wrong_type(&format!("stop[{index}]"), "a string", other)),
    };
    let stops = values.iter().enumerate().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(stops.into_iter().filter(|text| !text.is_empty()).collect())
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

/// Fields that would change the answer and that no member honours yet.
fn refuse_unsupported(request: &Fields<'_>) -> Result<(), AskError> {
    if request.integer("n", 1..=N_MAX)?.is_some_and(|n| n > 1) {
        return Err(AskError::unsupported_value("n", "Only 1 completion a request is served."));
    }
    let logprobs = request.boolean("logprobs")?.unwrap_or(false);
    let top = request.integer("top_logprobs", 0..=TOP_LOGPROBS_MAX)?;
    if top.is_some() && !logprobs {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(AskError::plain(Some("top_logprobs"), message));
    }
    if logprobs {
        let why = "Log probabilities of tokens are not served: leave it out or send false.";
        return Err(AskError::unsupported_value("logprobs", why));
    }
    refuse_tools(request)?;
    refuse_formats(request)
}

fn refuse_tools(request: &Fields<'_>) -> Result<(), AskError> {
    for (list, choice) in [("tools", "tool_choice"), ("functions", "function_call")] {
        // An empty list is what many apps send for none.
        if request.array(list)?.is_some_and(|list| !list.is_empty()) {
            let why = "No model here calls tools yet: send the request without them.";
            return Err(AskError::unsupported_parameter(list, why));
        }
        if request.value(choice).is_some() {
            let message = format!("'{choice}' is only allowed when '{list}' are specified.");
            return Err(AskError::plain(Some(choice), message));
        }
    }
    Ok(())
}

fn refuse_formats(request: &Fields<'_>) -> Result<(), AskError> {
    const FORMATS: [&str; 3] = ["text", "json_object", "json_schema"];
    if let Some(format) = request.object("response_format")? {
        match format.required_string("type")? {
            "text" => {}
            "json_object" | "json_schema" => {
                let why = "Structured output is not served yet: only the format 'text' is.";
                return Err(AskError::unsupported_parameter("response_format", why));
            }
            other => {
                return Err(AskError::not_one_of("response_format.type", other, &FORMATS));
            }
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
    request.decimal("frequency_penalty", -2.0..=2.0)?;
    request.decimal("presence_penalty", -2.0..=2.0)?;
    request.boolean("store")?;
    request.boolean("parallel_tool_calls")?;
    request.string("user")?;
    if let Some(bias) = request.object("logit_bias")? {
        for token in bias.names() {
            bias.decimal(token, -100.0..=100.0)?;
        }
    }
    if let Some(metadata) = request.object("metadata")? {
        let pairs = metadata.names().count();
        if pairs > METADATA_MAX {
            let message = format!("Invalid 'metadata': at most {METADATA_MAX} pairs, got {pairs}.");
            return Err(AskError::plain(Some("metadata"), message));
        }
        for name in metadata.names() {
            metadata.string(name)?;
        }
    }
    Ok(())
}

/// `shoal: {mode, writers, judges, deadline_ms, fusion}`: the operator's defaults for the mode,
/// overridden within limits. A mode in the body comes before the one in the model's name.
fn effort(request: &Fields<'_>, named: Mode, limits: &Limits) -> Result<Effort, AskError> {
    let Some(wish) = request.object("shoal")? else { return Ok(limits.effort(named)) };
    const KEYS: [&str; 5] = ["mode", "writers", "judges", "deadline_ms", "fusion"];
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
    Ok(Effort {
        writers: count("writers", 1..=top(limits.writers_max))?.unwrap_or(defaults.writers),
        judges: count("judges", 0..=top(limits.judges_max))?.unwrap_or(defaults.judges),
        deadline: deadline
            .and_then(|ms| u64::try_from(ms).ok())
            .map_or(defaults.deadline, Duration::from_millis),
        fusion: wish.boolean("fusion")?.unwrap_or(false),
        ..defaults
    })
}

fn mode(wish: &Fields<'_>) -> Result<Option<Mode>, AskError> {
    let Some(word) = wish.string("mode")? else { return Ok(None) };
    let unknown = || AskError::not_one_of(&wish.path("mode"), word, &Mode::ALL.map(Mode::word));
    Mode::of_word(word).ok_or_else(unknown).map(Some)
}
