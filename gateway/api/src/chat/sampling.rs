//! How the models sample: OpenAI's fields, and those that other servers added.

use std::ops::RangeInclusive;

use serde_json::Value;
use shoal_proto::generate::{Sampling, TokenBias};

use crate::{
    error::AskError,
    fields::{self, Fields},
};
use shoal_consensus::ask::Target;

/// Most bytes of one sequence in `stop`: every node compares it with every piece that it writes.
const STOP_BYTES_MAX: usize = 1024;

/// Most sequences in `stop` (OpenAI's limit).
const STOP_MAX: usize = 4;
/// Most alternatives in `top_logprobs` (OpenAI's limit).
const TOP_LOGPROBS_MAX: i64 = 20;
/// Most tokens in `logit_bias` (OpenAI's limit).
const BIASES_MAX: usize = 1024;

/// Reads the sampling fields.
pub(super) fn read(request: &Fields<'_>, target: &Target) -> Result<Sampling, AskError> {
    let temperature = float(request, "temperature", 0.0..=2.0)?;
    // 0 means only the best token. Samplers need a mass above 0, and this one is the best token too.
    let top_p = float(request, "top_p", 0.0..=1.0)?.map(|mass| mass.max(f32::EPSILON));
    let seed = request.integer("seed", i64::MIN..=i64::MAX)?;
    let max_tokens = request.integer("max_tokens", 1..=i64::MAX)?;
    let max_completion_tokens = request.integer("max_completion_tokens", 1..=i64::MAX)?;
    if max_tokens.is_some() && max_completion_tokens.is_some() {
        return Err(AskError::combination("max_tokens", "max_completion_tokens"));
    }
    // A limit above every context is the same as no limit.
    let max_tokens = max_completion_tokens.or(max_tokens);
    let max_tokens = max_tokens.map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    // In vLLM, -1 and 0 are no limit.
    let top_k = request.integer("top_k", -1..=i64::from(u32::MAX))?;
    Ok(Sampling {
        temperature,
        top_p,
        seed,
        max_tokens,
        stop: stop(request)?,
        top_k: top_k.map(|k| u32::try_from(k).unwrap_or(0)),
        min_p: float(request, "min_p", 0.0..=1.0)?,
        repetition_penalty: float(request, "repetition_penalty", 0.01..=10.0)?,
        presence_penalty: float(request, "presence_penalty", -2.0..=2.0)?,
        frequency_penalty: float(request, "frequency_penalty", -2.0..=2.0)?,
        logit_bias: logit_bias(request, target)?,
        logprobs: logprobs(request)?,
    })
}

/// A decimal within `range`, in single precision.
fn float(
    request: &Fields<'_>,
    name: &str,
    range: RangeInclusive<f64>,
) -> Result<Option<f32>, AskError> {
    Ok(request.decimal(name, range)?.map(|number| number as f32))
}

/// `stop`: one string, or up to four. An empty string stops nothing.
fn stop(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    let values = match request.value("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(value) => {
            return Err(AskError::wrong_type("stop", "a string or an array of strings", value));
        }
    };
    if values.len() > STOP_MAX {
        return Err(AskError::array_too_long("stop", STOP_MAX, values.len()));
    }
    let mut stops = fields::strings(values, "stop")?;
    stops.retain(|text| !text.is_empty());
    if let Some((at, text)) = stops.iter().enumerate().find(|(_, text)| text.len() > STOP_BYTES_MAX)
    {
        let path = format!("stop[{at}]");
        return Err(AskError::string_too_long(&path, STOP_BYTES_MAX, text.len()));
    }
    Ok(stops)
}

/// `logit_bias`. A token's number has a meaning only for the model with that vocabulary.
fn logit_bias(request: &Fields<'_>, target: &Target) -> Result<Vec<TokenBias>, AskError> {
    const PATH: &str = "logit_bias";
    let Some(map) = request.object(PATH)? else { return Ok(Vec::new()) };
    let mut biases = Vec::new();
    for name in map.names() {
        let Some(bias) = map.decimal(name, -100.0..=100.0)? else { continue };
        let Ok(token) = name.parse() else {
            return Err(AskError::bad_form(PATH, "an object with token ids as its keys"));
        };
        biases.push(TokenBias { token, bias: bias as f32 });
    }
    if biases.len() > BIASES_MAX {
        let message =
            format!("Invalid '{PATH}': at most {BIASES_MAX} tokens, got {}.", biases.len());
        return Err(AskError::plain(Some(PATH), message));
    }
    if !biases.is_empty() && *target == Target::Swarm {
        let why = "Token ids differ from model to model: ask one model by its name.";
        return Err(AskError::unsupported_value(PATH, why));
    }
    Ok(biases)
}

/// The number of alternatives to each token; `None` for no log-probabilities.
fn logprobs(request: &Fields<'_>) -> Result<Option<u32>, AskError> {
    let logprobs = request.boolean("logprobs")?.unwrap_or(false);
    let top = request.integer("top_logprobs", 0..=TOP_LOGPROBS_MAX)?;
    if top.is_some() && !logprobs {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(AskError::plain(Some("top_logprobs"), message));
    }
    Ok(logprobs.then(|| u32::try_from(top.unwrap_or(0)).unwrap_or(0)))
}
