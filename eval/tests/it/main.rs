//! The evaluation against a gateway that is known to the letter.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may end where it finds a surprise"
)]

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
    effort: Effort { writers: 16, judges: 16, deadline_ms: 10_000, as_they_like: false },
    at_once: 4,
    fill: true,
};

#[tokio::test]
async fn every_question_is_asked_kept_and_counted() {
    let mock = Mock::start(Mock::default()).await;
    let folder = tempfile::tempdir().unwrap();
    let keep = folder.path().join("eval/rounds.jsonl");
    let api = Api::new(&mock.base).unwrap();
    let asked = collect::collect(&api, PLAN, &keep).await.unwrap();
    assert_eq!(asked.len(), 26);
    assert!(asked.iter().all(|one| one.right && one.failure.is_none()));
    let kin = [("a1", "d1ge57"), ("b2", "d1ge57")];
    let kin = kin.map(|(member, digest)| (member.to_owned(), digest.to_owned())).into();
    assert!(asked.iter().all(|one| one.kin == kin), "who shares weights is kept");
    let mut kept = collect::read(&keep).unwrap();
    kept.sort_by(|x, y| x.question.cmp(&y.question));
    let mut sorted = asked.clone();
    sorted.sort_by(|x, y| x.question.cmp(&y.question));
    assert_eq!(kept, sorted);
    let table = Table::of(&asked);
    let accuracy =
        |name: &str| table.rows.iter().find(|row| row.name == name).unwrap().accuracy.value;
    assert!((accuracy("the swarm") - 1.0).abs() < 1e-12);
    assert!((accuracy("knows") - 1.0).abs() < 1e-12);
    assert!(accuracy("guesses").abs() < 1e-12);
    assert!((accuracy("oracle") - 1.0).abs() < 1e-12);
    // One of two: the tie goes to who finished first, and that is the one that guesses.
    assert!(accuracy("majority vote").abs() < 1e-12);
    let page = report::markdown(&table, "make eval", "eval.svg");
    assert!(page.contains("| **the swarm** | 100.0 % |"), "{page}");
}

#[tokio::test]
async fn a_member_that_a_round_did_without_is_asked_by_name() {
    let mock = Mock::start(Mock { cuts_off: true, ..Mock::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(&mock.base).unwrap();
    let keep = folder.path().join("rounds.jsonl");
    let asked = collect::collect(&api, PLAN, &keep).await.unwrap();
    assert!(asked.iter().all(|one| one.alone.len() == 1 && one.rights.len() == 1));
    assert!(asked.iter().all(|one| one.alone[0].right && !one.right));
    let plan = Plan { fill: false, ..PLAN };
    let asked = collect::collect(&api, plan, &keep).await.unwrap();
    assert!(asked.iter().all(|one| one.alone.is_empty()));
}

#[tokio::test]
async fn a_refused_ask_is_wrong_and_says_why() {
    let mock = Mock::start(Mock { refuses: true, ..Mock::default() }).await;
    let folder = tempfile::tempdir().unwrap();
    let api = Api::new(&mock.base).unwrap();
    let asked = collect::collect(&api, PLAN, &folder.path().join("rounds.jsonl")).await.unwrap();
    let why = asked[0].failure.as_deref().unwrap();
    assert!(why.contains("503") && why.contains("no candidate in time"), "{why}");
    let table = Table::of(&asked);
    assert_eq!(table.failures, 26);
    assert!(!table.met());
}

#[tokio::test]
async fn without_a_gateway_one_error_says_what_to_do() {
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
