//! `POST /v1/messages`: the same rounds in Anthropic's shape, errors included.

mod refusal;
mod teller;
mod wire;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App, body, chat,
    error::ApiError,
    meter::Meter,
    openai::Usage,
    told::{self, Telling},
};
use crate::ask::{MessageRequest, anthropic::NAMES};
use refusal::Refusal;
use teller::Teller;
use wire::Message;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let mut meter = Meter::start(&app.metrics);
    let asked = match ask(&app, &request, payload, &mut meter).await {
        Ok(asked) => asked.chat,
        Err(error) => {
            meter.fails(error.label());
            return Err(error.into());
        }
    };
    meter.streams(asked.stream);
    meter.serves(&asked.model);
    let agreed = app.keeper.agreed(&asked);
    let mut telling = Telling { app, model: asked.model.clone(), meter, agreed, names: NAMES };
    if asked.stream {
        return Ok(told::stream(telling, Teller::new(asked.model), [asked.ask]).await?);
    }
    let outcome = match telling.whole(asked.ask).await {
        Ok(outcome) => outcome,
        Err(error) => {
            telling.meter.fails(error.label());
            return Err(error.into());
        }
    };
    let Some(winner) = outcome.winner() else {
        telling.meter.fails(ApiError::Internal.label());
        return Err(ApiError::Internal.into());
    };
    let usage = Usage::of(winner);
    telling.meter.counts(usage.prompt_tokens, usage.completion_tokens);
    let mut response = HttpResponse::Ok();
    response.insert_header((chat::ROUND, outcome.round.0.as_str()));
    Ok(response.json(Message::whole(asked.model, winner)))
}

async fn ask(
    app: &App,
    request: &HttpRequest,
    payload: web::Payload,
    meter: &mut Meter,
) -> Result<MessageRequest, ApiError> {
    meter.holds(app.admission.enter()?);
    let body = body::read(request, payload, app.config.body_bytes_max).await?;
    let asked = MessageRequest::parse(&body, &app.limits)?;
    app.known(&asked.chat.model)?;
    Ok(asked)
}

/// Each member counts with its own tokenizer, and only while it works: no number here would be
/// true.
pub(super) async fn count_tokens() -> Result<HttpResponse, Refusal> {
    Err(ApiError::NotCounted.into())
}

/// Another method than there is.
pub(super) async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    super::wrong_method(request).await.map_err(Refusal::from)
}
