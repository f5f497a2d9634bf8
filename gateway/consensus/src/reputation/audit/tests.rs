//! Tests of audits.

use proptest::prelude::*;

use super::*;
use crate::reputation::{Beta, Settings as ReputationSettings};

fn kind() -> KindId {
    KindId::new("add")
}

/// A member that knows its kind, judges well and has enough confirmed claims.
fn trusted_member() -> Record {
    Record {
        kinds: [(kind(), Beta { a: 30.0, b: 1.0 })].into(),
        judge: Beta { a: 80.0, b: 10.0 },
        claims_count: true,
        audits: Audits { claims: 3, ..Audits::default() },
        ..Record::default()
    }
}

fn claim(finding: Finding, auditor: Auditor) -> AuditResult {
    AuditResult::Claim { finding, auditor }
}

fn after_all(record: &Record, audits: &[AuditResult]) -> Record {
    audits
        .iter()
        .fold(record.clone(), |record, audit| after(&record, audit, &ReputationSettings::default()))
}

#[test]
fn a_claim_counts_once_three_were_confirmed() {
    let confirmation = claim(Finding::Confirmed, Auditor::InRound);
    let two = after_all(&Record::default(), &[confirmation.clone(), confirmation.clone()]);
    assert!(!two.claims_count);
    assert!(after_all(&two, &[confirmation]).claims_count);
}

#[test]
fn the_exam_alone_never_makes_claims_count() {
    let member =
        after_all(&Record::default(), &vec![claim(Finding::Confirmed, Auditor::InExam); 20]);
    assert!(!member.claims_count);
    assert!(after_all(&member, &[claim(Finding::Confirmed, Auditor::InRound)]).claims_count);
}

#[test]
fn a_refuted_claim_is_caught_and_starts_over() {
    for auditor in [Auditor::InExam, Auditor::InRound] {
        let record = after_all(&trusted_member(), &[claim(Finding::Refuted, auditor)]);
        assert_eq!(record, trusted_member().caught());
        assert!(!record.claims_count && record.on_probation(&ReputationSettings::default()));
    }
}

#[test]
fn another_members_word_takes_the_belief_but_catches_nobody() {
    let record = after_all(&trusted_member(), &[claim(Finding::Refuted, Auditor::Member)]);
    assert_eq!((record.caught, record.claims_count), (0, false));
}

#[test]
fn who_always_claims_too_little_is_never_believed() {
    let short = claim(Finding::Short, Auditor::InRound);
    let (once, often) = (
        after_all(&trusted_member(), std::slice::from_ref(&short)),
        after_all(&trusted_member(), &vec![short; 9]),
    );
    assert_eq!((once.claims_count, often.audits.claims, often.caught), (false, 0, 0));
}

#[test]
fn rounding_is_forgiven_and_half_a_nat_is_not() {
    let settings = Settings::default();
    assert_eq!(compare(-3.0, -3.05, 20, &settings), Finding::Confirmed);
    assert_eq!(compare(-3.0, -3.5, 20, &settings), Finding::Refuted);
    assert_eq!(compare(-3.5, -3.0, 20, &settings), Finding::Short);
    assert_eq!(compare(-0.0001, f64::NAN, 20, &settings), Finding::Refuted);
}

#[test]
fn one_that_stops_knowing_what_it_knew_is_caught_within_a_few_audits() {
    let wrong = AuditResult::Wrote { kind: kind(), right: false };
    let four = after_all(&trusted_member(), &vec![wrong.clone(); 3]);
    assert_eq!(four.caught, 0, "three mistakes happen");
    assert_eq!(after_all(&four, &vec![wrong; 3]).caught, 1);
    let mistake = AuditResult::Judged { right: false };
    assert_eq!(after_all(&trusted_member(), &vec![mistake; 8]).caught, 1);
}

#[test]
fn nobody_is_caught_for_what_it_never_knew() {
    let record = Record { kinds: [(kind(), Beta { a: 1.0, b: 30.0 })].into(), ..trusted_member() };
    let wrong = AuditResult::Wrote { kind: kind(), right: false };
    assert_eq!(after_all(&record, &vec![wrong; 500]).caught, 0);
}

#[test]
fn a_member_as_good_as_its_record_is_left_in_peace() {
    // Nine of ten, as its record has it, in any order that is not malicious.
    let record = Record { kinds: [(kind(), Beta { a: 91.0, b: 11.0 })].into(), ..trusted_member() };
    let audits: Vec<AuditResult> =
        (0..2_000).map(|n| AuditResult::Wrote { kind: kind(), right: n * 7 % 10 != 0 }).collect();
    let record = after_all(&record, &audits);
    assert_eq!((record.caught, record.audits.writer.seen), (0, 2_000));
}

#[test]
fn audits_grow_rare_and_never_stop_and_suspicion_brings_them_back() {
    let settings = Settings::default();
    assert!((HiddenAudits::default().probability(&settings) - 0.5).abs() < 1e-9);
    let calm = HiddenAudits { seen: 60, alarm: 0.0 };
    assert!((0.02..0.021).contains(&calm.probability(&settings)));
    assert!((HiddenAudits { alarm: 2.0, ..calm }.probability(&settings) - 0.5).abs() < 1e-9);
    let audits = Audits { claims: 2, ..Audits::default() };
    assert!((audits.claim_probability(&settings) - 0.5).abs() < 1e-9);
}

proptest! {
    #[test]
    fn an_alarm_is_a_number_that_is_not_negative(rights in proptest::collection::vec(any::<bool>(), 0..60), a in 1f64..1e6, b in 1f64..1e6) {
        let mut record = Record { kinds: [(kind(), Beta { a, b })].into(), ..Record::default() };
        for right in rights {
            record = after(&record, &AuditResult::Wrote { kind: kind(), right }, &ReputationSettings::default());
            prop_assert!(record.audits.writer.alarm >= 0.0 && record.audits.writer.alarm < 9.0);
        }
    }
}
