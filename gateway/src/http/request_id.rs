//! The middleware around every request: its span with its id, its time, its headers, its count.

use std::time::{Duration, Instant};

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

use tracing::Instrument as _;

use super::{App, callers::Caller, error::ApiError, messages};
use shoal_api::id;

/// The request's id, which is also in its span, so that a user can report it.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same header for Anthropic's clients.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// The time from the request's head to the answer's head.
const PROCESSING_MS: HeaderName = HeaderName::from_static("openai-processing-ms");
/// OpenAI's constant, which some clients log.
const VERSION: (HeaderName, HeaderValue) =
    (HeaderName::from_static("openai-version"), HeaderValue::from_static("2020-10-01"));

/// The gateway's own headers that a browser may read.
const EXPOSED: &str = "x-request-id, request-id, x-shoal-round, x-shoal-confidence, openai-processing-ms, \
    retry-after, retry-after-ms, x-should-retry, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

/// The outermost layer. All log lines of a request are in its span.
pub(super) async fn around(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let Some(app) = request.app_data::<web::Data<App>>().cloned() else {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    };
    let id = format!("req_{}", id::hex());
    let span = tracing::info_span!("request", request.id = id);
    answer(app, id, request, next).instrument(span).await
}

/// Answers a request and adds the headers.
async fn answer(
    app: web::Data<App>,
    id: String,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let start = Instant::now();
    let method = request.method().clone();
    let cors_headers = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let is_preflight = method == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let caller = app.callers.identify(request.headers());
    let mut response = match &caller {
        _ if is_preflight => request.into_response(HttpResponse::NoContent()),
        // A caller without a key learns nothing of the API, and its body is not read.
        Err(error) if needs_key(request.path()) => refuse(request, error),
        caller => {
            if let Ok(caller) = caller {
                request.extensions_mut().insert(caller.clone());
            }
            next.call(request).await?.map_into_boxed_body()
        }
    };
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".into());
    let (status, time) = (response.status(), start.elapsed());
    app.metrics.count_request(&route, method_label(&method), status.as_str());
    tracing::debug!(route, status = status.as_u16(), took_ms = time.as_millis(), "answered");
    add_headers(&app, response.headers_mut(), &route, &id, time, caller.ok().as_ref());
    if !app.config.cors_origin.is_empty() {
        let cors_headers = cors_headers.filter(|_| is_preflight);
        allow_browsers(response.headers_mut(), &app.config.cors_origin, cors_headers);
    }
    Ok(response)
}

/// Adds the request's id and time, and the caller's limits.
fn add_headers(
    app: &App,
    headers: &mut HeaderMap,
    route: &str,
    id: &str,
    time: Duration,
    caller: Option<&Caller>,
) {
    let caller = caller.filter(|_| route.starts_with("/v1/"));
    let limits = caller.map(|caller| app.admission.headers(caller)).unwrap_or_default();
    for (name, value) in limits {
        if let Ok(name) = HeaderName::try_from(name) {
            insert(headers, name, &value);
        }
    }
    insert(headers, REQUEST_ID, id);
    if route.starts_with("/v1/messages") {
        insert(headers, ANTHROPIC_REQUEST_ID, id);
    }
    insert(headers, PROCESSING_MS, &time.as_millis().to_string());
    headers.insert(VERSION.0, VERSION.1);
}

/// The API needs a key. The list of nodes is public, so that a browser can show it.
fn needs_key(path: &str) -> bool {
    path.starts_with("/v1/") && !path.starts_with("/v1/nodes")
}

/// An error in the format of the endpoint.
fn refuse(request: ServiceRequest, error: &ApiError) -> ServiceResponse<BoxBody> {
    let response = if request.path().starts_with("/v1/messages") {
        messages::error_response(error)
    } else {
        error.error_response()
    };
    request.into_response(response)
}

/// Lets a browser send any header that it asks for. A wildcard would not cover `Authorization`.
///
/// actix-cors is not used: it is a layer of its own with a policy to configure, answers a preflight with
/// 200 where clients of this gateway have seen 204, and these are its ten lines that we need.
fn allow_browsers(headers: &mut HeaderMap, origin: &str, request_headers: Option<HeaderValue>) {
    insert(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    insert(headers, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if let Some(request_headers) = request_headers {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, request_headers);
        insert(headers, header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE, OPTIONS");
        insert(headers, header::ACCESS_CONTROL_MAX_AGE, "600");
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The method as a label of metrics. A client can invent any number of methods.
fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
