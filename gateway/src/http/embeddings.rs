//! `POST /v1/embeddings`

use actix_web::{HttpRequest, HttpResponse, web};

use super::{App, answer::AnswerEnd, error::ApiError, intake};
use shoal_api::embeddings::wire::List;
use shoal_api::{AskError, FieldNames, embeddings::EmbedRequest};

/// The texts are messages of an ask.
const NAMES: FieldNames<'static> = &[("messages", "input.")];

pub(super) async fn create(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let (request, meter) = intake::accept::<EmbedRequest>(&app, &request, payload).await?;
    let EmbedRequest { ask, model, dimensions, base64, .. } = request;
    let end = AnswerEnd { model, meter, consent: None, names: NAMES };
    let (rounds, client) = (app.rounds.clone(), end.meter.client());
    let (end, vectors) = end.run(&app, async move { rounds.embed(&ask, client).await }).await?;
    let size = vectors.vectors.first().map_or(0, Vec::len);
    if let Some(count) = dimensions.filter(|count| *count > size) {
        let error = AskError::too_many_dimensions(count, &vectors.model, size);
        return Err(end.fail(error.into()));
    }
    let list = List::new(vectors, dimensions, base64);
    end.finish(list.usage.prompt_tokens, 0);
    Ok(HttpResponse::Ok().json(list))
}
