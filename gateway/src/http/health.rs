//! Health checks for load balancers, and the metrics for Prometheus.

use actix_web::{HttpRequest, HttpResponse, web};
use prometheus::TextEncoder;
use serde_json::json;

use super::{App, access, error::ApiError};

/// `GET /healthz`: the process is alive.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /readyz`: at least one member takes work. Also gives the key that nodes pin, which is public.
pub(super) async fn ready(app: web::Data<App>) -> HttpResponse {
    let members = app.members();
    let (mut response, status) = match members {
        0 => (HttpResponse::ServiceUnavailable(), "no_member"),
        _ => (HttpResponse::Ok(), "ready"),
    };
    response.json(json!({
        "status": status,
        "members": members,
        "models": app.models().into_keys().collect::<Vec<_>>(),
        "gateway_key": app.key,
        "quic": app.quic,
    }))
}

/// `GET /metrics`, in Prometheus's text format.
pub(super) async fn metrics(
    app: web::Data<App>,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    if app.config.metrics_need_key {
        access::identify(&request)?;
    }
    match TextEncoder::new().encode_to_string(&app.registry.gather()) {
        Ok(text) => Ok(HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text)),
        Err(error) => {
            tracing::error!(%error, "cannot encode the metrics");
            Err(ApiError::Internal)
        }
    }
}
