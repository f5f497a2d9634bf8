//! `POST /v1/rank`: the swarm judges texts that the client sends.

pub mod wire;

use serde_json::json;

use crate::{
    chat::{ChatRequest, object},
    endpoint,
    error::AskError,
    fields::{self, Fields},
};
use shoal_consensus::{Ask, ask::Limits};

/// Fewest candidates that can be ranked.
const CANDIDATES_MIN: usize = 2;
/// Most candidates: as many as the largest round has.
const CANDIDATES_MAX: usize = 16;
/// Keys of `shoal`. Nobody writes, so that the keys about writers are missing.
const SHOAL_KEYS: [&str; 3] = ["mode", "judges", "deadline_ms"];

/// This endpoint's own fields. Other fields are ignored, or refused if the operator is strict.
const FIELDS: [&str; 3] = ["prompt", "messages", "candidates"];

/// A checked request.
#[derive(Clone, Debug)]
pub struct RankRequest {
    /// The conversation that the texts answer, and the effort of the swarm.
    pub ask: Ask,
    /// The model's name as the client sent it.
    pub model: String,
    /// 2 to 16 texts.
    pub candidates: Vec<String>,
}

impl RankRequest {
    /// Checks a request's body.
    ///
    /// # Errors
    /// The first field that is wrong.
    pub fn parse(body: &[u8], limits: &Limits) -> Result<Self, AskError> {
        let map = object(body)?;
        let request = Fields::root(&map);
        endpoint::refuse_unknown(request.names(), &FIELDS, limits)?;
        let mut chat = serde_json::Map::new();
        chat.insert("model".into(), request.string("model")?.unwrap_or("shoal").into());
        let has_prompt = match (request.string("prompt")?, request.value("messages")) {
            (Some(_), Some(_)) => return Err(AskError::combination("prompt", "messages")),
            (Some(prompt), None) => {
                let message = json!({ "role": "user", "content": prompt });
                chat.insert("messages".into(), json!([message]));
                true
            }
            (None, Some(messages)) => {
                chat.insert("messages".into(), messages.clone());
                false
            }
            (None, None) => return Err(AskError::missing_parameter("prompt")),
        };
        let candidates = candidates(&request)?;
        if let Some(shoal) = request.object("shoal")? {
            if let Some(unknown) = shoal.names().find(|name| !SHOAL_KEYS.contains(name)) {
                return Err(AskError::unknown_parameter(&shoal.path(unknown)));
            }
            shoal.integer("judges", 1..=i64::MAX)?;
        }
        chat.extend(map.get("shoal").map(|shoal| ("shoal".to_owned(), shoal.clone())));
        let names: endpoint::FieldNames<'_> =
            if has_prompt { &[("messages", "prompt.")] } else { &[] };
        let ChatRequest { mut ask, model, .. } = endpoint::parse(&chat, limits, names)?;
        // An operator may have configured rounds without judges, and a ranking needs one.
        ask.effort.judges = ask.effort.judges.max(1);
        Ok(Self { ask, model, candidates })
    }
}

fn candidates(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    let Some(values) = request.array("candidates")? else {
        return Err(request.missing_field("candidates", "an array of strings"));
    };
    if values.len() > CANDIDATES_MAX {
        return Err(AskError::array_too_long("candidates", CANDIDATES_MAX, values.len()));
    }
    if values.len() < CANDIDATES_MIN {
        return Err(AskError::array_too_short("candidates", CANDIDATES_MIN, values.len()));
    }
    fields::strings(values, "candidates")
}
