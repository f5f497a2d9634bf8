//! `POST /v1/completions`, OpenAI's older endpoint.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App,
    answer::{self, AnswerEnd},
    error::ApiError,
    intake,
};
use shoal_api::{
    completions::{
        CompletionEncoder, CompletionRequest, NAMES,
        wire::{Completion, Head},
    },
    id,
};
use shoal_store::unix_now;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (request, meter) = intake::accept::<CompletionRequest>(&app, &request, payload).await?;
    // Several prompts are several rounds, and consent covers only the first.
    let has_one_prompt = request.prompts.len() == 1;
    let consent = if has_one_prompt { app.recorder.consent(&request.chat) } else { None };
    let model = request.chat.model.clone();
    let end = AnswerEnd { model: model.clone(), meter, consent, names: NAMES };
    let head = Head { id: format!("cmpl-{}", id::hex()), created: unix_now(), model };
    let asks = request.asks();
    if request.chat.stream {
        return answer::stream(app, end, CompletionEncoder::new(head, request), asks).await;
    }
    answer::json(&app, end, asks, |outcomes| Completion::whole(&head, &request, outcomes)).await
}
