//! Tests of records and standings.

use super::*;

const DAY: u64 = 86_400;

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn answer(right: bool) -> Observation {
    Observation::Gold { kind: None, observation: GoldObservation::Answered { right } }
}

fn answer_on(kind: &str, right: bool) -> Observation {
    Observation::Gold {
        kind: Some(KindId::new(kind)),
        observation: GoldObservation::Answered { right },
    }
}

fn pairwise(p: f64, is_flip: bool) -> Observation {
    Observation::Gold { kind: None, observation: pairwise_seen(p, is_flip, ComparisonMode::Direct) }
}

fn pairwise_seen(p: f64, is_flip: bool, mode: ComparisonMode) -> GoldObservation {
    GoldObservation::Pairwise { p, flipped: is_flip, item: 0, mode }
}

fn sum(logprob: f64) -> Likelihood {
    Likelihood { logprob, bytes: 1 }
}

fn score(logprob: f64, right: bool) -> Observation {
    Observation::Gold {
        kind: None,
        observation: GoldObservation::Score { text: sum(logprob), right, item: 0 },
    }
}

fn certainty(logprob: f64, right: bool) -> Observation {
    Observation::Gold {
        kind: None,
        observation: GoldObservation::Certainty { claim: sum(logprob), right, item: 0 },
    }
}

fn after(observations: &[Observation]) -> Record {
    learn(&Record::default(), observations, 1_000, &Settings::default())
}

fn standing(records: Vec<Record>) -> Standing {
    let records = (0..).map(id).zip(records).collect();
    Standing::new(records, KindModel::default(), Settings::default())
}

/// What the gold of a judge makes of this likelihood of a single candidate.
fn opinion(standing: &Standing, judge: NodeId, logprob: f64) -> f64 {
    standing.opinions(&judge, &[vec![sum(logprob)]])[0].unwrap_or_default().gold
}

#[test]
fn an_easy_question_is_not_taken_for_a_right_answer() {
    // Right answers to hard questions are less likely than wrong ones to easy questions, but within each
    // question the right one is the likelier.
    let scores = (1..120).flat_map(|item| {
        let level = if item % 3 == 0 { -0.5 } else { -40.0 };
        let right = item % 3 != 0;
        [(level, right), (1.8 * level, !right && item % 6 != 3), (2.0 * level, false)].map(
            |(logprob, right)| {
                let score = GoldObservation::Score { text: sum(logprob), right, item };
                Observation::Gold { kind: None, observation: score }
            },
        )
    });
    let record = Record {
        gold_seen: 99,
        writer: Beta { a: 9.0, b: 2.0 },
        ..after(&scores.collect::<Vec<_>>())
    };
    let standing = standing(vec![record]);
    let opinions = standing.opinions(&id(0), &[vec![sum(-10.0)], vec![sum(-20.0)], Vec::new()]);
    let odds: Vec<f64> = opinions.iter().flatten().map(|opinion| opinion.gold).collect();
    assert!(odds[0] > odds[1] + 0.3, "{odds:?}");
    assert_eq!(odds.len(), 2);
}

#[test]
fn a_stranger_weighs_nothing() {
    let standing = standing(vec![Record::default()]);
    for node in [id(0), id(9)] {
        assert!(standing.writer_weight(&node) < 1e-9);
        assert!(standing.judge_weight(&node).abs() < 1e-9);
        assert!(opinion(&standing, node, -0.1).abs() < 1e-9);
        assert_eq!(standing.certainty_log_odds(&node, sum(-0.1)), None);
        assert!(standing.on_probation(&node));
    }
}

#[test]
fn gold_counts_five_times_the_crowd() {
    let gold = after(&[answer(true)]);
    let crowd = after(&vec![Observation::Crowd(CrowdObservation::Wrote { agreement: true }); 4]);
    assert!(gold.writer.mean() > crowd.writer.mean());
}

fn preferences(share: f64, rounds: usize) -> Vec<Observation> {
    vec![Observation::Crowd(CrowdObservation::Preferred { share }); rounds]
}

/// A member that has passed its probation.
fn member(observations: Vec<Observation>) -> Record {
    Record { gold_seen: 20, ..after(&observations) }
}

#[test]
fn comparisons_say_what_is_expected_of_a_writer_until_gold_does() {
    let standing = standing(vec![
        member(preferences(0.8, 40)),
        member(preferences(0.2, 40)),
        member(preferences(0.8, 2)),
        member([preferences(0.2, 40), vec![answer(true); 40]].concat()),
        member([preferences(0.8, 40), vec![answer(false); 40]].concat()),
        after(&preferences(0.8, 40)),
    ]);
    let odds: Vec<f64> = (0..6).map(|n| standing.preferred_log_odds(&id(n))).collect();
    assert!(odds[0] > 0.9 && (odds[0] + odds[1]).abs() < 1e-9, "{odds:?}");
    assert!(odds[2] > 0.2 && odds[2] < 0.6 * odds[0], "few rounds say less: {odds:?}");
    assert!(odds[3].abs() < 0.2 && odds[4].abs() < 0.2, "gold outweighs it: {odds:?}");
    assert_eq!(odds[5], 0.0, "nothing is taken for granted of one on probation");
    let record = after(&preferences(f64::NAN, 3));
    assert_eq!(record.preferred.mean(), 0.5);
}

#[test]
fn a_month_of_silence_leads_back_to_the_prior() {
    let record = after(&vec![answer(true); 100]);
    let later = learn(&record, &[], 1_000 + 30 * DAY, &Settings::default());
    assert!(later.writer.observations() < record.writer.observations() / 30.0);
}

#[test]
fn what_was_seen_counts_half_after_five_hundred_observations() {
    let once = after(&[answer(true)]);
    let wrong = vec![Observation::Crowd(CrowdObservation::Wrote { agreement: false }); 500];
    let later = learn(&once, &wrong, 1_000, &Settings::default());
    assert!((2.0 * (later.writer.a - 1.0) - (once.writer.a - 1.0)).abs() < 1e-9);
}

#[test]
fn a_clock_that_goes_backwards_changes_nothing() {
    let record = after(&vec![answer(true); 10]);
    assert_eq!(learn(&record, &[], 0, &Settings::default()), record);
}

#[test]
fn what_is_remembered_is_bounded() {
    let record = after(&vec![score(-1.0, true); 1_000]);
    assert_eq!(record.scores.len(), Settings::default().keep);
}

#[test]
fn a_judge_that_is_always_wrong_is_informative_with_a_negative_sign() {
    let wrong = after(&vec![pairwise(0.05, false); 40]);
    let random = after(&vec![pairwise(0.5, true); 40]);
    let right = after(&vec![pairwise(0.95, false); 40]);
    let records =
        [wrong, random, right].map(|record| Record { writer: Beta { a: 9.0, b: 3.0 }, ..record });
    let standing = standing(records.to_vec());
    assert!(
        standing.discrimination(&id(0), ComparisonMode::Direct, &KindPosterior::default()) < -0.8
    );
    assert!(
        standing.discrimination(&id(2), ComparisonMode::Direct, &KindPosterior::default()) > 0.8
    );
    assert!((standing.judge_weight(&id(0)) - standing.judge_weight(&id(2))).abs() < 1e-6);
    // What its flips leave of its word counts for a twentieth at most.
    assert!(standing.judge_weight(&id(1)) < 0.05);
    assert!(
        standing.discrimination(&id(1), ComparisonMode::Direct, &KindPosterior::default()).abs()
            < 0.5
    );
}

#[test]
fn five_gold_pairs_weigh_like_five() {
    let five = after(&vec![pairwise(0.0, false); 5]);
    let fifty = after(&vec![pairwise(0.0, false); 50]);
    let standing = standing(vec![five, fifty]);
    assert!(
        standing.discrimination(&id(0), ComparisonMode::Direct, &KindPosterior::default())
            > standing.discrimination(&id(1), ComparisonMode::Direct, &KindPosterior::default())
                + 0.5
    );
}

#[test]
fn flips_alone_lower_a_judge_without_any_gold() {
    let steady = vec![
        Observation::Crowd(CrowdObservation::Compared {
            flipped: false,
            mode: ComparisonMode::Direct
        });
        50
    ];
    let shaky = vec![
        Observation::Crowd(CrowdObservation::Compared {
            flipped: true,
            mode: ComparisonMode::Direct
        });
        50
    ];
    let standing = standing(vec![after(&steady), after(&shaky)]);
    assert!(
        standing.discrimination(&id(0), ComparisonMode::Direct, &KindPosterior::default()) > 1.0
    );
    assert!(
        standing.discrimination(&id(1), ComparisonMode::Direct, &KindPosterior::default()) < 0.5
    );
}

#[test]
fn certainty_counts_only_for_those_whose_claim_can_be_checked() {
    let mut observations = Vec::new();
    for i in 0..40 {
        let right = i % 2 == 0;
        observations.extend([answer(right), certainty(if right { -0.1 } else { -8.0 }, right)]);
    }
    let upstream = after(&observations);
    let member = Record { claims_count: true, ..upstream.clone() };
    let standing = standing(vec![upstream, member]);
    assert_eq!(standing.certainty_log_odds(&id(0), sum(-0.1)), None);
    assert!(standing.certainty_log_odds(&id(1), sum(-0.1)).is_some_and(|odds| odds > 1.5));
    assert!(standing.certainty_log_odds(&id(1), sum(-8.0)).is_some_and(|odds| odds < -1.5));
}

#[test]
fn no_source_exceeds_the_clip() {
    let observations: Vec<Observation> =
        (0..256).map(|i| score(if i % 2 == 0 { -0.001 } else { -300.0 }, i % 2 == 0)).collect();
    let record = Record { gold_seen: 99, writer: Beta { a: 9.0, b: 2.0 }, ..after(&observations) };
    let standing = standing(vec![record]);
    for logprob in [0.0, -1e300, f64::NEG_INFINITY, f64::NAN] {
        assert!(opinion(&standing, id(0), logprob).abs() <= 6.0);
    }
}

#[test]
fn who_was_caught_starts_over_with_a_longer_way() {
    let settings = Settings::default();
    let good = after(&vec![answer(true); 20]);
    assert!(!good.on_probation(&settings));
    let again = learn(&good.caught(), &vec![answer(true); 199], 2_000, &settings);
    assert!(again.on_probation(&settings));
    assert!(!learn(&again, &[answer(true)], 2_001, &settings).on_probation(&settings));
}

#[test]
fn accuracy_is_looked_up_by_kind_and_shrunk_to_the_whole() {
    let mut observations = vec![answer_on("dates", true); 30];
    observations.extend(vec![answer_on("add", false); 30]);
    let standing = standing(vec![after(&observations)]);
    let [dates, add, unknown] = ["dates", "add", "never seen"]
        .map(|kind| standing.writer_log_odds(&id(0), &KindPosterior::certain(KindId::new(kind))));
    assert!(dates > 2.0 && add < -2.0);
    assert!(unknown.abs() < 0.3);
}

#[test]
fn who_was_caught_belongs_to_the_same_operator() {
    let provenance = Provenance { operator: "ada".to_owned(), ..Provenance::default() };
    let ada = Record { provenance, ..Record::default() };
    assert_eq!(ada.caught().provenance.operator, "ada");
}

#[test]
fn a_stored_record_from_before_audits_reads_as_unaudited() {
    let old = "{\"gold_seen\": 40, \"claims_count\": true}";
    let record: Record = serde_json::from_str(old).expect("read");
    assert_eq!(record.audits, Audits::default());
}

#[test]
fn a_record_survives_being_stored() {
    let record = after(&[answer_on("add", true), pairwise(0.7, true), score(-3.0, false)]);
    let json = serde_json::to_string(&record).expect("JSON");
    assert_eq!(serde_json::from_str::<Record>(&json).expect("read"), record);
    assert_eq!(serde_json::from_str::<Record>("{}").expect("empty"), Record::default());
}
