//! The middleware around every request: its span with its id, its time, its headers, its count.

use std::time::{Duration, Instant};

use actix_web::{
    HttpMessage as _,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    error::Error,
    http::{
        Method,
        header::{HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};

use tracing::Instrument as _;

use super::{
    App, access,
    browsers::{self, CorsRequest, insert},
    callers::Caller,
};
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
    let cors = CorsRequest::new(&request);
    let mut response = if let Err(error) = browsers::check(&app.config, &request) {
        let refusal = access::error_response(request.request(), &error);
        request.into_response(refusal)
    } else if cors.is_preflight {
        request.into_response(cors.preflight())
    } else {
        next.call(request).await?.map_into_boxed_body()
    };
    let route = response.request().match_pattern().unwrap_or_else(|| "unknown".into());
    let (status, time) = (response.status(), start.elapsed());
    app.metrics.count_request(&route, method_label(&method), status.as_str());
    tracing::debug!(route, status = status.as_u16(), took_ms = time.as_millis(), "answered");
    // The route stored the caller, unless it is public.
    let caller = response.request().extensions().get::<Caller>().cloned();
    add_headers(&app, response.headers_mut(), &route, &id, time, caller.as_ref());
    cors.allow(&app.config, response.headers_mut());
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
