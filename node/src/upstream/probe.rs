//! Checks before the node joins that the endpoint exists, accepts the key and has the model. A failure is
//! one line.

use serde_json::Value;

use super::{
    Settings,
    call::{CHAT, ask, greeting},
    fault::{CallError, ConnectError, Refusal},
    fields::FieldPolicy,
    transport::{FIRST_BYTE, Transport},
};

/// The context if neither the owner nor the endpoint says it: that of small models.
pub(super) const CONTEXT: u32 = 4096;

/// What the endpoint says about the model.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) context: Option<u32>,
}

/// Looks the model up in the endpoint's list. If it is not there (its name may differ) or there is no
/// list, asks the model for one token.
pub(super) async fn probe(
    transport: &Transport,
    policy: &FieldPolicy,
    settings: &Settings,
) -> Result<Listing, ConnectError> {
    let listing = match transport.get("/models").await {
        Ok(list) => find(&list, &settings.model),
        Err(error) => match why(error, settings)? {
            Refusal { status: Some(404 | 405 | 501), .. } => None,
            refusal => return Err(connect_error(refusal, settings)),
        },
    };
    if let Some(listing) = listing {
        return Ok(listing);
    }
    match ask(transport, policy, CHAT, greeting(&settings.model)).await {
        Ok(_) => Ok(Listing::default()),
        Err(error @ CallError::Refused(_)) if error.is_an_answer() => Ok(Listing::default()),
        Err(error) => Err(connect_error(why(error, settings)?, settings)),
    }
}

fn find(list: &Value, model: &str) -> Option<Listing> {
    let models = list.get("data")?.as_array()?;
    let entry =
        models.iter().find(|entry| entry.get("id").and_then(Value::as_str) == Some(model))?;
    // vLLM says it on the entry, llama.cpp's server in `meta`.
    let places = ["/max_model_len", "/meta/n_ctx", "/context_length"];
    let context = places.iter().find_map(|place| entry.pointer(place)?.as_u64());
    Some(Listing { context: context.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0) })
}

/// The endpoint's refusal, or why there is none.
fn why(error: CallError, settings: &Settings) -> Result<Refusal, ConnectError> {
    let why = match error {
        CallError::Refused(refusal) => return Ok(refusal),
        CallError::Unreachable(why) => why,
        CallError::Silent => format!("no answer within {} s", FIRST_BYTE.as_secs()),
        CallError::BrokenOff => "the connection ended early".to_owned(),
        CallError::NotJson => "what answers there does not speak the OpenAI API".to_owned(),
    };
    Err(ConnectError::Unreachable { url: settings.url.clone(), why })
}

fn connect_error(refusal: Refusal, settings: &Settings) -> ConnectError {
    let (url, model) = (settings.url.clone(), settings.model.clone());
    match refusal.status {
        Some(status @ (401 | 403)) => ConnectError::Unauthorized { url, status },
        _ => ConnectError::Model { url, model, why: refusal.to_string() },
    }
}
