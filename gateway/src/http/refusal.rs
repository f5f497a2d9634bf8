//! Errors in Anthropic's format. The status is the same as at the other endpoints.

use actix_web::{HttpResponse, ResponseError, http::StatusCode};
use shoal_api::anthropic::wire::ErrorBody;

use super::error::ApiError;

/// An error of `/v1/messages`.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub(crate) struct Refusal(#[from] ApiError);

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.0.status_code()
    }

    fn error_response(&self) -> HttpResponse {
        response(&self.0)
    }
}

/// The response for an error.
pub(super) fn response(error: &ApiError) -> HttpResponse {
    error.head().json(ErrorBody::from(&error.failure()))
}
