//! `POST /v1/rank`, which only a swarm has. The client sends a prompt and texts; the answer has the
//! best text, the probability that it is the best, and every judge's ballot.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{App, answer::ROUND, callers::Owner, error::ApiError, intake, task};
use shoal_api::rank::{RankRequest, wire::RankResponse};
use shoal_store::unix_now;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (request, meter) = intake::accept::<RankRequest>(&app, &request, payload).await?;
    match rank(&app, meter.owner(), request).await {
        Ok((round, body)) => {
            meter.finish(body.usage.prompt_tokens, 0);
            Ok(HttpResponse::Ok().insert_header((ROUND, round)).json(body))
        }
        Err(error) => Err(meter.fail(error)),
    }
}

/// The round's id and the answer.
async fn rank(
    app: &App,
    owner: Owner,
    request: RankRequest,
) -> Result<(String, RankResponse), ApiError> {
    let RankRequest { ask, model, candidates } = request;
    let rounds = app.rounds.clone();
    let ranking = async move { rounds.rank(&ask, candidates).await };
    let outcome = task::run_to_end(app, ranking).await?;
    app.transcripts.keep(owner, &model, &outcome);
    let body = RankResponse::new(model, &outcome, unix_now()).ok_or(ApiError::Internal)?;
    Ok((outcome.round.0, body))
}
