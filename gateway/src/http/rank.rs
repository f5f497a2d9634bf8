//! `POST /v1/rank`: what only a swarm has. A prompt and texts in; who is best, how sure that is,
//! and every judge's ballot out.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{App, chat, error::ApiError, opening, running};
use shoal_api::rank::{RankRequest, wire::Ranked};
use shoal_store::unix_now;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (asked, meter) = opening::open::<RankRequest>(&app, &request, payload).await?;
    match rank(&app, asked).await {
        Ok((round, ranked)) => {
            meter.counts(ranked.usage.prompt_tokens, 0);
            Ok(HttpResponse::Ok().insert_header((chat::ROUND, round)).json(ranked))
        }
        Err(error) => Err(meter.refuses(error)),
    }
}

async fn rank(app: &App, asked: RankRequest) -> Result<(String, Ranked), ApiError> {
    let RankRequest { ask, model, candidates } = asked;
    let rounds = app.rounds.clone();
    let ranking = async move { rounds.rank(&ask, candidates).await };
    let outcome = running::owned(app, ranking).await?;
    app.transcripts.keep(&model, &outcome);
    Ok((outcome.round.0.clone(), Ranked::of(model, &outcome, unix_now())))
}
