//! `POST /v1/rank`, which only a swarm has. The client sends a prompt and texts; the answer has the
//! best text, the probability that it is the best, and every judge's ballot.

use actix_web::{HttpRequest, HttpResponse, web};

use super::{
    App,
    answer::{AnswerEnd, ROUND},
    error::ApiError,
    intake,
};
use shoal_api::rank::{RankRequest, wire::RankResponse};
use shoal_store::unix_now;

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (request, meter) = intake::accept::<RankRequest>(&app, &request, payload).await?;
    let RankRequest { ask, model, candidates } = request;
    let end = AnswerEnd { model: model.clone(), meter, consent: None, names: &[] };
    let rounds = app.rounds.clone();
    let (end, outcome) = end.run(&app, async move { rounds.rank(&ask, candidates).await }).await?;
    end.keep_transcript(&app, &outcome);
    let Some(body) = RankResponse::new(model, &outcome, unix_now()) else {
        return Err(end.fail(ApiError::Internal));
    };
    end.finish(body.usage.prompt_tokens, 0);
    Ok(HttpResponse::Ok().insert_header((ROUND, outcome.round.0)).json(body))
}
