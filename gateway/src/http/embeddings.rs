//! `POST /v1/embeddings`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{App, error::ApiError, intake, task};
use shoal_api::embeddings::wire::List;
use shoal_api::{AskError, embeddings::EmbedRequest};

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (request, meter) = intake::accept::<EmbedRequest>(&app, &request, payload).await?;
    match embed(&app, request).await {
        Ok(list) => {
            meter.finish(list.usage.prompt_tokens, 0);
            Ok(HttpResponse::Ok().json(list))
        }
        Err(error) => Err(meter.fail(error)),
    }
}

async fn embed(app: &App, request: EmbedRequest) -> Result<List, ApiError> {
    let (rounds, ask) = (app.rounds.clone(), request.ask);
    let vectors = task::run_to_end(app, async move { rounds.embed(&ask).await }).await;
    let vectors = vectors.map_err(|error| error.rename(&[("messages", "input.")]))?;
    let size = vectors.vectors.first().map_or(0, Vec::len);
    if let Some(dimensions) = request.dimensions.filter(|dimensions| *dimensions > size) {
        return Err(AskError::too_many_dimensions(dimensions, &vectors.model, size).into());
    }
    Ok(List::new(vectors, request.dimensions, request.base64))
}
