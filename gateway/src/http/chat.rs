//! `POST /v1/chat/completions`

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, HeaderName},
    web,
};

use super::{
    App,
    error::ApiError,
    opening,
    running::{Running, Said},
    sse,
};
use shoal_api::chat::ChatRequest;
use shoal_api::{
    chat::wire::{Choice, Completion, Head, Manner, Usage, fingerprint},
    id,
};
use shoal_consensus::Outcome;
use shoal_store::unix_now;

/// Names the round in `GET /v1/rounds/{id}`.
pub(super) const ROUND: HeaderName = HeaderName::from_static("x-shoal-round");

/// Reads, checks, asks, and answers as JSON or as events.
pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (asked, meter) = opening::open::<ChatRequest>(&app, &request, payload).await?;
    let agreed = app.keeper.agreed(&asked);
    let manner = Manner::of(&asked);
    let running = Running::start(&app, asked.ask, asked.progress && asked.stream);
    let object = if asked.stream { "chat.completion.chunk" } else { "chat.completion" };
    let head = Head::new(format!("chatcmpl-{}", id::hex()), object, asked.model, unix_now());
    let patience = app.config.keep_alive();
    let include_usage = asked.include_usage;
    let telling = sse::Telling { head, manner, include_usage, patience, meter, kept: app, agreed };
    if asked.stream { stream(telling, running).await } else { whole(telling, running).await }
}

/// One JSON object at the end.
async fn whole(telling: sse::Telling, running: Running) -> Result<HttpResponse, ApiError> {
    let sse::Telling { head, manner, mut meter, kept: app, agreed, .. } = telling;
    let outcome = match running.end().await {
        Ok(outcome) => outcome,
        Err(error) => return Err(meter.refuses(error)),
    };
    let choices = outcome.choices(manner.choices);
    let Some(winner) = choices.first() else {
        return Err(meter.refuses(ApiError::Internal));
    };
    app.transcripts.keep(&head.model, &outcome);
    if let Some(agreed) = agreed {
        agreed.keep(&head.model, &outcome);
    }
    let usage = Usage::over(&choices);
    meter.piece();
    meter.succeeds(&usage);
    let system_fingerprint = fingerprint(&winner.model);
    let choices = choices.iter().enumerate().map(|(at, one)| Choice::of(at, one, manner));
    let completion = Completion { head, choices: choices.collect(), usage, system_fingerprint };
    Ok(HttpResponse::Ok().insert_header((ROUND, round(&outcome))).json(completion))
}

/// Events as they come. The response's head waits for the first thing there is to say, at most as
/// long as a keep-alive: what fails before that is a plain error with its own status.
async fn stream(telling: sse::Telling, mut running: Running) -> Result<HttpResponse, ApiError> {
    let first = match running.next(telling.patience).await {
        Said::End(Err(error)) => return Err(telling.meter.refuses(error)),
        said => said,
    };
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        // nginx and its kin hold events back without this.
        .insert_header(("x-accel-buffering", "no"));
    if let Said::End(Ok(outcome)) = &first {
        response.insert_header((ROUND, round(outcome)));
    }
    Ok(response.streaming(sse::body(telling, running, first)))
}

fn round(outcome: &Outcome) -> &str {
    &outcome.round.0
}
