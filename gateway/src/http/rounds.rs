//! `GET /v1/rounds/{id}`: the transcript of a finished round.

use actix_web::{HttpRequest, HttpResponse, http::header::ContentType, web};

use super::{App, access, error::ApiError};

pub(super) async fn get(
    app: web::Data<App>,
    request: HttpRequest,
    id: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match app.transcripts.find(access::caller(&request)?.owner(), &id) {
        Some(body) => Ok(HttpResponse::Ok().insert_header(ContentType::json()).body(body)),
        None => Err(ApiError::NoSuchRound(id.chars().take(64).collect())),
    }
}
