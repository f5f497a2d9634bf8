//! Rounds are stored with both consents only, and the queue is written at the end.

use super::*;
use shoal_consensus::ask::Limits;

async fn store(folder: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(&folder.path().join("s"), 0).await.expect("a new file")
}

fn request(store: bool) -> ChatRequest {
    let body = format!(
        r#"{{"model": "shoal", "store": {store}, "messages": [{{"role": "user", "content": "x"}}]}}"#
    );
    ChatRequest::parse(body.as_bytes(), &Limits::default()).expect("a request")
}

#[tokio::test]
async fn operator_and_client_must_both_consent() {
    let folder = tempfile::tempdir().expect("a folder");
    for (consent, wish, is_stored) in
        [(false, false, false), (false, true, false), (true, false, false), (true, true, true)]
    {
        let config = ExportConfig { consent, ..ExportConfig::default() };
        let (recorder, _round_writer) =
            recorder(&config, store(&folder).await, &Registry::new()).expect("free names");
        assert_eq!(recorder.consent(&request(wish)).is_some(), is_stored, "{consent} {wish}");
    }
}

#[tokio::test]
async fn consent_is_off_by_default() {
    let body = br#"{"model": "shoal", "messages": [{"role": "user", "content": "x"}]}"#;
    let request = ChatRequest::parse(body, &Limits::default()).expect("a request");
    assert!(!request.store && !ExportConfig::default().consent);
}

#[tokio::test]
async fn queued_rounds_are_written_when_the_gateway_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = ExportConfig { consent: true, ..ExportConfig::default() };
    let (recorder, round_writer) =
        recorder(&config, store(&folder).await, &Registry::new()).expect("free names");
    let queue = recorder.queue.clone().expect("consent");
    for n in 0..3 {
        let round = StoredRound { ended_seconds: unix_now(), body: n.to_string() };
        queue.try_send(round).expect("room");
    }
    round_writer.finish().await;
    let path = folder.path().join("s");
    let mut reader = shoal_store::RoundReader::open(&path).await.expect("a file");
    assert_eq!(reader.next(9).await.expect("read"), ["0", "1", "2"]);
    assert_eq!(recorder.rounds.with_label_values(&["kept"]).get(), 3);
}

#[tokio::test]
async fn a_messages_text_is_in_no_debug_output() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = ExportConfig { consent: true, ..ExportConfig::default() };
    let (recorder, _round_writer) =
        recorder(&config, store(&folder).await, &Registry::new()).expect("free names");
    let mut request = request(true);
    request.ask.messages[0].content = "a secret".into();
    let consent = recorder.consent(&request).expect("both consent");
    assert!(!format!("{consent:?}").contains("secret"));
}
