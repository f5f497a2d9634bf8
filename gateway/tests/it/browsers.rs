//! CORS: the headers that a browser needs before a page may use the gateway.

use reqwest::Method;

use crate::gateway::{Gateway, ask, node};

#[tokio::test]
async fn a_preflight_allows_what_it_asked_for() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let reply = gateway
        .send(
            gateway.build(Method::OPTIONS, "/v1/chat/completions").headers(
                [
                    ("origin", "http://app.example"),
                    ("access-control-request-method", "POST"),
                    (
                        "access-control-request-headers",
                        "authorization,content-type,x-stainless-lang",
                    ),
                ]
                .into_iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect(),
            ),
        )
        .await;
    assert_eq!(reply.status, 204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    let allow_headers = reply.header("access-control-allow-headers");
    assert_eq!(allow_headers, Some("authorization,content-type,x-stainless-lang"));
    assert!(reply.header("access-control-allow-methods").unwrap().contains("POST"));
}

#[tokio::test]
async fn answers_and_errors_can_be_read_by_a_page() {
    let gateway = Gateway::start([node("digits").says("4")]).await;
    let answer = gateway.post("/v1/chat/completions", &ask("shoal")).await;
    let error = gateway.get("/v1/nothing").await;
    for reply in [answer, error] {
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let expose_headers = reply.header("access-control-expose-headers").unwrap();
        assert!(
            expose_headers.contains("x-request-id") && expose_headers.contains("x-shoal-round")
        );
    }
}

#[tokio::test]
async fn an_operator_can_keep_browsers_out() {
    let gateway = Gateway::with([], |config| config.http.cors_origin = String::new()).await;
    assert_eq!(gateway.get("/v1/models").await.header("access-control-allow-origin"), None);
}
