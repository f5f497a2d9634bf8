//! Tests of P(right).

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::*;

fn round(kind: &str, strengths: &[f64], right: Option<usize>) -> LabelledPools {
    LabelledPools {
        kind: Some(KindId::new(kind)),
        strengths: strengths.to_vec(),
        right: (0..strengths.len()).map(|at| Some(at) == right).collect(),
        open: 1.0,
        exclusive: true,
    }
}

/// Final answers, of which one is right at most.
fn finals(open: f64) -> Rivals {
    Rivals { open, exclusive: true }
}

/// Rounds whose labels follow `truth`.
fn draw(truth: Scale, count: usize) -> Vec<LabelledPools> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let rounds = (0..count).map(|_| {
        let strengths: Vec<f64> = (0..4).map(|_| rng.random_range(-4.0..4.0)).collect();
        let mut left: f64 = rng.random();
        let right = truth.probabilities(&strengths, finals(1.0)).into_iter().position(|p| {
            left -= p;
            left < 0.0
        });
        round("kind", &strengths, right)
    });
    rounds.collect()
}

#[test]
fn the_probabilities_and_none_of_these_sum_to_one() {
    let p = Scale::UNFITTED.probabilities(&[800.0, -800.0, f64::MIN_POSITIVE], finals(5.0));
    assert!(p.iter().all(|p| (0.0..=1.0).contains(p)) && p.iter().sum::<f64>() <= 1.0 + 1e-12);
    let none = 1.0 - Scale::UNFITTED.probabilities(&[-9.0, -9.0], finals(5.0)).iter().sum::<f64>();
    assert!(none > 0.9, "{none}");
}

#[test]
fn an_agreement_of_two_newcomers_claims_no_certainty() {
    // Two writers of P(right) one half that agree on one of six plausible answers.
    let p = Confidence::default().probabilities(
        &[2.0 * 5_f64.ln()],
        finals(5.0),
        &KindPosterior::default(),
    );
    assert!((0.3..0.9).contains(&p[0]), "{p:?}");
}

#[test]
fn two_good_texts_are_each_as_likely_right_as_one_alone() {
    let texts = Rivals { open: 4.0, exclusive: false };
    let (alone, beside) = (
        Scale::UNFITTED.probabilities(&[4.0], texts),
        Scale::UNFITTED.probabilities(&[4.0, 4.0], texts),
    );
    assert_eq!(beside, [alone[0], alone[0]]);
    assert!(alone[0] > Scale::UNFITTED.probabilities(&[4.0, 4.0], finals(4.0))[0]);

    // Texts that are all right teach it that texts are.
    let mut confidence = Confidence::default();
    for _ in 0..40 {
        let texts = LabelledPools {
            right: vec![true, true],
            exclusive: false,
            ..round("general/prose", &[2.0, 2.0], None)
        };
        confidence.learn(texts);
    }
    let p = confidence.probabilities(&[2.0, 2.0], texts, &KindPosterior::default());
    assert!(p.iter().all(|p| *p > 0.85), "{p:?}");
}

#[test]
fn a_fit_finds_the_scale_that_made_the_labels() {
    let truth = Scale { slope: 1.2, none_of_these: 1.5 };
    let rounds = draw(truth, 500);
    let scale = fit(&rounds.iter().collect::<Vec<_>>(), Scale::UNFITTED);
    assert!((scale.slope - truth.slope).abs() < 0.25, "{scale:?}");
    assert!((scale.none_of_these - truth.none_of_these).abs() < 0.5, "{scale:?}");
}

#[test]
fn a_kind_where_all_are_wrong_does_not_lower_another() {
    let mut confidence = Confidence::default();
    for _ in 0..40 {
        confidence.learn(round("easy", &[3.0, 0.0], Some(0)));
        confidence.learn(round("hard", &[3.0, 0.0], None));
    }
    let [easy, hard] = ["easy", "hard"].map(|kind| {
        let kind = KindPosterior::certain(KindId::new(kind));
        confidence.probabilities(&[3.0, 0.0], finals(1.0), &kind)[0]
    });
    let unknown = confidence.probabilities(&[3.0, 0.0], finals(1.0), &KindPosterior::default())[0];
    assert!(easy > 0.85 && hard < 0.15, "{easy} {hard}");
    assert!((0.3..0.7).contains(&unknown), "{unknown}");
}

#[test]
fn it_survives_being_stored_and_forgets_what_is_broken() {
    let mut confidence = Confidence::default();
    draw(Scale::UNFITTED, 20).into_iter().for_each(|round| confidence.learn(round));
    confidence.learn(round("kind", &[f64::NAN], Some(0)));
    confidence.learn(round("kind", &[], None));
    assert_eq!(confidence.rounds.len(), 20);
    let json = serde_json::to_string(&confidence).expect("JSON");
    assert_eq!(serde_json::from_str::<Confidence>(&json).expect("read"), confidence);
}
