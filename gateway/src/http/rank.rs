//! `POST /v1/rank`: what only a swarm has. A prompt and texts in; who is best, how sure that is,
//! and every judge's ballot out.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::Value;

use super::{App, chat, error::ApiError, id, openai::unix_now, opening, running, transcript};
use crate::ask::{Outcome, RankRequest};

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
    Ok((outcome.round.0.clone(), Ranked::of(model, &outcome)))
}

/// The answer.
#[derive(Debug, Serialize)]
struct Ranked {
    id: String,
    object: &'static str,
    created: u64,
    model: String,
    /// Index of the best candidate.
    best: usize,
    /// Every candidate, best first.
    ranking: Vec<Place>,
    /// Every candidate was compared with every other, directly or through others.
    connected: bool,
    /// The judges' majorities contradict each other in a circle.
    cyclic: bool,
    /// Strength of the best above the second.
    margin: f64,
    /// Each judge's verdicts, by the candidates' indices.
    ballots: Vec<Value>,
    usage: Usage,
}

#[derive(Debug, Serialize)]
struct Place {
    /// Where the candidate stood in the request.
    index: usize,
    /// Log-odds: of two candidates the first is better with probability σ(difference).
    strength: f64,
    /// Probability that no other is better. Equal candidates share it.
    p_best: f64,
}

#[derive(Debug, Serialize)]
struct Usage {
    /// Tokens that all judges read.
    prompt_tokens: u32,
    total_tokens: u32,
}

impl Ranked {
    fn of(model: String, outcome: &Outcome) -> Self {
        let ranking = &outcome.ranking;
        let at = |values: &[f64], index: usize| values.get(index).copied().unwrap_or(0.0);
        let place = |index: &usize| Place {
            index: *index,
            strength: at(&ranking.strengths, *index),
            p_best: at(&ranking.p_best, *index),
        };
        let read = outcome.ballots.iter().map(|ballot| ballot.prompt_tokens);
        let prompt_tokens = read.fold(0_u32, u32::saturating_add);
        Self {
            id: format!("rank-{}", id::hex()),
            object: "ranking",
            created: unix_now(),
            model,
            best: outcome.winner,
            ranking: ranking.order.iter().map(place).collect(),
            connected: ranking.connected,
            cyclic: ranking.cyclic,
            margin: ranking.margin,
            ballots: outcome.ballots.iter().map(transcript::ballot).collect(),
            usage: Usage { prompt_tokens, total_tokens: prompt_tokens },
        }
    }
}
