//! What web pages may do: CORS, foreign hosts and pages that send without asking first.

use reqwest::Method;

use crate::gateway::{Gateway, Reply, ask, node};

const CHAT: &str = "/v1/chat/completions";
const PAGE: &str = "https://app.example.com";

/// A gateway that one page may use.
async fn listing(origin: &str) -> Gateway {
    Gateway::with([node("digits").says("4")], |config| {
        config.http.cors_origins = vec![origin.to_owned()];
    })
    .await
}

/// Asks whether a page may send a request.
async fn preflight(
    gateway: &Gateway,
    origin: &str,
    method: &str,
    path: &str,
    headers: Option<&str>,
) -> Reply {
    let request = gateway.build(Method::OPTIONS, path).header("origin", origin);
    let request = request.header("access-control-request-method", method);
    let request = match headers {
        Some(headers) => request.header("access-control-request-headers", headers),
        None => request,
    };
    gateway.send(request).await
}

#[tokio::test]
async fn every_preflight_of_a_listed_page_is_answered_with_what_it_asked_for() {
    let headers = "authorization,content-type,x-stainless-lang";
    for (page, origin) in [("*", "*"), (PAGE, PAGE)] {
        let gateway = listing(page).await;
        for (method, path, headers) in [
            ("POST", CHAT, Some(headers)),
            ("GET", "/v1/models", Some("authorization")),
            ("DELETE", "/v1/responses/resp_1", None),
            ("POST", "/v1/responses/resp_1/cancel", None),
        ] {
            let reply = preflight(&gateway, PAGE, method, path, headers).await;
            assert_eq!(reply.status, 204);
            assert_eq!(reply.header("access-control-allow-origin"), Some(origin));
            assert_eq!(reply.header("access-control-allow-headers"), headers);
            let methods = reply.header("access-control-allow-methods").unwrap();
            assert!(methods.contains(method), "{methods}");
        }
    }
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_a_listed_page_and_by_no_other() {
    let gateway = listing(PAGE).await;
    for (origin, allowed_origin) in
        [(PAGE, Some(PAGE)), ("https://evil.example", None), ("null", None)]
    {
        let paths = ["/v1/models", "/v1/nothing", "/v1/rounds/x", "/healthz"];
        for path in paths {
            let request = gateway.build(Method::GET, path).header("origin", origin);
            let reply = gateway.send(request).await;
            assert_eq!(
                reply.header("access-control-allow-origin"),
                allowed_origin,
                "{origin} {path}"
            );
            assert!(reply.header("vary").unwrap().contains("origin"));
            let header_names = reply.header("access-control-expose-headers");
            assert_eq!(
                header_names.is_some_and(|names| names.contains("x-shoal-round")),
                allowed_origin.is_some()
            );
        }
    }
}

#[tokio::test]
async fn no_page_is_let_in_by_default() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let reply = preflight(&gateway, PAGE, "POST", CHAT, Some("content-type")).await;
    assert!(reply.header("access-control-allow-origin").is_none());
    assert!(reply.header("access-control-allow-headers").is_none());
    let answer = gateway.post(CHAT, &ask("shoal")).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, None));
}

#[tokio::test]
async fn a_foreign_page_cannot_send_what_needs_no_preflight() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let gateway_origin = format!("http://{}", gateway.address());
    for (origin, path, status) in [
        ("https://evil.example", CHAT, 403),
        ("null", CHAT, 403),
        ("https://evil.example", "/v1/responses/resp_1/cancel", 403),
        (gateway_origin.as_str(), "/v1/responses/resp_1/cancel", 404),
    ] {
        let body = ask("shoal").to_string();
        let request = gateway.build(Method::POST, path).header("origin", origin);
        let request = request.header("content-type", "application/json").body(body);
        assert_eq!(gateway.send(request).await.status, status, "{origin} {path}");
    }
    assert_eq!(gateway.start_count(), 0);
    // What a form or a script can send without asking first.
    for kind in [None, Some("text/plain"), Some("application/x-www-form-urlencoded")] {
        let request = gateway.build(Method::POST, CHAT).body(ask("shoal").to_string());
        let request = match kind {
            Some(kind) => request.header("content-type", kind),
            None => request,
        };
        let reply = gateway.send(request).await;
        assert_eq!(reply.status, 415, "{kind:?}");
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("application/json"), "{message}");
        assert!(message.contains(kind.unwrap_or("Missing")), "{message}");
    }
    assert_eq!(gateway.start_count(), 0);
}

#[tokio::test]
async fn a_name_that_is_not_ours_is_refused_on_loopback() {
    let gateway = Gateway::with([], |config| {
        config.http.hosts = vec!["shoal.example.com".to_owned()];
    })
    .await;
    for (host, status) in [
        ("rebound.evil.example:8080", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost:8080", 200),
        ("Shoal.Example.Com", 200),
        ("192.168.0.7:8080", 200),
    ] {
        for path in ["/v1/models", "/v1/nodes", "/metrics", "/healthz"] {
            let request = gateway.build(Method::GET, path).header("host", host);
            assert_eq!(gateway.send(request).await.status, status, "{host} {path}");
        }
    }
}
