//! `GET /v1/models` and `GET /v1/models/{id}`: the swarm's modes first, then the members' models.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};

use super::{App, error::ApiError};
use shoal_api::models::{List, Model};
use shoal_consensus::Mode;

pub(super) async fn list(app: web::Data<App>) -> HttpResponse {
    let members = app.models().into_iter().map(|(name, tags)| member(&app, name, tags));
    let swarm = Mode::ALL.into_iter().map(|mode| swarm(&app, mode));
    HttpResponse::Ok().json(List::new(swarm.chain(members).collect()))
}

/// `id` may be percent-encoded, slashes included: the OpenAI SDKs send it in that form.
pub(super) async fn get(
    app: web::Data<App>,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let id = id.into_inner();
    if let Some(mode) = Mode::of_model(&id) {
        return Ok(HttpResponse::Ok().json(swarm(&app, mode)));
    }
    if let Some(tags) = app.models().remove(&id) {
        return Ok(HttpResponse::Ok().json(member(&app, id, tags)));
    }
    Err(ApiError::NotAModel(id.chars().take(96).collect()))
}

fn swarm(app: &App, mode: Mode) -> Model {
    let id = mode.model().to_owned();
    Model {
        id,
        object: "model",
        created: app.start_seconds,
        owned_by: "shoal",
        tags: BTreeSet::new(),
    }
}

fn member(app: &App, id: String, tags: BTreeSet<String>) -> Model {
    Model { id, object: "model", created: app.start_seconds, owned_by: "member", tags }
}
