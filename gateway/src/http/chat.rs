//! `POST /v1/chat/completions`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App,
    answer::{self, AnswerEnd},
    error::ApiError,
    intake,
};
use shoal_api::{
    chat::{
        ChatEncoder, ChatRequest,
        wire::{Completion, Head, ReplyOptions},
    },
    id,
};
use shoal_store::unix_now;

/// Reads and checks a request, and answers it as JSON or as events.
pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (chat, meter) = intake::accept::<ChatRequest>(&app, &request, payload).await?;
    let consent = app.recorder.consent(&chat);
    let options = ReplyOptions::from(&chat);
    let ChatRequest { ask, model, stream, .. } = chat;
    let object = if stream { "chat.completion.chunk" } else { "chat.completion" };
    let head = Head::new(format!("chatcmpl-{}", id::hex()), object, model.clone(), unix_now());
    let end = AnswerEnd { model, meter, consent, names: &[] };
    if stream {
        return answer::stream(app, end, ChatEncoder::new(head, options), vec![ask]).await;
    }
    answer::json(&app, end, vec![ask], |outcomes| Completion::new(head, options, outcomes.first()?))
        .await
}
