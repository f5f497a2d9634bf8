//! Errors as Anthropic's clients know them. The status is the one that every door has.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use serde::Serialize;

use crate::http::error::ApiError;

/// An error at this door.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Refusal(#[from] ApiError);

/// `{"type": "error", "error": {...}}`
#[derive(Debug, Serialize)]
pub(super) struct Body {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Named,
}

#[derive(Debug, Serialize)]
struct Named {
    #[serde(rename = "type")]
    kind: &'static str,
    message: String,
}

impl Body {
    pub(super) fn of(error: &ApiError) -> Self {
        let message = match error.param() {
            // Their errors have no field for it, and SDKs show the message alone.
            Some(param) if !error.to_string().contains(&param) => format!("{param}: {error}"),
            _ => error.to_string(),
        };
        Self { kind: "error", error: Named { kind: kind(error.status_code()), message } }
    }
}

/// Anthropic's word for a status.
fn kind(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        other if other < 500 => "invalid_request_error",
        _ => "api_error",
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        response(&self.0)
    }
}

/// An error as it is sent at this door.
pub(super) fn response(error: &ApiError) -> HttpResponse {
    error.head().json(Body::of(error))
}
