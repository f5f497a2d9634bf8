//! `POST /v1/embeddings`, checked by hand.

pub mod wire;

use serde_json::Value;

use crate::{chat::object, endpoint, error::AskError, fields::Fields};
use shoal_consensus::{
    Mode,
    ask::{Limits, Target},
    embedding::EmbedAsk,
};

/// Most texts in one request (OpenAI's limit).
const INPUTS_MAX: usize = 2048;
/// Most numbers that one can ask for; no model's space has so many.
const DIMENSIONS_MAX: i64 = 1 << 20;

/// Fields of this door's own; others are ignored, or refused where the operator is strict.
const FIELDS: [&str; 3] = ["input", "dimensions", "encoding_format"];

/// A whole request: what is asked, and how the vectors shall be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedRequest {
    pub ask: EmbedAsk,
    /// The model's name as it was asked for.
    pub model: String,
    /// Only so many numbers of each vector, brought back to length 1.
    pub dimensions: Option<usize>,
    /// Little-endian 32-bit floats in base64 in the place of numbers.
    pub base64: bool,
}

impl EmbedRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong: JSON, model, input, then the rest.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        let model = match request.string("model")? {
            Some(model) if !model.is_empty() => model.to_owned(),
            _ => return Err(AskError::plain(None, "you must provide a model parameter")),
        };
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let inputs = inputs(&request)?;
        let base64 = match request.string("encoding_format")? {
            None | Some("float") => false,
            Some("base64") => true,
            Some(other) => {
                return Err(AskError::not_one_of("encoding_format", other, &["float", "base64"]));
            }
        };
        let dimensions = request.integer("dimensions", 1..=DIMENSIONS_MAX)?;
        request.string("user")?;
        let mode = Mode::of_model(&model);
        let target = mode.map_or_else(|| Target::Model(model.clone()), |_| Target::Swarm);
        let deadline = limits.effort(mode.unwrap_or_default()).deadline;
        Ok(Self {
            ask: EmbedAsk { target, inputs, deadline },
            model,
            dimensions: dimensions.and_then(|count| usize::try_from(count).ok()),
            base64,
        })
    }
}

/// One text or an array of them.
fn inputs(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    const EXPECTED: &str = "a string or an array of strings";
    let values = match request.value("input") {
        None => return Err(request.absent("input", EXPECTED)),
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(other) => return Err(AskError::wrong_type("input", EXPECTED, other)),
    };
    if values.is_empty() {
        return Err(AskError::empty_array("input"));
    }
    if values.len() > INPUTS_MAX {
        return Err(AskError::array_too_long("input", INPUTS_MAX, values.len()));
    }
    let read = |(index, value): (usize, &Value)| match value {
        Value::String(text) if text.is_empty() => {
            let message = "Invalid 'input': a text must not be empty.";
            Err(AskError::plain(Some("input"), message))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Array(_) => Err(AskError::unsupported_value(
            "input",
            "Token numbers mean something to one tokenizer only: send text.",
        )),
        other => Err(AskError::wrong_type(&format!("input[{index}]"), "a string", other)),
    };
    values.iter().enumerate().map(read).collect()
}
