//! From logits to the next token.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::generate::Sampling;

use super::step::Broken;

/// OpenAI's default.
const TEMPERATURE: f32 = 1.0;

/// Chooses tokens. The same seed chooses the same ones.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    top_p: f32,
    chance: ChaCha8Rng,
}

/// A token, and what the model thought of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Natural logarithm of its probability at temperature 1.
    pub(crate) logprob: f64,
}

impl Sampler {
    pub(crate) fn new(sampling: &Sampling) -> Self {
        let seed = sampling.seed.map_or_else(rand::random, i64::cast_unsigned);
        Self {
            temperature: sampling.temperature.unwrap_or(TEMPERATURE),
            top_p: sampling.top_p.unwrap_or(1.0),
            chance: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// The next token after these logits, one for each token of the vocabulary.
    pub(crate) fn choose(&mut self, logits: &[f32]) -> Result<Choice, Broken> {
        let index = if self.temperature > 0.0 { self.draw(logits) } else { likeliest(logits) };
        let logprob = logprob(logits, index)?;
        Ok(Choice { token: u32::try_from(index).map_err(|_| Broken)?, logprob })
    }

    /// Draws from the smallest set of likeliest tokens whose mass reaches `top_p` (Holtzman et
    /// al., 2020), after dividing the logits by the temperature.
    fn draw(&mut self, logits: &[f32]) -> usize {
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weigh = |logit: f32| f64::from((logit - best) / self.temperature).exp();
        let mut tokens: Vec<(usize, f64)> =
            logits.iter().map(|logit| weigh(*logit)).enumerate().collect();
        let all: f64 = tokens.iter().map(|(_, weight)| weight).sum();
        let mut mass = all;
        if self.top_p < 1.0 {
            tokens.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            mass = 0.0;
            let enough = all * f64::from(self.top_p);
            let mut kept = 0;
            for (_, weight) in &tokens {
                kept += 1;
                mass += weight;
                if mass >= enough {
                    break;
                }
            }
            tokens.truncate(kept);
        }
        let mut left = self.chance.random::<f64>() * mass;
        let drawn = tokens.iter().find(|(_, weight)| {
            left -= weight;
            left < 0.0
        });
        drawn.map_or_else(|| likeliest(logits), |(index, _)| *index)
    }
}

/// The index of the highest logit; the first of equals.
fn likeliest(logits: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, logit) in logits.iter().enumerate() {
        if *logit > best.1 {
            best = (index, *logit);
        }
    }
    best.0
}

/// The natural logarithm of the softmax of `logits` at `index`: finite and at most 0.
pub(crate) fn logprob(logits: &[f32], index: usize) -> Result<f64, Broken> {
    logprob_of_any(logits, std::iter::once(index))
}

/// The same for all of `indices` together: which of its end tokens a model ends with is nothing
/// that a text shows, so that the end is as likely as all of them are.
pub(crate) fn logprob_of_any(
    logits: &[f32],
    indices: impl Iterator<Item = usize>,
) -> Result<f64, Broken> {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from((logit - best).exp())).sum();
    // Relative to the likeliest of them, which may be too small for a number of its own.
    let mut likeliest = f32::NEG_INFINITY;
    let mut chosen = Vec::new();
    for index in indices {
        let logit = *logits.get(index).ok_or(Broken)?;
        likeliest = likeliest.max(logit);
        chosen.push(logit);
    }
    let share: f64 = chosen.iter().map(|logit| f64::from(logit - likeliest).exp()).sum();
    let logprob = f64::from(likeliest - best) + share.ln() - sum.ln();
    if logprob.is_finite() { Ok(logprob.min(0.0)) } else { Err(Broken) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn the_same_seed_chooses_the_same_tokens(logits in logits(), seed: i64, top_p in 0.01f32..=1.0) {
            let tokens = || {
                let mut sampler = Sampler::new(&sampling(1.0, top_p, seed));
                (0..20).map(|_| sampler.choose(&logits).unwrap().token).collect::<Vec<_>>()
            };
            prop_assert_eq!(tokens(), tokens());
        }

        #[test]
        fn temperature_zero_takes_the_likeliest(logits in logits(), seed: i64) {
            let choice = Sampler::new(&sampling(0.0, 1.0, seed)).choose(&logits).unwrap();
            let chosen = logits[choice.token as usize];
            prop_assert!(logits.iter().all(|logit| *logit <= chosen));
        }

        #[test]
        fn a_tiny_nucleus_is_greedy(logits in logits(), seed: i64) {
            let choice = Sampler::new(&sampling(1.5, 1e-6, seed)).choose(&logits).unwrap();
            let chosen = logits[choice.token as usize];
            prop_assert!(logits.iter().all(|logit| *logit <= chosen));
        }

        #[test]
        fn what_is_drawn_lies_in_the_nucleus(logits in logits(), seed: i64, top_p in 0.05f32..0.99) {
            let choice = Sampler::new(&sampling(1.0, top_p, seed)).choose(&logits).unwrap();
            // The mass of all tokens likelier than the chosen one is below top_p.
            let chosen = logits[choice.token as usize];
            let likelier = (0..logits.len()).filter(|i| logits[*i] > chosen);
            let mass: f64 = likelier.map(|i| logprob(&logits, i).unwrap().exp()).sum();
            prop_assert!(mass < f64::from(top_p) + 1e-6);
        }

        #[test]
        fn probabilities_sum_to_one(logits in logits()) {
            let sum: f64 = (0..logits.len()).map(|i| logprob(&logits, i).unwrap().exp()).sum();
            prop_assert!((sum - 1.0).abs() < 1e-5);
        }
    }

    #[test]
    fn draws_come_as_often_as_they_are_likely() {
        // Probabilities 0.5, 0.3, 0.2.
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let mut sampler = Sampler::new(&sampling(1.0, 1.0, 7));
        let mut counts = [0usize; 3];
        for _ in 0..20_000 {
            counts[sampler.choose(&logits).unwrap().token as usize] += 1;
        }
        // Four standard deviations of the widest of them are 283 of 20,000.
        for (count, expected) in counts.into_iter().zip([10_000, 6_000, 4_000]) {
            assert!(count.abs_diff(expected) < 283, "{counts:?}");
        }
    }

    #[test]
    fn what_may_end_in_several_ways_is_as_likely_as_all_of_them() {
        let logits = [0.5f32.ln(), 0.3f32.ln(), 0.2f32.ln()];
        let both = logprob_of_any(&logits, [1, 2].into_iter()).unwrap();
        assert!((both - 0.5f64.ln()).abs() < 1e-6, "{both}");
        assert_eq!(logprob_of_any(&logits, [1, 9].into_iter()), Err(Broken));
        assert_eq!(logprob_of_any(&logits, std::iter::empty()), Err(Broken));
    }

    #[test]
    fn numbers_that_are_none_are_an_error() {
        let mut sampler = Sampler::new(&sampling(0.0, 1.0, 0));
        assert_eq!(sampler.choose(&[f32::NAN, 1.0]), Err(Broken));
        assert_eq!(sampler.choose(&[f32::INFINITY, 1.0]), Err(Broken));
        assert_eq!(sampler.choose(&[]), Err(Broken));
    }
}
