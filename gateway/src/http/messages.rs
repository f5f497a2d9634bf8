//! `POST /v1/messages`: Anthropic's format, including its errors.

use std::cmp::Reverse;

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{HeaderName, HeaderValue},
    web,
};
use serde_json::json;

use super::{
    App,
    answer::{self, AnswerEnd},
    callers::Owner,
    error::ApiError,
    intake::{self, EndpointRequest},
    refusal::Refusal,
};
use shoal_api::{
    anthropic::{MessageEncoder, MessageRequest, NAMES, wire::Message},
    chat::ChatRequest,
};
use shoal_consensus::Mode;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let (MessageRequest { chat }, meter) = intake::accept(&app, &request, payload).await?;
    let consent = app.recorder.consent(&chat);
    let ChatRequest { ask, model, stream, .. } = chat;
    let end = AnswerEnd { model: model.clone(), meter, consent, names: NAMES };
    if stream {
        return Ok(answer::stream(app, end, MessageEncoder::new(model), vec![ask]).await?);
    }
    let response = answer::json(&app, end, vec![ask], |outcomes| {
        let winner = outcomes.first()?.winner()?;
        Some((winner.into(), Message::whole(model, winner)))
    });
    Ok(response.await?)
}

/// The header with the model that counted.
const COUNTED_BY: HeaderName = HeaderName::from_static("x-shoal-counted-by");

/// Each member counts tokens with its own tokenizer, and only while it works: it reads the conversation and
/// writes a single token. For the swarm the largest of its members counts.
pub(super) async fn count_tokens(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let (CountRequest { chat }, meter) = intake::accept(&app, &request, payload).await?;
    let ChatRequest { ask, model, .. } = chat;
    let end = AnswerEnd { model: model.clone(), meter, consent: None, names: NAMES };
    let response = answer::json(&app, end, vec![ask], |outcomes| {
        let winner = outcomes.first()?.winner()?;
        Some((winner.into(), json!({ "input_tokens": winner.prompt_tokens })))
    });
    let mut response = response.await?;
    if let Ok(model) = HeaderValue::from_str(&model) {
        response.headers_mut().insert(COUNTED_BY, model);
    }
    Ok(response)
}

/// A request to count, as a chat with one member.
struct CountRequest {
    chat: ChatRequest,
}

impl EndpointRequest for CountRequest {
    fn parse(body: &[u8], app: &App, _owner: Owner) -> Result<Self, ApiError> {
        let MessageRequest { chat } =
            MessageRequest::parse_count(body, &app.limits, |name| counting_model(app, name))?;
        Ok(Self { chat })
    }

    fn model(&self) -> &str {
        &self.chat.model
    }

    fn ask_bytes(&self) -> usize {
        intake::bytes_of(&self.chat.ask)
    }
}

/// The model that counts for a request with this model's name.
fn counting_model(app: &App, name: &str) -> String {
    let largest = Mode::of_model(name).and_then(|_| largest_member(app));
    largest.unwrap_or_else(|| name.to_owned())
}

/// The model of the member with the most parameters, of several the first by name.
fn largest_member(app: &App) -> Option<String> {
    let members = app.rounds.swarm().members();
    members
        .iter()
        .map(|member| &member.model)
        .max_by_key(|model| (model.parameters, Reverse(&model.name)))
        .map(|model| model.name.clone())
}

/// Refuses another method, in this endpoint's format.
pub(super) async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    super::wrong_method(request).await.map_err(Refusal::from)
}
