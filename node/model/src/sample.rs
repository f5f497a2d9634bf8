//! Sampling: from logits to the next token.
//!
//! The steps, in this order, with the names of OpenAI's API and llama.cpp:
//!
//! 1. `logit_bias` is added;
//! 2. `repetition_penalty` divides the positive and multiplies the negative logits of tokens in the
//!    prompt or the answer (Keskar et al., 2019); `presence_penalty` is subtracted once, and
//!    `frequency_penalty` for each occurrence, from the logits of tokens in the answer;
//! 3. tokens that the answer's format forbids are removed;
//! 4. logits are divided by `temperature`; at 0 the likeliest token is chosen, the lowest of equals;
//! 5. `top_k` keeps the likeliest k tokens;
//! 6. `top_p` keeps the likeliest tokens that together have this share of the mass
//!    (Holtzman et al., 2020);
//! 7. `min_p` keeps tokens that are at least this share as likely as the likeliest;
//! 8. one of the rest is drawn, with one number from the answer's own generator.
//!
//! Log-probabilities are the model's: before all of these steps, at temperature 1.

mod logits;

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::generate::Sampling;

pub(crate) use self::logits::LogSum;
use self::logits::{BLOCK, by_rank, exp, highest, top, weigh};
use super::step::Broken;

/// The default of OpenAI's API.
const TEMPERATURE: f32 = 1.0;

/// Depths at which the nucleus is searched, one after the other: logarithms of a token's likelihood
/// relative to the likeliest. Most nuclei lie within the first few hundred tokens.
const TAILS: [f32; 3] = [-7.0, -14.0, f32::NEG_INFINITY];

/// Chooses the tokens of one answer. The same seed gives the same choices.
#[derive(Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    bias: Vec<(usize, f32)>,
    penalties: Option<Penalties>,
    chance: ChaCha8Rng,
    scratch: Scratch,
}

/// Penalties for tokens that occurred before.
#[derive(Debug)]
struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// Tokens of prompt and answer, with their number of occurrences in the answer.
    counts: HashMap<u32, u16>,
}

/// Buffers, reused from token to token so that no token allocates.
#[derive(Debug, Default)]
struct Scratch {
    row: Vec<f32>,
    blocks: Vec<f64>,
    candidates: Vec<(u32, f32)>,
}

/// A token, and its probability in the model's own view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Natural logarithm of its probability.
    pub(crate) logprob: f64,
    /// Gives the log-probabilities of further tokens.
    pub(crate) normaliser: LogSum,
}

/// Removes tokens by setting their logits to minus infinity.
pub(crate) type Forbid<'a> = &'a mut dyn FnMut(&mut [f32]);

impl Sampler {
    pub(crate) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let seed = sampling.seed.map_or_else(rand::random, i64::cast_unsigned);
        Self {
            temperature: sampling.temperature.unwrap_or(TEMPERATURE),
            top_k: index_of(sampling.top_k.unwrap_or(0)),
            top_p: sampling.top_p.unwrap_or(1.0),
            min_p: sampling.min_p.unwrap_or(0.0),
            bias: sampling
                .logit_bias
                .iter()
                .map(|bias| (index_of(bias.token), bias.bias))
                .collect(),
            penalties: Penalties::new(sampling, prompt),
            chance: ChaCha8Rng::seed_from_u64(seed),
            scratch: Scratch::default(),
        }
    }

    /// The next token after these logits, which hold one number for each token of the vocabulary.
    /// `forbid` removes tokens.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        forbid: Option<Forbid<'_>>,
    ) -> Result<Choice, Broken> {
        let normaliser = LogSum::new(logits)?;
        let mut scratch = std::mem::take(&mut self.scratch);
        let index = if self.bias.is_empty() && self.penalties.is_none() && forbid.is_none() {
            self.pick(logits, &mut scratch)
        } else {
            let mut row = std::mem::take(&mut scratch.row);
            row.clear();
            row.extend_from_slice(logits);
            self.adjust(&mut row);
            if let Some(forbid) = forbid {
                forbid(&mut row);
            }
            let index = self.pick(&row, &mut scratch);
            scratch.row = row;
            index
        };
        self.scratch = scratch;
        let index = index.ok_or(Broken)?;
        let token = u32::try_from(index).map_err(|_| Broken)?;
        if let Some(penalties) = &mut self.penalties {
            let times = penalties.counts.entry(token).or_default();
            *times = times.saturating_add(1);
        }
        Ok(Choice { token, logprob: normaliser.logprob(logits, index)?, normaliser })
    }

    /// The `count` likeliest tokens with their logits, likeliest first: fewer if the vocabulary has fewer.
    pub(crate) fn likeliest(&mut self, logits: &[f32], count: usize) -> &[(u32, f32)] {
        top(logits, count, &mut self.scratch.candidates);
        &self.scratch.candidates
    }

    /// Steps 1 and 2.
    fn adjust(&self, row: &mut [f32]) {
        for (token, bias) in &self.bias {
            if let Some(logit) = row.get_mut(*token) {
                *logit += bias;
            }
        }
        if let Some(penalties) = &self.penalties {
            penalties.apply(row);
        }
    }

    /// Steps 4 to 8. `None`: no token is possible.
    fn pick(&mut self, row: &[f32], scratch: &mut Scratch) -> Option<usize> {
        let best = highest(row);
        if !best.is_finite() {
            return None;
        }
        if self.temperature <= 0.0 {
            return row.iter().position(|logit| *logit == best);
        }
        let weights = Weights { best, scale: self.temperature.recip() };
        let is_plain = self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0;
        if is_plain {
            return self.draw_from_row(row, weights, &mut scratch.blocks);
        }
        let mut mass = self.keep(row, weights, &mut scratch.candidates);
        if self.min_p > 0.0 {
            scratch.candidates.retain(|(_, logit)| weights.weight(*logit) >= f64::from(self.min_p));
            mass = weights.sum(&scratch.candidates);
        }
        let mut rest = self.chance.random::<f64>() * mass;
        let draw = scratch.candidates.iter().find(|(_, logit)| {
            rest -= weights.weight(*logit);
            rest < 0.0
        });
        // Rounding may leave a small rest. Then the likeliest token counts, which is at the front.
        let (token, _) = draw.or(scratch.candidates.first())?;
        usize::try_from(*token).ok()
    }

    /// Steps 5 and 6: the tokens that stay, likeliest first where the order matters, and their mass.
    fn keep(&self, row: &[f32], weights: Weights, candidates: &mut Vec<(u32, f32)>) -> f64 {
        if self.top_k > 0 {
            top(row, self.top_k, candidates);
            candidates.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        }
        if self.top_p >= 1.0 {
            if self.top_k == 0 {
                let floor = weights.best + self.min_p.ln() / weights.scale;
                above(row, floor - 1e-3, candidates);
            }
            return weights.sum(candidates);
        }
        let total: f64 = match self.top_k {
            0 => row.chunks(BLOCK).map(|block| weigh(block, weights.best, weights.scale)).sum(),
            _ => weights.sum(candidates),
        };
        let target = total * f64::from(self.top_p);
        if self.top_k == 0 {
            for tail in TAILS {
                above(row, weights.best + tail / weights.scale, candidates);
                if weights.sum(candidates) >= target {
                    break;
                }
            }
            candidates.sort_unstable_by(by_rank);
        }
        let (mut mass, mut count) = (0.0, 0);
        for (_, logit) in candidates.iter() {
            count += 1;
            mass += weights.weight(*logit);
            if mass >= target {
                break;
            }
        }
        candidates.truncate(count);
        mass
    }

    /// Draws from all tokens: first a block, then a token of the block.
    fn draw_from_row(
        &mut self,
        row: &[f32],
        weights: Weights,
        blocks: &mut Vec<f64>,
    ) -> Option<usize> {
        blocks.clear();
        blocks.extend(row.chunks(BLOCK).map(|block| weigh(block, weights.best, weights.scale)));
        let mut rest = self.chance.random::<f64>() * blocks.iter().sum::<f64>();
        let block = blocks.iter().position(|weight| {
            let is_here = rest < *weight;
            rest -= if is_here { 0.0 } else { *weight };
            is_here
        });
        // Rounding may leave a small rest beyond the end.
        let block = block.or_else(|| blocks.iter().rposition(|weight| *weight > 0.0))?;
        let logits = row.chunks(BLOCK).nth(block)?;
        let offset = logits.iter().position(|logit| {
            rest -= weights.weight(*logit);
            rest < 0.0
        });
        let offset =
            offset.or_else(|| logits.iter().rposition(|logit| weights.weight(*logit) > 0.0))?;
        Some(block * BLOCK + offset)
    }
}

/// All tokens with a logit of at least `floor`, in their order.
fn above(row: &[f32], floor: f32, candidates: &mut Vec<(u32, f32)>) {
    candidates.clear();
    let tokens = (0u32..).zip(row.iter().copied());
    candidates.extend(tokens.filter(|(_, logit)| *logit >= floor && *logit > f32::NEG_INFINITY));
}

/// Weights of logits, relative to a weight of 1 for the best.
#[derive(Clone, Copy, Debug)]
struct Weights {
    best: f32,
    /// The temperature's inverse.
    scale: f32,
}

impl Weights {
    fn weight(self, logit: f32) -> f64 {
        f64::from(exp((logit - self.best) * self.scale))
    }

    fn sum(self, candidates: &[(u32, f32)]) -> f64 {
        candidates.iter().map(|(_, logit)| self.weight(*logit)).sum()
    }
}

/// A token or a count as an index.
fn index_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

impl Penalties {
    /// `None`: there are no penalties.
    fn new(sampling: &Sampling, prompt: &[u32]) -> Option<Self> {
        let repetition = sampling.repetition_penalty.unwrap_or(1.0);
        let presence = sampling.presence_penalty.unwrap_or(0.0);
        let frequency = sampling.frequency_penalty.unwrap_or(0.0);
        let is_neutral = repetition == 1.0 && presence == 0.0 && frequency == 0.0;
        let counts = prompt.iter().map(|token| (*token, 0));
        (!is_neutral).then(|| Self { repetition, presence, frequency, counts: counts.collect() })
    }

    fn apply(&self, row: &mut [f32]) {
        for (token, times) in &self.counts {
            let Some(logit) = row.get_mut(index_of(*token)) else { continue };
            *logit = if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
            if *times > 0 {
                *logit -= self.presence + self.frequency * f32::from(*times);
            }
        }
    }
}

#[cfg(test)]
mod tests;
