//! The evaluation against a mock gateway.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod mock;

use shoal_eval::{
    api::{Api, Effort},
    collect::{self, Plan},
    report,
    table::Table,
};

use mock::Mock;
use shoal_syllabus::Split;

const PLAN: Plan = Plan {
    questions: 26,
    seed: 3,
    split: Split::Test,
    effort: Effort { writers: 16, judges: 16, deadline_ms: 10_000, own_temperatures: false },
    concurrency: 4,
    fill: true,
};

#[tokio::test]
async fn every_question_is_asked_recorded_and_counted() {
    let mock = Mock::start(Mock::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("eval/rounds.jsonl");
    let api = Api::new(&mock.base).unwrap();
    let records = collect::collect(&api, PLAN, &path).await.unwrap();
    assert_eq!(records.len(), 26);
    assert!(records.iter().all(|record| record.right && record.failure.is_none()));
    let digests = [("a1", "d1ge57"), ("b2", "d1ge57")];
    let digests = digests.map(|(member, digest)| (member.to_owned(), digest.to_owned())).into();
    assert!(records.iter().all(|record| record.digests == digests), "shared weights are recorded");
    let mut from_file = collect::read(&path).unwrap();
    from_file.sort_by(|x, y| x.question.cmp(&y.question));
    let mut by_question = records.clone();
    by_question.sort_by(|x, y| x.question.cmp(&y.question));
    assert_eq!(from_file, by_question);
    let table = Table::new(&records);
    assert!((accuracy(&table, "the swarm") - 1.0).abs() < 1e-12);
    assert!((accuracy(&table, "knows") - 1.0).abs() < 1e-12);
    assert!(accuracy(&table, "guesses").abs() < 1e-12);
    assert!((accuracy(&table, "oracle") - 1.0).abs() < 1e-12);
    // Two different answers: the first to finish wins, and it is the guess.
    assert!(accuracy(&table, "majority vote").abs() < 1e-12);
    let page = report::markdown(&table, "make eval", "eval.svg");
    assert!(page.contains("| **the swarm** | 100.0 % |"), "{page}");
}

fn accuracy(table: &Table, name: &str) -> f64 {
    table.rows.iter().find(|row| row.name == name).unwrap().accuracy.value
}

#[tokio::test]
async fn a_member_outside_the_round_is_asked_by_name() {
    let mock = Mock::start(Mock { cuts_off: true, ..Mock::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(&mock.base).unwrap();
    let path = folder.path().join("rounds.jsonl");
    let records = collect::collect(&api, PLAN, &path).await.unwrap();
    for record in &records {
        assert_eq!((record.solo_answers.len(), record.rights.len()), (1, 1));
        assert!(record.solo_answers[0].right && !record.right);
    }
    let plan = Plan { fill: false, ..PLAN };
    let records = collect::collect(&api, plan, &path).await.unwrap();
    assert!(records.iter().all(|record| record.solo_answers.is_empty()));
}

#[tokio::test]
async fn a_refused_question_is_wrong_and_has_a_reason() {
    let mock = Mock::start(Mock { refuses: true, ..Mock::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(&mock.base).unwrap();
    let records = collect::collect(&api, PLAN, &folder.path().join("rounds.jsonl")).await.unwrap();
    let reason = records[0].failure.as_deref().unwrap();
    assert!(reason.contains("503") && reason.contains("no candidate in time"), "{reason}");
    let table = Table::new(&records);
    assert_eq!(table.failures, 26);
    assert!(!table.is_met());
}

#[tokio::test]
async fn without_a_gateway_the_error_names_a_remedy() {
    let api = Api::new("http://127.0.0.1:9").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error =
        collect::collect(&api, PLAN, &folder.path().join("rounds.jsonl")).await.unwrap_err();
    let text = format!("{error}");
    assert!(text.contains("no gateway answers at http://127.0.0.1:9") && text.contains("--start"));
}

#[tokio::test]
async fn a_gateway_without_members_is_an_error() {
    let mock = Mock::start(Mock { empty: true, ..Mock::default() }).await;
    let api = Api::new(&mock.base).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let error =
        collect::collect(&api, PLAN, &folder.path().join("rounds.jsonl")).await.unwrap_err();
    assert!(error.to_string().contains("has no members"), "{error}");
}
