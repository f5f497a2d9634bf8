//! `GET /`: the console for browsers, and for programs a list of what is where. The files are public, as they
//! have no data; the page asks for a key when the data endpoints want one.

use actix_web::{HttpRequest, HttpResponse, http::header, web};
use serde_json::json;
use shoal_console::{Asset, PAGE, POLICY};

use super::{error::ApiError, quote_target};

/// The page, if the client takes HTML.
pub(super) async fn page(request: HttpRequest) -> HttpResponse {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    if accept.unwrap_or_default().to_ascii_lowercase().contains("text/html") {
        return respond(&PAGE);
    }
    HttpResponse::Ok().insert_header((header::VARY, "accept")).json(json!({
        "status": "ok",
        "name": "shoal",
        "version": env!("CARGO_PKG_VERSION"),
        "console": "/",
        "api": "/v1",
        "docs": "/docs",
        "openapi": "/openapi.json",
        "ready": "/readyz",
        "metrics": "/metrics",
    }))
}

/// A file of the page.
pub(super) async fn asset(
    request: HttpRequest,
    name: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    match shoal_console::asset(&name) {
        Some(asset) => Ok(respond(asset)),
        None => {
            let (method, path) = quote_target(&request);
            Err(ApiError::NoSuchPath { method, path })
        }
    }
}

fn respond(asset: &Asset) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(asset.media_type)
        .insert_header((header::VARY, "accept"))
        // A new version of the gateway has new files under the same names.
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .insert_header(("cross-origin-opener-policy", "same-origin"))
        .insert_header(("cross-origin-resource-policy", "same-origin"))
        .body(asset.text)
}
