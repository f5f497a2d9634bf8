//! The HTTP client under async-openai, with limits: no retries behind the swarm's back, no body
//! without a bound, and refusals kept as they were said.

use async_openai::{
    Client, config::OpenAIConfig, error::OpenAIError, middleware::HttpRequestFactory,
};
use futures_util::{FutureExt, future::BoxFuture};
use http_body_util::{BodyExt, Limited};
use reqwest::{Body, Response};
use tower::service_fn;

use super::{CONNECT, ConnectError, FIRST_BYTE, Settings, fault::Refusal};

/// All chunks of one answer; about 300 bytes of JSON around each token of a very long one.
const BODY_MAX: usize = 16 << 20;

/// A refusal is a few lines.
const REFUSAL_MAX: usize = 64 << 10;

/// A client for the settings' endpoint.
pub(super) fn client(settings: &Settings) -> Result<Client<OpenAIConfig>, ConnectError> {
    let config = OpenAIConfig::new()
        .with_api_base(base(&settings.url)?)
        .with_api_key(key(settings.key.expose())?)
        .with_org_id("")
        .with_project_id("");
    let http = reqwest::Client::builder()
        .connect_timeout(CONNECT)
        .build()
        .map_err(|error| ConnectError::Client(error.to_string()))?;
    let service = service_fn({
        let http = http.clone();
        move |request| send(http.clone(), request)
    });
    Ok(Client::build(http, config).with_http_service(service))
}

fn send(
    http: reqwest::Client,
    request: HttpRequestFactory,
) -> BoxFuture<'static, Result<Response, OpenAIError>> {
    async move {
        let response = http.execute(request.build().await?).await?;
        if response.status().is_success() {
            return Ok(limit_body(response));
        }
        let status = response.status().as_u16();
        let body = Limited::new(Body::from(response), REFUSAL_MAX).collect();
        let body = tokio::time::timeout(FIRST_BYTE, body).await;
        let body = body.ok().and_then(Result::ok).map(|body| body.to_bytes()).unwrap_or_default();
        Err(OpenAIError::Boxed(Box::new(Refusal::body(status, &body))))
    }
    .boxed()
}

fn limit_body(response: Response) -> Response {
    let (head, body) = hyper::http::Response::<Body>::from(response).into_parts();
    let body = Body::wrap(Limited::new(body, BODY_MAX));
    Response::from(hyper::http::Response::from_parts(head, body))
}

/// The base URL without a last slash; `/v1` where it has no path.
fn base(url: &str) -> Result<String, ConnectError> {
    let bad = |why: &str| ConnectError::Url { url: url.to_owned(), why: why.to_owned() };
    let base = reqwest::Url::parse(url).map_err(|error| bad(&error.to_string()))?;
    if !matches!(base.scheme(), "http" | "https") || base.host().is_none() {
        return Err(bad("it does not begin with http:// or https://"));
    }
    if base.path() == "/" {
        return Ok(format!("{}/v1", url.trim_end_matches('/')));
    }
    Ok(url.trim_end_matches('/').to_owned())
}

/// async-openai panics on a key that no header can hold.
fn key(key: Option<&str>) -> Result<String, ConnectError> {
    let key = key.unwrap_or_default().trim();
    if key.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(key.to_owned())
    } else {
        Err(ConnectError::Key)
    }
}
