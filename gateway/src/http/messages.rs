//! `POST /v1/messages`: Anthropic's format, including its errors.

mod refusal;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App,
    answer::{self, AnswerEnd},
    error::ApiError,
    intake,
};
use refusal::Refusal;
use shoal_api::{
    anthropic::{MessageEncoder, MessageRequest, NAMES, wire::Message},
    chat::ChatRequest,
};

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

/// An error from outside of this endpoint, in its format.
pub(super) fn error_response(error: &ApiError) -> HttpResponse {
    refusal::response(error)
}

/// Each member counts tokens with its own tokenizer, and only while it works, so that the gateway
/// has no correct number.
pub(super) async fn count_tokens() -> Result<HttpResponse, Refusal> {
    Err(ApiError::NotCounted.into())
}

/// Refuses another method, in this endpoint's format.
pub(super) async fn wrong_method(request: HttpRequest) -> Result<HttpResponse, Refusal> {
    super::wrong_method(request).await.map_err(Refusal::from)
}
