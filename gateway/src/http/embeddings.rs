//! `POST /v1/embeddings`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{App, error::ApiError, opening, running};
use shoal_api::embeddings::wire::List;
use shoal_api::{AskError, embeddings::EmbedRequest};

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (asked, meter) = opening::open::<EmbedRequest>(&app, &request, payload).await?;
    match embed(&app, asked).await {
        Ok(list) => {
            meter.counts(list.usage.prompt_tokens, 0);
            Ok(HttpResponse::Ok().json(list))
        }
        Err(error) => Err(meter.refuses(error)),
    }
}

async fn embed(app: &App, asked: EmbedRequest) -> Result<List, ApiError> {
    let (rounds, ask) = (app.rounds.clone(), asked.ask);
    let vectors = running::owned(app, async move { rounds.embed(&ask).await }).await;
    let vectors = vectors.map_err(|error| error.renamed(&[("messages", "input.")]))?;
    let size = vectors.vectors.first().map_or(0, Vec::len);
    if let Some(wanted) = asked.dimensions.filter(|wanted| *wanted > size) {
        return Err(AskError::too_many_dimensions(wanted, &vectors.model, size).into());
    }
    Ok(List::of(vectors, asked.dimensions, asked.base64))
}
