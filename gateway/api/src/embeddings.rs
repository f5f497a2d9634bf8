//! `POST /v1/embeddings`.

mod tokens;
pub mod wire;

use serde_json::Value;

use crate::{chat::object, endpoint, error::AskError, fields::Fields};
use shoal_consensus::{
    Mode,
    ask::{Limits, Target},
    embedding::EmbedAsk,
};
use tokens::TokenDecoder;

/// Most texts in one request (OpenAI's limit).
const INPUTS_MAX: usize = 2048;
/// Most dimensions in a request. No model has so many.
const DIMENSIONS_MAX: i64 = 1 << 20;

/// This endpoint's own fields. Other fields are ignored, or refused if the operator is strict.
const FIELDS: [&str; 3] = ["input", "dimensions", "encoding_format"];

/// A checked request: the ask, and the form of the vectors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbedRequest {
    /// The texts and who embeds them.
    pub ask: EmbedAsk,
    /// The model's name as the client sent it.
    pub model: String,
    /// Vectors are cut to so many numbers, and scaled to length 1 again.
    pub dimensions: Option<usize>,
    /// Vectors are sent as base64 of little-endian 32-bit floats, not as numbers.
    pub base64: bool,
}

impl EmbedRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong, in this order: JSON, model, input, then the rest.
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
            Some(word) => {
                return Err(AskError::not_one_of("encoding_format", word, &["float", "base64"]));
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

/// `input`: a text, the token numbers of a text, or an array of either.
fn inputs(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    const FORM: &str = "a string or an array";
    let mut decoder = TokenDecoder::default();
    let values = match request.value("input") {
        None => return Err(request.missing_field("input", FORM)),
        Some(Value::Array(values)) if values.first().is_some_and(Value::is_number) => {
            return Ok(vec![decoder.decode(values, "input")?]);
        }
        Some(Value::Array(values)) => values.as_slice(),
        Some(single @ Value::String(_)) => std::slice::from_ref(single),
        Some(value) => return Err(AskError::wrong_type("input", FORM, value)),
    };
    if values.is_empty() {
        return Err(AskError::empty_array("input"));
    }
    if values.len() > INPUTS_MAX {
        return Err(AskError::array_too_long("input", INPUTS_MAX, values.len()));
    }
    let values = values.iter().enumerate();
    values.map(|(index, value)| input(value, &format!("input[{index}]"), &mut decoder)).collect()
}

fn input(value: &Value, path: &str, decoder: &mut TokenDecoder) -> Result<String, AskError> {
    match value {
        Value::String(text) if text.is_empty() => {
            let message = "Invalid 'input': a text must not be empty.";
            Err(AskError::plain(Some("input"), message))
        }
        Value::String(text) => Ok(text.clone()),
        Value::Array(tokens) => decoder.decode(tokens, path),
        _ => Err(AskError::wrong_type(path, "a string or an array of integers", value)),
    }
}
