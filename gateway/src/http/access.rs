//! Who may use which route. The matched route decides, not the text of the path: a path can be spelled
//! in many ways. A route needs a key unless `http.rs` declares it as public, and so does a path that
//! matches no route.

use actix_web::{
    HttpMessage as _, HttpRequest, HttpResponse, ResponseError as _,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::Error,
    middleware::Next,
    web,
};

use super::{App, callers::Caller, error::ApiError, refusal};

/// The layer of every route that is not public. It stores the caller for the handlers. A caller without
/// a key learns nothing about the API, and its body is not read.
pub(super) async fn require_key(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match identify(request.request()) {
        Ok(_) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
        Err(error) => {
            let response = error_response(request.request(), &error);
            Ok(request.into_response(response))
        }
    }
}

/// The caller of a request, which is stored in the request.
///
/// # Errors
/// If keys are configured and the request has no valid one.
pub(super) fn identify(request: &HttpRequest) -> Result<Caller, ApiError> {
    let app = request.app_data::<web::Data<App>>().ok_or(ApiError::Internal)?;
    let caller = app.callers.identify(request.headers())?;
    request.extensions_mut().insert(caller.clone());
    Ok(caller)
}

/// The caller that [`require_key`] stored.
///
/// # Errors
/// If the route is public, so that nothing was stored.
pub(super) fn caller(request: &HttpRequest) -> Result<Caller, ApiError> {
    request.extensions().get::<Caller>().cloned().ok_or(ApiError::Internal)
}

/// An error in the format of the endpoint.
pub(super) fn error_response(request: &HttpRequest, error: &ApiError) -> HttpResponse {
    let route = request.match_pattern().unwrap_or_default();
    if route.starts_with("/v1/messages") {
        refusal::response(error)
    } else {
        error.error_response()
    }
}
