//! What is wrong with an endpoint or its settings is one line, before anybody joins.

use super::*;

#[tokio::test]
async fn what_is_wrong_is_found_before_anybody_asks() {
    let complaint = async |models, chat| {
        let endpoint = FakeEndpoint::start(models, chat).await;
        let error = Upstream::connect(&settings(&endpoint)).await.unwrap_err().to_string();
        error.replace(&endpoint.address.to_string(), "HOST")
    };
    let refusal =
        Chat::Status(404, r#"{"error":{"message":"model \"m\" not found, try pulling it first"}}"#);
    assert_eq!(
        complaint((200, r#"{"data":[]}"#), refusal.clone()).await,
        "http://HOST/v1 does not serve m: 404 model \"m\" not found, try pulling it first"
    );
    assert_eq!(
        complaint((404, "no list"), refusal).await,
        "http://HOST/v1 does not serve m: 404 model \"m\" not found, try pulling it first"
    );
    assert_eq!(
        complaint((401, r#"{"error":{"message":"no key"}}"#), Chat::Status(500, "")).await,
        "http://HOST/v1 refuses the key (401): name the variable that holds it with --upstream-key-env"
    );
    assert_eq!(
        complaint((200, "<html>"), Chat::Status(500, "")).await,
        "cannot reach http://HOST/v1: what answers there does not speak the OpenAI API"
    );
}

#[tokio::test]
async fn a_model_that_is_not_listed_is_asked_for_one_token() {
    let answer = r#"{"choices":[{"message":{"content":"x"}}]}"#;
    let endpoint = FakeEndpoint::start((404, ""), Chat::Status(200, answer)).await;
    let upstream = Upstream::connect(&settings(&endpoint)).await.unwrap();
    assert_eq!(endpoint.requests()[0].body["max_tokens"], 1);
    assert_eq!(upstream.model().context, probe::CONTEXT);
}

#[tokio::test]
async fn nobody_at_the_address_is_one_line() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let settings = Settings {
        url,
        model: "m".to_owned(),
        key: Secret::default(),
        name: None,
        tags: Vec::new(),
        context: None,
        judges: false,
        can: Some(Abilities::default()),
    };
    let error = Upstream::connect(&settings).await.unwrap_err();
    assert!(
        matches!(&error, ConnectError::Unreachable { why, .. } if why.contains("refused")),
        "{error}"
    );
}

#[test]
fn a_wrong_url_or_key_is_named() {
    let settings = |url: &str, key: &str| Settings {
        url: url.to_owned(),
        model: "m".to_owned(),
        key: Secret::new(key),
        name: None,
        tags: Vec::new(),
        context: None,
        judges: false,
        can: Some(Abilities::default()),
    };
    for url in ["localhost:8080", "ftp://host", "nonsense", ""] {
        assert!(
            matches!(Transport::new(&settings(url, "")), Err(ConnectError::Url { .. })),
            "{url}"
        );
    }
    let broken_key = settings("http://host", "two\nlines");
    assert!(matches!(Transport::new(&broken_key), Err(ConnectError::Key)));
    assert!(Transport::new(&settings("http://host", "sk-1\n")).is_ok(), "a last newline is usual");
}
