//! How the models shall sample: OpenAI's fields, and those that other servers added.

use serde_json::Value;
use shoal_proto::generate::{Sampling, TokenBias};

use crate::{error::AskError, fields::Fields};
use shoal_consensus::ask::Target;

/// Most sequences in `stop` (OpenAI's limit).
const STOP_MAX: usize = 4;
/// Most alternatives in `top_logprobs` (OpenAI's limit).
const TOP_LOGPROBS_MAX: i64 = 20;
/// Most tokens in `logit_bias` (OpenAI's limit).
const BIASES_MAX: usize = 1024;

pub(super) fn read(request: &Fields<'_>, target: &Target) -> Result<Sampling, AskError> {
    let single = |number: Option<f64>| number.map(|number| number as f32);
    let temperature = single(request.decimal("temperature", 0.0..=2.0)?);
    // 0 means the one best token; samplers want a mass above 0, and this one holds one token too.
    let top_p = single(request.decimal("top_p", 0.0..=1.0)?).map(|mass| mass.max(f32::EPSILON));
    let seed = request.integer("seed", i64::MIN..=i64::MAX)?;
    let old = request.integer("max_tokens", 1..=i64::MAX)?;
    let new = request.integer("max_completion_tokens", 1..=i64::MAX)?;
    if old.is_some() && new.is_some() {
        return Err(AskError::combination("max_tokens", "max_completion_tokens"));
    }
    // More than any context holds is the same as no limit.
    let max_tokens = new.or(old).map(|value| u32::try_from(value).unwrap_or(u32::MAX));
    // vLLM's -1 is no limit, as is 0.
    let top_k = request.integer("top_k", -1..=i64::from(u32::MAX))?;
    Ok(Sampling {
        temperature,
        top_p,
        seed,
        max_tokens,
        stop: stop(request)?,
        top_k: top_k.map(|k| u32::try_from(k).unwrap_or(0)),
        min_p: single(request.decimal("min_p", 0.0..=1.0)?),
        repetition_penalty: single(request.decimal("repetition_penalty", 0.01..=10.0)?),
        presence_penalty: single(request.decimal("presence_penalty", -2.0..=2.0)?),
        frequency_penalty: single(request.decimal("frequency_penalty", -2.0..=2.0)?),
        logit_bias: logit_bias(request, target)?,
        logprobs: logprobs(request)?,
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

/// A token's number means something only to the model whose vocabulary it is from.
fn logit_bias(request: &Fields<'_>, target: &Target) -> Result<Vec<TokenBias>, AskError> {
    const PATH: &str = "logit_bias";
    let Some(given) = request.object(PATH)? else { return Ok(Vec::new()) };
    let mut biases = Vec::new();
    for name in given.names() {
        let Some(bias) = given.decimal(name, -100.0..=100.0)? else { continue };
        let Ok(token) = name.parse() else {
            return Err(AskError::malformed(PATH, "an object with token ids as its keys"));
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

/// How many alternatives to each token; None: no log-probabilities at all.
fn logprobs(request: &Fields<'_>) -> Result<Option<u32>, AskError> {
    let wanted = request.boolean("logprobs")?.unwrap_or(false);
    let top = request.integer("top_logprobs", 0..=TOP_LOGPROBS_MAX)?;
    if top.is_some() && !wanted {
        let message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.";
        return Err(AskError::plain(Some("top_logprobs"), message));
    }
    Ok(wanted.then(|| u32::try_from(top.unwrap_or(0)).unwrap_or(0)))
}
