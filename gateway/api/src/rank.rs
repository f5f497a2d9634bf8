//! `POST /v1/rank`: texts that a client brings, to be judged by the swarm.

pub mod wire;

use serde_json::{Value, json};

use crate::{chat::object, endpoint, error::AskError, fields::Fields};
use shoal_consensus::{Ask, ask::Limits};

/// Fewer leave nothing to rank.
const CANDIDATES_MIN: usize = 2;
/// Most candidates; as many as the largest round has.
const CANDIDATES_MAX: usize = 16;
/// What may stand in `shoal`: nobody writes, so there is nothing to say about writers.
const KEYS: [&str; 3] = ["mode", "judges", "deadline_ms"];

/// Fields of this door's own; others are ignored, or refused where the operator is strict.
const FIELDS: [&str; 3] = ["prompt", "messages", "candidates"];

/// A whole request.
#[derive(Clone, Debug)]
pub struct RankRequest {
    /// The conversation that the texts answer, and how hard the swarm works.
    pub ask: Ask,
    /// The model's name as it was asked for.
    pub model: String,
    /// 2 to 16.
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
        let prompted = match (request.string("prompt")?, request.value("messages")) {
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
            (None, None) => return Err(AskError::missing("prompt")),
        };
        let candidates = candidates(&request)?;
        if let Some(wish) = request.object("shoal")? {
            if let Some(unknown) = wish.names().find(|name| !KEYS.contains(name)) {
                return Err(AskError::unknown_parameter(&wish.path(unknown)));
            }
            wish.integer("judges", 1..=i64::MAX)?;
        }
        chat.extend(map.get("shoal").map(|wish| ("shoal".to_owned(), wish.clone())));
        let names: endpoint::Names<'_> = if prompted { &[("messages", "prompt.")] } else { &[] };
        let parsed = endpoint::parse(&chat, limits, names)?;
        let mut ask = parsed.ask;
        // An operator may have set rounds to none; a ranking without judges is none.
        ask.effort.judges = ask.effort.judges.max(1);
        Ok(Self { ask, model: parsed.model, candidates })
    }
}

fn candidates(request: &Fields<'_>) -> Result<Vec<String>, AskError> {
    let Some(values) = request.array("candidates")? else {
        return Err(request.absent("candidates", "an array of strings"));
    };
    if values.len() > CANDIDATES_MAX {
        return Err(AskError::array_too_long("candidates", CANDIDATES_MAX, values.len()));
    }
    if values.len() < CANDIDATES_MIN {
        return Err(AskError::array_too_short("candidates", CANDIDATES_MIN, values.len()));
    }
    let read = |(index, value): (usize, &Value)| match value {
        Value::String(text) => Ok(text.clone()),
        other => Err(AskError::wrong_type(&format!("candidates[{index}]"), "a string", other)),
    };
    values.iter().enumerate().map(read).collect()
}
