//! Around every request: its id, its time, what browsers need, and its count.

use std::time::Instant;

use actix_web::{
    HttpMessage as _, HttpResponse, ResponseError as _,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::Error,
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use super::{App, error::ApiError, messages};
use shoal_api::id;

/// Names a request in the answer's header and in the log, so that a user can point at one.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same for Anthropic's clients.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Time from the request's head to the answer's head.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
/// OpenAI's constant; some clients log it.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("openai-version"), HeaderValue::from_static("2020-10-01"));

/// Headers of ours that a browser may read.
const EXPOSED: &str = "x-request-id, request-id, x-shoal-round, openai-processing-ms, \
    retry-after, retry-after-ms, x-should-retry, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// The outermost layer.
pub(super) async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let (started, id) = (Instant::now(), format!("req_{}", id::hex()));
    let (method, origin) = (request.method().clone(), app.config.cors_origin.clone());
    let wanted = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();

    let preflight = method == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let caller = app.callers.identify(request.headers());
    let mut response = match &caller {
        _ if preflight => request.into_response(HttpResponse::NoContent()),
        // Before the body is read, and before anybody hears what there is.
        Err(error) if needs_key(request.path()) => refused(request, error),
        caller => {
            if let Ok(caller) = caller {
                request.extensions_mut().insert(caller.clone());
            }
            next.call(request).await?.map_into_boxed_body()
        }
    };

    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".into());
    let status = response.status();
    app.metrics.answered(&route, known(&method), status.as_str());
    let took = started.elapsed();
    tracing::debug!(
        request.id = id,
        route,
        status = status.as_u16(),
        took_ms = took.as_millis(),
        "answered"
    );

    let limited = caller.ok().filter(|_| route.starts_with("/v1/"));
    let limited = limited.map(|caller| app.admission.headers(&caller));
    let headers = response.headers_mut();
    for (name, value) in limited.into_iter().flatten() {
        if let Ok(name) = HeaderName::try_from(name) {
            insert(headers, name, &value);
        }
    }
    insert(headers, REQUEST_ID, &id);
    if route.starts_with("/v1/messages") {
        insert(headers, ANTHROPIC_REQUEST_ID, &id);
    }
    insert(headers, PROCESSING_MS, &took.as_millis().to_string());
    headers.insert(VERSION.0, VERSION.1);
    if !origin.is_empty() {
        allow_browsers(headers, &origin, preflight.then_some(wanted).flatten());
    }
    Ok(response)
}

/// Who may ask is the API's business; who is in the swarm everybody may see, in a browser too.
fn needs_key(path: &str) -> bool {
    path.starts_with("/v1/") && !path.starts_with("/v1/nodes")
}

/// In the shape of the door that was knocked at.
fn refused(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    let response = if request.path().starts_with("/v1/messages") {
        messages::refused(error)
    } else {
        error.error_response()
    };
    request.into_response(response)
}

/// A browser may send any header it asks for: a wildcard would not cover `Authorization`.
fn allow_browsers(headers: &mut HeaderMap, origin: &str, wanted: Option<HeaderValue>) {
    insert(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    insert(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(wanted) = wanted {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        insert(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS");
        insert(headers, header::ACCESS_CONTROL_MAX_AGE, "600");
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The method as a label; a client can invent methods without end.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
