//! What web pages may do. A browser sends requests for any page that a person visits, also to this
//! person's own machine, so that a page must not use a gateway on loopback unless the operator lists it.

use std::net::IpAddr;

use actix_web::{
    HttpResponse,
    dev::ServiceRequest,
    http::{
        Method,
        header::{self, HeaderMap, HeaderValue},
    },
};

use super::{config::HttpConfig, error::ApiError};

/// The gateway's own headers that a browser may read.
const EXPOSED_HEADERS: &str = "x-request-id, request-id, x-shoal-round, x-shoal-confidence, openai-processing-ms, \
    x-shoal-cache, retry-after, retry-after-ms, x-should-retry, \
    x-ratelimit-limit-requests, x-ratelimit-remaining-requests, x-ratelimit-reset-requests, \
    x-ratelimit-limit-tokens, x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens";

const METHODS: &str = "GET, HEAD, POST, DELETE, OPTIONS";

/// Checks the addressed host and the page behind a request.
///
/// # Errors
/// If the host is a foreign name, or a page that is not listed sends a request that changes something.
pub(super) fn check(config: &HttpConfig, request: &ServiceRequest) -> Result<(), ApiError> {
    check_host(config, request)?;
    check_origin(config, request)
}

/// A page can point a name of its own at 127.0.0.1 (DNS rebinding). The browser then treats the gateway
/// as a part of this page's site, but it sends the name. An address cannot be pointed anywhere else.
fn check_host(config: &HttpConfig, request: &ServiceRequest) -> Result<(), ApiError> {
    if !is_loopback(config.listen.ip()) && config.hosts.is_empty() {
        return Ok(());
    }
    let hosts = request.headers().get_all(header::HOST);
    let hosts = hosts.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    // A target such as `GET http://host/path`.
    let target = request.uri().authority().map(|authority| authority.as_str().to_owned());
    match hosts.chain(target).find(|host| !is_own_host(config, host)) {
        Some(host) => Err(ApiError::Host(host.chars().take(128).collect())),
        None => Ok(()),
    }
}

fn is_own_host(config: &HttpConfig, host: &str) -> bool {
    let name = host_name(host);
    let is_local = name == "localhost" || name.ends_with(".localhost");
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    is_local || is_address || config.hosts.iter().any(|host| host_name(host) == name)
}

/// The host without its port, in lower case and without the dot of the DNS root.
fn host_name(host: &str) -> String {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    without_port.trim_end_matches('.').to_ascii_lowercase()
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// A page can send a POST without asking first (a form, or a request without a body). Without keys it
/// would be obeyed, although the page cannot read the answer.
fn check_origin(config: &HttpConfig, request: &ServiceRequest) -> Result<(), ApiError> {
    let is_read = [Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
    if is_read || !config.keys.is_empty() {
        return Ok(());
    }
    let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
    let origin = String::from_utf8_lossy(origin.as_bytes());
    if allowed_origin(config, &origin).is_some() || is_same_origin(request, &origin) {
        return Ok(());
    }
    Err(ApiError::Origin(origin.chars().take(128).collect()))
}

/// Whether the page comes from the address that it sends its request to.
fn is_same_origin(request: &ServiceRequest, origin: &str) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.split_once("://").map(|(_, authority)| authority);
    authority.is_some() && authority == host
}

/// The value of `Access-Control-Allow-Origin` for an origin; `None` if it is not listed.
fn allowed_origin<'a>(config: &HttpConfig, origin: &'a str) -> Option<&'a str> {
    if config.cors_origins.iter().any(|page| page == "*") {
        return Some("*");
    }
    config.cors_origins.iter().any(|page| page == origin).then_some(origin)
}

/// What a browser asks in its headers; the answer stands in the headers of the response.
#[derive(Debug)]
pub(super) struct CorsRequest {
    origin: Option<HeaderValue>,
    /// The request only asks whether another one may be sent.
    pub(super) is_preflight: bool,
    headers: Option<HeaderValue>,
    private_network: bool,
}

impl CorsRequest {
    pub(super) fn new(request: &ServiceRequest) -> Self {
        let headers = request.headers();
        Self {
            origin: headers.get(header::ORIGIN).cloned(),
            is_preflight: request.method() == Method::OPTIONS
                && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD),
            headers: headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned(),
            private_network: headers.contains_key("access-control-request-private-network"),
        }
    }

    /// The answer to a preflight: without the headers of [`CorsRequest::allow`] it is a refusal.
    pub(super) fn preflight(&self) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }

    /// Adds the headers that let a listed page read the answer. The answer to a preflight has every
    /// method, and every header that it asks for: a wildcard would not cover `Authorization`.
    ///
    /// actix-cors is not used: it answers a preflight with 200, where clients of this gateway have seen
    /// 204, and configuring it would take as many lines as these.
    pub(super) fn allow(&self, config: &HttpConfig, answer: &mut HeaderMap) {
        if config.cors_origins.is_empty() {
            return;
        }
        // Caches must not give the answer for one page to another.
        let vary = HeaderValue::from_static("origin, access-control-request-headers");
        answer.append(header::VARY, vary);
        let origin = self.origin.as_ref().and_then(|origin| origin.to_str().ok());
        let Some(page) = allowed_origin(config, origin.unwrap_or_default()) else { return };
        insert(answer, header::ACCESS_CONTROL_ALLOW_ORIGIN, page);
        insert(answer, header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if !self.is_preflight {
            return;
        }
        insert(answer, header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        insert(answer, header::ACCESS_CONTROL_MAX_AGE, "600");
        if self.private_network {
            let name = header::HeaderName::from_static("access-control-allow-private-network");
            insert(answer, name, "true");
        }
        if let Some(headers) = &self.headers {
            answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers.clone());
        }
    }
}

/// Sets a header, unless no header can carry the value.
pub(super) fn insert(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_and_addresses_are_own_hosts() {
        let config = HttpConfig { hosts: vec!["Api.Example.com".into()], ..HttpConfig::default() };
        for own in ["localhost", "LOCALHOST.:8080", "x.localhost:1", "127.0.0.1:8080", "[::1]:80"] {
            assert!(is_own_host(&config, own), "{own}");
        }
        assert!(is_own_host(&config, "api.example.com:443"));
        for foreign in
            ["", "x", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
        {
            assert!(!is_own_host(&config, foreign), "{foreign}");
        }
    }
}
