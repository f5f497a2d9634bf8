//! What the evidence about a candidate promises.

use std::{collections::BTreeMap, time::Duration};

use shoal_proto::{NodeId, generate::Finish};

use super::*;
use crate::{
    ballot::CastBallot,
    reputation::{
        Beta, KindModel, KindPosterior, Likelihood, Provenance, Record, Sample,
        Settings as Reputation, Standing,
    },
    settings::RoundSettings,
};

fn id(n: u8) -> NodeId {
    NodeId([n; 32])
}

fn candidate(writer: u8, pool: usize, logprob: f64) -> Candidate {
    Candidate {
        writer: id(writer),
        model: String::new(),
        text: String::new(),
        tool_calls: Vec::new(),
        tokens: Vec::new(),
        finish: Finish::Stop,
        prompt_tokens: 0,
        completion_tokens: 0,
        cached_tokens: 0,
        reasoning_tokens: 0,
        logprob: Some(logprob),
        took: Duration::ZERO,
        first_piece: Duration::ZERO,
        pool,
    }
}

fn answer(writer: u8, pool: usize, text: &str, claim: f64) -> Candidate {
    Candidate { text: text.into(), ..candidate(writer, pool, claim) }
}

fn scores(judge: u8, scores: &[(usize, f64)]) -> CastBallot {
    let scores = scores.iter().map(|(candidate, logprob)| CandidateScore {
        candidate: *candidate,
        logprob: *logprob,
        tokens: 9,
    });
    CastBallot {
        judge: id(judge),
        model: String::new(),
        reasoned: false,
        verdicts: Verdicts::Scores(scores.collect()),
        prompt_tokens: 0,
        took: Duration::ZERO,
    }
}

/// A member whose likelihoods told right from wrong on gold.
fn informative_judge() -> Record {
    let samples = (0..100).map(|i| {
        let right = i % 2 == 0;
        let noise = f64::from(i % 10) * 0.1;
        let logprob = if right { -0.1 - noise } else { -9.0 - 10.0 * noise };
        Sample { text: Likelihood { logprob, bytes: 9 }, right, item: 0 }
    });
    Record {
        writer: Beta { a: 50.0, b: 50.0 },
        certainty: samples.clone().collect(),
        scores: samples.collect(),
        claims_count: true,
        gold_seen: 100,
        ..Record::default()
    }
}

/// A member whose likelihoods told nothing on gold: always certain, right half of the time.
fn random_judge() -> Record {
    let text = Likelihood { logprob: -0.01, bytes: 9 };
    let samples = (0..100).map(|i| Sample { text, right: i % 2 == 0, item: 0 });
    Record {
        certainty: samples.clone().collect(),
        scores: samples.collect(),
        ..informative_judge()
    }
}

fn standing(records: impl IntoIterator<Item = (u8, Record)>) -> Standing {
    let records: BTreeMap<_, _> = records.into_iter().map(|(n, record)| (id(n), record)).collect();
    Standing::new(records, KindModel::default(), Reputation::default())
}

fn evidence(candidates: &[Candidate], ballots: &[CastBallot], standing: &Standing) -> Vec<Parts> {
    evidence_with(candidates, ballots, standing, &RoundSettings::default())
}

fn evidence_with(
    candidates: &[Candidate],
    ballots: &[CastBallot],
    standing: &Standing,
    config: &RoundSettings,
) -> Vec<Parts> {
    let kind = KindPosterior::default();
    Tally { candidates, ballots, standing, kind: &kind, config }.evidence()
}

#[test]
fn who_is_certain_on_good_grounds_is_believed() {
    let standing = standing([(1, informative_judge()), (2, informative_judge())]);
    let parts = evidence(&[candidate(1, 0, -0.1), candidate(2, 1, -20.0)], &[], &standing);
    assert!(parts[0].total() > parts[1].total() + 4.0, "{parts:?}");
}

#[test]
fn a_liar_that_always_claims_certainty_gains_nothing_by_it() {
    let standing = standing([(1, random_judge()), (2, informative_judge())]);
    let parts = evidence(&[candidate(1, 0, 0.0), candidate(2, 1, -0.3)], &[], &standing);
    assert!(parts[0].certainty.abs() < 0.5, "{parts:?}");
    assert!(parts[1].certainty > 1.5, "{parts:?}");
}

#[test]
fn an_answer_is_no_worse_because_one_that_seldom_knows_agrees() {
    let seldom = Record { writer: Beta { a: 5.0, b: 95.0 }, ..Record::default() };
    let standing = standing([(1, informative_judge()), (2, seldom.clone()), (3, seldom)]);
    let [single, two, three] = [1, 2, 3].map(|count| {
        let candidates: Vec<Candidate> =
            (1..).take(count).map(|writer| candidate(writer, 0, -0.1)).collect();
        evidence(&candidates, &[], &standing)[0].total()
    });
    assert!(two >= single && three >= two, "{single} {two} {three}");
}

#[test]
fn claims_count_for_nobody_when_switched_off() {
    let standing = standing([(1, informative_judge())]);
    let mut off = RoundSettings::default();
    off.evidence.certainty = Certainty::Off;
    let parts = evidence_with(&[candidate(1, 0, -0.1)], &[], &standing, &off);
    assert!(parts[0].certainty.abs() < 1e-12);
}

#[test]
fn what_a_judge_says_of_its_own_candidate_is_not_heard() {
    let standing = standing([(1, informative_judge()), (2, informative_judge())]);
    let candidates = [candidate(1, 0, -0.1), candidate(2, 1, -0.1)];
    let own = evidence(&candidates, &[scores(1, &[(0, -0.001)])], &standing);
    assert!(own[0].scores.abs() < 1e-12);
    let evidence_of_judge = evidence(&candidates, &[scores(1, &[(1, -0.1)])], &standing);
    assert!(evidence_of_judge[1].scores > 1.0);
}

fn judge_from(digest: &str, operator: &str) -> Record {
    let (digest, operator) = (digest.into(), operator.into());
    let provenance = Provenance { digest, operator, ..Provenance::default() };
    Record { provenance, ..informative_judge() }
}

/// What these judges' scores say of the better one of two answers.
fn total(judges: &[u8], standing: &Standing) -> f64 {
    let candidates = [candidate(20, 0, -0.1), candidate(21, 1, -0.1)];
    let ballots: Vec<_> = judges.iter().map(|n| scores(*n, &[(0, -2.0), (1, -4.0)])).collect();
    evidence(&candidates, &ballots, standing)[0].scores
}

#[test]
fn judges_of_the_same_weights_are_one_voice_whoever_they_belong_to() {
    let hands: [&str; 4] = ["a", "b", "c", "d"];
    let one_hand = standing((1..).zip(hands.map(|hand| judge_from("same", hand))));
    let own = standing((1..).zip(hands.map(|hand| judge_from(hand, hand))));
    assert!((total(&[1, 2, 3, 4], &one_hand) - total(&[1], &one_hand)).abs() < 1e-9);
    assert!(total(&[1, 2, 3, 4], &own) > 1.5 * total(&[1], &own));
    // Nor do they make the others quieter.
    let mut members: Vec<Record> = hands.map(|hand| judge_from("same", hand)).into();
    members.push(judge_from("other", "e"));
    let mixture = standing((1..).zip(members));
    assert!((total(&[1, 2, 3, 4, 5], &mixture) - total(&[1, 5], &mixture)).abs() < 1e-9);
}

#[test]
fn ten_copies_of_a_judge_are_not_ten_judges() {
    let standing = standing((1..12).map(|n| (n, informative_judge())));
    let candidates = [candidate(20, 0, -0.1), candidate(21, 1, -0.1)];
    let [single, ten] = [1, 10].map(|count| {
        let judges = 1..=count;
        let ballots: Vec<_> = judges.map(|judge| scores(judge, &[(0, -2.0), (1, -4.0)])).collect();
        let parts = evidence(&candidates, &ballots, &standing);
        parts[0].scores - parts[1].scores
    });
    assert!(ten > single && ten < 4.0 * single, "{ten} {single}");
}

#[test]
fn a_copied_answer_is_judged_once_and_not_once_a_copy() {
    let standing = standing([(9, informative_judge())]);
    let single = [candidate(20, 0, -0.1), candidate(21, 1, -0.1)];
    let copies = [candidate(20, 0, -0.1), candidate(21, 1, -0.1), candidate(22, 1, -0.1)];
    let single_evidence = evidence(&single, &[scores(9, &[(0, -1.0), (1, -2.0)])], &standing);
    let two = evidence(&copies, &[scores(9, &[(0, -1.0), (1, -2.0), (2, -2.0)])], &standing);
    assert!((single_evidence[1].scores - two[1].scores).abs() < 1e-12);
}

#[test]
fn indices_from_nowhere_and_infinities_are_harmless() {
    let standing = standing([(1, informative_judge()), (9, informative_judge())]);
    let ballots = [scores(9, &[(0, f64::NEG_INFINITY), (0, f64::NAN), (77, -1.0)])];
    let parts = evidence(&[candidate(1, 0, f64::NAN)], &ballots, &standing);
    assert!(parts[0].total().is_finite());
    assert!(evidence(&[], &ballots, &standing).is_empty());
}

/// Five specialists, each sure and right on one kind of five and unsure and wrong on the rest, and
/// two liars that agree on a wrong answer with full certainty: the one that knows must win.
#[test]
fn the_one_that_knows_wins_against_liars_and_the_ignorant() {
    let liar = Record { writer: Beta { a: 2.0, b: 60.0 }, ..random_judge() };
    let members = (0..5).map(|n| (n, informative_judge())).chain([(5, liar.clone()), (6, liar)]);
    let standing = standing(members);
    for expert in 0..5u8 {
        let mut candidates: Vec<Candidate> = (0..5)
            .map(|n| candidate(n, n as usize, if n == expert { -0.05 } else { -6.0 }))
            .collect();
        candidates.extend([candidate(5, 5, 0.0), candidate(6, 5, 0.0)]);
        let ballots: Vec<_> = (0..7u8)
            .map(|judge| {
                let ballots: Vec<_> = (0..7u8)
                    .filter(|writer| *writer != judge)
                    .map(|writer| {
                        let logprob = match (judge, writer) {
                            (5 | 6, 5 | 6) => 0.0,
                            (5 | 6, _) => -300.0,
                            (_, writer) if writer == expert => -4.0,
                            (judge, _) if judge == expert => -25.0,
                            _ => -9.0,
                        };
                        (usize::from(writer), logprob)
                    })
                    .collect();
                scores(judge, &ballots)
            })
            .collect();
        let (kind, config) = (KindPosterior::default(), RoundSettings::default());
        let tally = Tally {
            candidates: &candidates,
            ballots: &ballots,
            standing: &standing,
            kind: &kind,
            config: &config,
        };
        let (parts, ranking) = (tally.evidence(), tally.ranking());
        assert_eq!(ranking.order[0], usize::from(expert), "{parts:?}");
    }
}

/// Two long texts of language models: the right one has the better mean, the wrong one the better sum.
#[test]
fn where_no_judge_has_gold_the_mean_log_probability_decides() {
    let candidates = [answer(1, 0, &"x".repeat(400), -1.0), answer(2, 1, &"x".repeat(100), -1.0)];
    let parts = evidence(&candidates, &[scores(9, &[(0, -40.0), (1, -25.0)])], &Standing::empty());
    assert!(parts[0].scores > parts[1].scores + 0.05, "{parts:?}");
    assert!((parts[0].scores + parts[1].scores).abs() < 1e-9, "only the difference is known");
    // Alone it says nothing.
    let alone = evidence(&candidates[..1], &[scores(9, &[(0, -40.0)])], &Standing::empty());
    assert!(alone[0].scores.abs() < 1e-9);
}

#[test]
fn judges_without_an_exam_take_nothing_from_one_that_passed_it() {
    let honest = Record {
        provenance: Provenance { digest: "d".into(), ..Provenance::default() },
        ..informative_judge()
    };
    let stranger = Record { provenance: honest.provenance.clone(), ..Record::default() };
    let standing =
        standing((0..10).map(|n| (n, if n == 0 { honest.clone() } else { stranger.clone() })));
    let candidates = [candidate(20, 0, -0.1), candidate(21, 1, -0.1)];
    let [single, ten] = [1, 10].map(|judges| {
        let ballots: Vec<_> = (0..judges)
            .map(|n| scores(n, if n == 0 { &[(0, -2.0), (1, -4.0)] } else { &[] }))
            .collect();
        let parts = evidence(&candidates, &ballots, &standing);
        parts[0].scores - parts[1].scores
    });
    assert!((ten - single).abs() < 1e-9, "{ten} {single}");
}

#[test]
fn two_choices_alike_say_less_than_two_numbers_alike() {
    let [choice, number] = ["B", "Answer: 1871"].map(|text| {
        let candidates = [answer(1, 0, text, -1.0), answer(2, 0, text, -1.0)];
        evidence(&candidates, &[], &Standing::empty())[0].agreement
    });
    assert!(choice < number - 0.5);
}

#[test]
fn a_writer_that_wavered_between_letters_says_less_against_another_one() {
    // Both judge the other's letter. The first is sure of its own, the second is not.
    let candidates = [answer(1, 0, "B", -0.1), answer(2, 1, "C", -1.2)];
    let ballots = [scores(1, &[(1, -4.0)]), scores(2, &[(0, -1.4)])];
    let parts = evidence(&candidates, &ballots, &Standing::empty());
    assert!(parts[0].scores > parts[1].scores + 0.05, "{parts:?}");
}

#[test]
fn a_judge_to_whom_all_candidates_are_noise_has_no_opinion() {
    let long_text = "A long answer that nobody asked for";
    let candidates = [answer(1, 0, "B", -1.0), answer(2, 1, long_text, -1.0)];
    let parts = evidence(&candidates, &[scores(9, &[(0, -34.0), (1, -400.0)])], &Standing::empty());
    assert!(parts.iter().all(|part| part.scores == 0.0), "{parts:?}");
    let parts = evidence(&candidates, &[scores(9, &[(0, -3.0), (1, -150.0)])], &Standing::empty());
    assert!(parts.iter().any(|part| part.scores != 0.0), "{parts:?}");
}

#[test]
fn a_text_that_was_cut_loses_to_a_final_answer_of_an_equal() {
    let text = "To find out, let us first";
    let cut = Candidate { finish: Finish::Length, ..answer(1, 0, text, -1.0) };
    let candidates = [cut, answer(2, 1, "B", -1.0), answer(3, 2, "C", -1.0)];
    let parts = evidence(&candidates, &[], &Standing::empty());
    assert!(parts[1].total() > parts[0].total() + 1.0, "{parts:?}");
}

/// The bundled specialists answer few questions of an exam, and stay on probation for long.
#[test]
fn strangers_that_know_nothing_take_nothing_from_a_judge_that_has_shown_something() {
    let able = Record {
        gold_seen: 6,
        provenance: Provenance { digest: "d".into(), ..Provenance::default() },
        ..informative_judge()
    };
    // All answers wrong, and likelihoods that say the opposite of the truth.
    let scores_of_able = able.scores.iter();
    let inverted =
        scores_of_able.map(|sample| Sample { right: !sample.right, ..*sample }).collect();
    let ignorant = Record {
        gold_seen: 110,
        writer: Beta { a: 1.0, b: 500.0 },
        scores: inverted,
        ..Record::default()
    };
    let borrower = Record { provenance: able.provenance.clone(), ..Record::default() };
    let candidates = [candidate(20, 0, -0.1), candidate(21, 1, -0.1)];
    for stranger in [ignorant, borrower] {
        let alone = standing([(0, able.clone())]);
        let crowd =
            standing((0..11).map(|n| (n, if n == 0 { able.clone() } else { stranger.clone() })));
        assert!(crowd.on_probation(&id(0)), "it has answered six questions");
        let [alone, crowd] = [(1, alone), (11, crowd)].map(|(judges, standing)| {
            let ballots: Vec<_> = (0..judges)
                .map(|n| {
                    scores(
                        n,
                        if n == 0 { &[(0, -2.0), (1, -4.0)] } else { &[(0, -1.0), (1, -1.0)] },
                    )
                })
                .collect();
            let parts = evidence(&candidates, &ballots, &standing);
            parts[0].scores - parts[1].scores
        });
        assert!(alone > 0.1 && (crowd - alone).abs() < 0.02 * alone, "{crowd} {alone}");
    }
}
