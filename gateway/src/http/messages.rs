//! `POST /v1/messages`: the same rounds in Anthropic's shape, errors included.

mod refusal;
mod teller;

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App, chat,
    error::ApiError,
    opening,
    told::{self, Telling},
};
use refusal::Refusal;
use shoal_api::anthropic::wire::Message;
use shoal_api::anthropic::{MessageRequest, NAMES};
use shoal_api::chat::wire::Usage;
use teller::Teller;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let (MessageRequest { chat: asked }, meter) = opening::open(&app, &request, payload).await?;
    let agreed = app.keeper.agreed(&asked);
    let mut telling = Telling { app, model: asked.model.clone(), meter, agreed, names: NAMES };
    if asked.stream {
        return Ok(told::stream(telling, Teller::new(asked.model), [asked.ask]).await?);
    }
    let outcome = match telling.whole(asked.ask).await {
        Ok(outcome) => outcome,
        Err(error) => return Err(telling.meter.refuses(error).into()),
    };
    let Some(winner) = outcome.winner() else {
        return Err(telling.meter.refuses(ApiError::Internal).into());
    };
    let usage = Usage::of(winner);
    telling.meter.counts(usage.prompt_tokens, usage.completion_tokens);
    let mut response = HttpResponse::Ok();
    response.insert_header((chat::ROUND, outcome.round.0.as_str()));
    Ok(response.json(Message::whole(asked.model, winner)))
}

/// What is wrong before anything of a request was read.
pub(super) fn refused(error: &ApiError) -> HttpResponse {
    refusal::response(error)
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
