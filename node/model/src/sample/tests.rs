use proptest::prelude::*;
use shoal_proto::generate::TokenBias;

use super::*;

fn sampling(temperature: f32, top_p: f32, seed: i64) -> Sampling {
    Sampling {
        temperature: Some(temperature),
        top_p: Some(top_p),
        seed: Some(seed),
        ..Sampling::default()
    }
}

fn logits() -> impl Strategy<Value = Vec<f32>> {
    proptest::collection::vec(-30f32..30.0, 1..60)
}

fn choose(sampling: &Sampling, logits: &[f32]) -> Choice {
    Sampler::new(sampling, &[]).choose(logits, None).unwrap()
}

fn draw(sampling: &Sampling, logits: &[f32], count: usize) -> Vec<u32> {
    let mut sampler = Sampler::new(sampling, &[]);
    (0..count).map(|_| sampler.choose(logits, None).unwrap().token).collect()
}

fn logprob(logits: &[f32], index: usize) -> f64 {
    LogSum::new(logits).unwrap().logprob(logits, index).unwrap()
}

proptest! {
    #[test]
    fn the_same_seed_chooses_the_same_tokens(logits in logits(), seed: i64, top_p in 0.01f32..=1.0) {
        let sampling = sampling(1.0, top_p, seed);
        prop_assert_eq!(draw(&sampling, &logits, 20), draw(&sampling, &logits, 20));
    }

    #[test]
    fn temperature_zero_takes_the_likeliest(logits in logits(), seed: i64) {
        let choice = choose(&sampling(0.0, 1.0, seed), &logits);
        let choice_logit = logits[choice.token as usize];
        prop_assert!(logits.iter().all(|logit| *logit <= choice_logit));
    }

    #[test]
    fn a_tiny_nucleus_is_greedy(logits in logits(), seed: i64) {
        let choice = choose(&sampling(1.5, 1e-6, seed), &logits);
        let choice_logit = logits[choice.token as usize];
        prop_assert!(logits.iter().all(|logit| *logit <= choice_logit));
    }

    #[test]
    fn what_is_drawn_lies_in_the_nucleus(logits in logits(), seed: i64, top_p in 0.05f32..0.99) {
        let choice = choose(&sampling(1.0, top_p, seed), &logits);
        // The mass of all tokens likelier than the chosen one is below top_p.
        let choice_logit = logits[choice.token as usize];
        let likelier = (0..logits.len()).filter(|i| logits[*i] > choice_logit);
        let mass: f64 = likelier.map(|i| logprob(&logits, i).exp()).sum();
        prop_assert!(mass < f64::from(top_p) + 1e-6);
    }

    #[test]
    fn what_is_drawn_is_one_of_the_k_likeliest(logits in logits(), seed: i64, k in 1u32..10) {
        let sampling = Sampling { top_k: Some(k), ..sampling(2.0, 1.0, seed) };
        let choice_logit = logits[choose(&sampling, &logits).token as usize];
        let likelier = logits.iter().filter(|logit| **logit > choice_logit).count();
        prop_assert!(likelier < k as usize);
    }

    #[test]
    fn what_is_drawn_is_not_much_less_likely_than_the_likeliest(
        logits in logits(), seed: i64, min_p in 0.01f32..=1.0, temperature in 0.1f32..2.0,
    ) {
        let sampling = Sampling { min_p: Some(min_p), ..sampling(temperature, 1.0, seed) };
        let choice_logit = logits[choose(&sampling, &logits).token as usize];
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert!(((choice_logit - best) / temperature).exp() >= min_p * (1.0 - 1e-4));
    }

    #[test]
    fn probabilities_sum_to_one(logits in logits()) {
        let sum: f64 = (0..logits.len()).map(|i| logprob(&logits, i).exp()).sum();
        prop_assert!((sum - 1.0).abs() < 1e-5);
    }

    #[test]
    fn limits_that_limit_nothing_change_no_draw(logits in logits(), seed: i64) {
        // The same number drawn from the same tokens in the same order of likelihood.
        let count = u32::try_from(logits.len()).unwrap();
        let k = Sampling { top_k: Some(count), ..sampling(1.0, 1.0, seed) };
        let far = Sampling { top_k: Some(count + 9), min_p: Some(0.0), ..sampling(1.0, 1.0, seed) };
        prop_assert_eq!(draw(&k, &logits, 10), draw(&far, &logits, 10));
    }
}

/// Draws 20,000 tokens and compares their counts with the expected shares.
fn assert_shares(sampling: &Sampling, logits: &[f32], shares: &[f64]) {
    let mut counts = vec![0usize; logits.len()];
    for token in draw(sampling, logits, 20_000) {
        counts[token as usize] += 1;
    }
    for (count, share) in counts.iter().zip(shares) {
        // Four standard deviations of the widest distribution are 283 of 20,000.
        assert!((*count as f64 - share * 20_000.0).abs() < 283.0, "{counts:?} {shares:?}");
    }
}

#[test]
fn draws_come_as_often_as_they_are_likely() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let plain = sampling(1.0, 1.0, 7);
    assert_shares(&plain, &logits, &[0.5, 0.3, 0.2]);
    assert_shares(&sampling(1.0, 0.75, 7), &logits, &[0.625, 0.375, 0.0]);
    assert_shares(&Sampling { top_k: Some(2), ..plain.clone() }, &logits, &[0.625, 0.375, 0.0]);
    assert_shares(&Sampling { min_p: Some(0.5), ..plain.clone() }, &logits, &[0.625, 0.375, 0.0]);
    // At temperature 1/2 probabilities are squared: 25, 9, 4 of 38.
    assert_shares(&sampling(0.5, 1.0, 7), &logits, &[25.0 / 38.0, 9.0 / 38.0, 4.0 / 38.0]);
    assert_shares(
        &Sampling { min_p: Some(0.3), ..sampling(0.5, 1.0, 7) },
        &logits,
        &[25.0 / 34.0, 9.0 / 34.0, 0.0],
    );
}

#[test]
fn a_wide_vocabulary_is_drawn_from_evenly() {
    // Three blocks of equal logits, and a token as likely as one of them all.
    let mut logits = vec![0.0; 2 * BLOCK + 500];
    logits[BLOCK + 3] = (BLOCK as f32).ln();
    let mut counts = [0usize; 4];
    for token in draw(&sampling(1.0, 1.0, 3), &logits, 20_000) {
        let token = token as usize;
        counts[if token == BLOCK + 3 { 3 } else { token / BLOCK }] += 1;
    }
    let total = (3 * BLOCK + 499) as f64;
    let shares = [BLOCK, BLOCK - 1, 500, BLOCK].map(|n| n as f64 / total);
    for (count, share) in counts.iter().zip(shares) {
        assert!((*count as f64 - share * 20_000.0).abs() < 283.0, "{counts:?} {shares:?}");
    }
}

#[test]
fn biases_and_penalties_move_the_likeliest() {
    let logits = [2.0, 1.9, -0.1, -0.2];
    let greedy = Sampling { temperature: Some(0.0), ..Sampling::default() };
    assert_eq!(draw(&greedy, &logits, 3), [0, 0, 0]);

    let logit_bias = vec![TokenBias { token: 2, bias: 100.0 }, TokenBias { token: 99, bias: 1.0 }];
    assert_eq!(draw(&Sampling { logit_bias, ..greedy.clone() }, &logits, 2), [2, 2]);

    // An occurrence lowers the logit once, or each time.
    let presence = Sampling { presence_penalty: Some(0.15), ..greedy.clone() };
    assert_eq!(draw(&presence, &logits, 4), [0, 1, 0, 0]);
    let frequency = Sampling { frequency_penalty: Some(1.0), ..greedy.clone() };
    assert_eq!(draw(&frequency, &logits, 6), [0, 1, 0, 1, 0, 2]);

    // 2 / 1.1 and 1.9; then both are divided. Only this penalty counts the prompt's tokens.
    let repetition = Sampling { repetition_penalty: Some(1.1), ..greedy.clone() };
    assert_eq!(draw(&repetition, &logits, 3), [0, 1, 0]);
    let after_0 = [&repetition, &presence]
        .map(|sampling| Sampler::new(sampling, &[0]).choose(&logits, None).unwrap().token);
    assert_eq!(after_0, [1, 0]);
    let negative = Sampler::new(&repetition, &[2]).choose(&[-9.0, -9.0, -0.1, -0.105], None);
    assert_eq!(negative.unwrap().token, 3, "a negative logit becomes more so");
}

#[test]
fn log_probabilities_are_the_models_whatever_was_done_to_choose() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let sampling_settings = Sampling {
        logit_bias: vec![TokenBias { token: 2, bias: 50.0 }],
        presence_penalty: Some(1.0),
        ..sampling(0.3, 0.9, 1)
    };
    let choice = choose(&sampling_settings, &logits);
    assert_eq!(choice.token, 2);
    assert!((choice.logprob - 0.2f64.ln()).abs() < 1e-6);
}

fn forbid_first_token(row: &mut [f32]) {
    row[0] = f32::NEG_INFINITY;
}

#[test]
fn what_is_forbidden_is_never_drawn() {
    let logits = [5.0, 1.0, 0.0];
    for sampling in [
        sampling(1.0, 1.0, 1),
        sampling(1.0, 0.99, 1),
        sampling(0.0, 1.0, 1),
        Sampling { top_k: Some(3), ..sampling(2.0, 1.0, 1) },
        Sampling { min_p: Some(1e-9), ..sampling(2.0, 1.0, 1) },
    ] {
        let mut sampler = Sampler::new(&sampling, &[]);
        for _ in 0..100 {
            assert_ne!(sampler.choose(&logits, Some(&mut forbid_first_token)).unwrap().token, 0);
        }
    }
    let mut sampler = Sampler::new(&sampling(1.0, 1.0, 1), &[]);
    let choice = sampler.choose(&logits, Some(&mut |row| row.fill(f32::NEG_INFINITY)));
    assert_eq!(choice, Err(Broken));
}

#[test]
fn what_may_end_in_several_ways_is_as_likely_as_all_of_them() {
    let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
    let sum = LogSum::new(&logits).unwrap();
    let sum_of_two = sum.logprob_of_any(&logits, [1, 2].into_iter()).unwrap();
    assert!((sum_of_two - 0.5f64.ln()).abs() < 1e-6, "{sum_of_two}");
    assert_eq!(sum.logprob_of_any(&logits, [1, 9].into_iter()), Err(Broken));
    assert_eq!(sum.logprob_of_any(&logits, std::iter::empty()), Err(Broken));
}

#[test]
fn numbers_that_are_none_are_an_error() {
    let mut sampler = Sampler::new(&sampling(0.0, 1.0, 0), &[]);
    assert_eq!(sampler.choose(&[f32::NAN, 1.0], None), Err(Broken));
    assert_eq!(sampler.choose(&[f32::INFINITY, 1.0], None), Err(Broken));
    assert_eq!(sampler.choose(&[], None), Err(Broken));
}
