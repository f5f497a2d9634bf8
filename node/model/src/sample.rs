//! From logits to the next token.
//!
//! In this order, each step on what the last one left, as OpenAI and llama.cpp name them:
//!
//! 1. `logit_bias` is added;
//! 2. `repetition_penalty` divides positive and multiplies negative logits of tokens that stand in
//!    the prompt or the answer (Keskar et al., 2019); `presence_penalty` once and
//!    `frequency_penalty` for each time are taken from the logits of tokens of the answer;
//! 3. tokens that the answer's form forbids are out;
//! 4. logits are divided by `temperature`; at 0 the likeliest token is it, the lowest of equals;
//! 5. `top_k` keeps the likeliest k tokens;
//! 6. `top_p` keeps the likeliest of those that together have this share of what is left
//!    (Holtzman et al., 2020);
//! 7. `min_p` keeps those at least this share as likely as the likeliest;
//! 8. one of them is drawn, with one number from the answer's own generator.
//!
//! Log-probabilities are those of the model: before all of this, at temperature 1.

mod logits;

use std::collections::HashMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shoal_proto::generate::Sampling;

pub(crate) use self::logits::LogSum;
use self::logits::{BLOCK, by_rank, exp, highest, top, weigh};
use super::step::Broken;

/// OpenAI's default.
const TEMPERATURE: f32 = 1.0;

/// The tails within which the nucleus is looked for, one after the other: logarithms of how
/// likely a token is beside the likeliest. Most are found among the first few hundred tokens.
const TAILS: [f32; 3] = [-7.0, -14.0, f32::NEG_INFINITY];

/// Chooses the tokens of one answer. The same seed chooses the same ones.
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

/// What is taken from tokens that were there.
#[derive(Debug)]
struct Penalties {
    repetition: f32,
    presence: f32,
    frequency: f32,
    /// Tokens of prompt and answer, and how often they stand in the answer.
    seen: HashMap<u32, u16>,
}

/// Kept from token to token, so that none of them allocates.
#[derive(Debug, Default)]
struct Scratch {
    row: Vec<f32>,
    blocks: Vec<f64>,
    picked: Vec<(u32, f32)>,
}

/// A token, and what the model thought of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) token: u32,
    /// Natural logarithm of its probability.
    pub(crate) logprob: f64,
    /// To learn the same of other tokens.
    pub(crate) normaliser: LogSum,
}

/// Takes tokens out by setting their logits to minus infinity.
pub(crate) type Forbid<'a> = &'a mut dyn FnMut(&mut [f32]);

impl Sampler {
    pub(crate) fn new(sampling: &Sampling, prompt: &[u32]) -> Self {
        let seed = sampling.seed.map_or_else(rand::random, i64::cast_unsigned);
        let index = |token: u32| usize::try_from(token).unwrap_or(usize::MAX);
        Self {
            temperature: sampling.temperature.unwrap_or(TEMPERATURE),
            top_k: index(sampling.top_k.unwrap_or(0)),
            top_p: sampling.top_p.unwrap_or(1.0),
            min_p: sampling.min_p.unwrap_or(0.0),
            bias: sampling.logit_bias.iter().map(|bias| (index(bias.token), bias.bias)).collect(),
            penalties: Penalties::new(sampling, prompt),
            chance: ChaCha8Rng::seed_from_u64(seed),
            scratch: Scratch::default(),
        }
    }

    /// The next token after these logits, one for each token of the vocabulary. `forbid` takes
    /// tokens out by setting their logits to minus infinity.
    pub(crate) fn choose(
        &mut self,
        logits: &[f32],
        forbid: Option<Forbid<'_>>,
    ) -> Result<Choice, Broken> {
        let normaliser = LogSum::of(logits)?;
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
            let times = penalties.seen.entry(token).or_default();
            *times = times.saturating_add(1);
        }
        Ok(Choice { token, logprob: normaliser.logprob(logits, index)?, normaliser })
    }

    /// The likeliest tokens with their logits, likeliest first: at most as many as there are.
    pub(crate) fn likeliest(&mut self, logits: &[f32], count: usize) -> &[(u32, f32)] {
        top(logits, count, &mut self.scratch.picked);
        &self.scratch.picked
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

    /// Steps 4 to 8; `None`: no token is possible.
    fn pick(&mut self, row: &[f32], scratch: &mut Scratch) -> Option<usize> {
        let best = highest(row);
        if !best.is_finite() {
            return None;
        }
        if self.temperature <= 0.0 {
            return row.iter().position(|logit| *logit == best);
        }
        let all = Weights { best, scale: self.temperature.recip() };
        let is_plain = self.top_k == 0 && self.top_p >= 1.0 && self.min_p <= 0.0;
        if is_plain {
            return self.draw_of_all(row, all, &mut scratch.blocks);
        }
        let mut mass = self.keep(row, all, &mut scratch.picked);
        if self.min_p > 0.0 {
            scratch.picked.retain(|(_, logit)| all.of(*logit) >= f64::from(self.min_p));
            mass = scratch.picked.iter().map(|(_, logit)| all.of(*logit)).sum();
        }
        let mut left = self.chance.random::<f64>() * mass;
        let drawn = scratch.picked.iter().find(|(_, logit)| {
            left -= all.of(*logit);
            left < 0.0
        });
        // Rounding may leave a little at the end: the likeliest is at the front.
        let (token, _) = drawn.or(scratch.picked.first())?;
        usize::try_from(*token).ok()
    }

    /// Steps 5 and 6: who stays, likeliest first where an order matters, and their weight.
    fn keep(&self, row: &[f32], all: Weights, picked: &mut Vec<(u32, f32)>) -> f64 {
        let sum = |picked: &[(u32, f32)]| picked.iter().map(|(_, logit)| all.of(*logit)).sum();
        if self.top_k > 0 {
            top(row, self.top_k, picked);
            picked.retain(|(_, logit)| *logit > f32::NEG_INFINITY);
        }
        if self.top_p >= 1.0 {
            if self.top_k == 0 {
                let least = all.best + self.min_p.ln() / all.scale;
                above(row, least - 1e-3, picked);
            }
            return sum(picked);
        }
        let whole: f64 = match self.top_k {
            0 => row.chunks(BLOCK).map(|block| weigh(block, all.best, all.scale)).sum(),
            _ => sum(picked),
        };
        let enough = whole * f64::from(self.top_p);
        if self.top_k == 0 {
            for tail in TAILS {
                above(row, all.best + tail / all.scale, picked);
                if sum(picked) >= enough {
                    break;
                }
            }
            picked.sort_unstable_by(by_rank);
        }
        let (mut mass, mut kept) = (0.0, 0);
        for (_, logit) in picked.iter() {
            kept += 1;
            mass += all.of(*logit);
            if mass >= enough {
                break;
            }
        }
        picked.truncate(kept);
        mass
    }

    /// Draws from all tokens in their order, by blocks first and then within one.
    fn draw_of_all(&mut self, row: &[f32], all: Weights, blocks: &mut Vec<f64>) -> Option<usize> {
        blocks.clear();
        blocks.extend(row.chunks(BLOCK).map(|block| weigh(block, all.best, all.scale)));
        let mut left = self.chance.random::<f64>() * blocks.iter().sum::<f64>();
        let found = blocks.iter().position(|weight| {
            let here = left < *weight;
            left -= if here { 0.0 } else { *weight };
            here
        });
        // Rounding may leave a little at the end.
        let block = found.or_else(|| blocks.iter().rposition(|weight| *weight > 0.0))?;
        let inside = row.chunks(BLOCK).nth(block)?;
        let drawn = inside.iter().position(|logit| {
            left -= all.of(*logit);
            left < 0.0
        });
        let drawn = drawn.or_else(|| inside.iter().rposition(|logit| all.of(*logit) > 0.0))?;
        Some(block * BLOCK + drawn)
    }
}

/// All tokens at or above a logit, in their order.
fn above(row: &[f32], least: f32, picked: &mut Vec<(u32, f32)>) {
    picked.clear();
    let tokens = (0u32..).zip(row.iter().copied());
    picked.extend(tokens.filter(|(_, logit)| *logit >= least && *logit > f32::NEG_INFINITY));
}

/// What a logit weighs beside the likeliest one's 1.
#[derive(Clone, Copy, Debug)]
struct Weights {
    best: f32,
    /// The temperature's inverse.
    scale: f32,
}

impl Weights {
    fn of(self, logit: f32) -> f64 {
        f64::from(exp((logit - self.best) * self.scale))
    }
}

impl Penalties {
    /// `None`: nothing is taken from anybody.
    fn new(sampling: &Sampling, prompt: &[u32]) -> Option<Self> {
        let repetition = sampling.repetition_penalty.unwrap_or(1.0);
        let presence = sampling.presence_penalty.unwrap_or(0.0);
        let frequency = sampling.frequency_penalty.unwrap_or(0.0);
        let none = repetition == 1.0 && presence == 0.0 && frequency == 0.0;
        let seen = prompt.iter().map(|token| (*token, 0));
        (!none).then(|| Self { repetition, presence, frequency, seen: seen.collect() })
    }

    fn apply(&self, row: &mut [f32]) {
        for (token, times) in &self.seen {
            let index = usize::try_from(*token).unwrap_or(usize::MAX);
            let Some(logit) = row.get_mut(index) else { continue };
            *logit = if *logit > 0.0 { *logit / self.repetition } else { *logit * self.repetition };
            if *times > 0 {
                *logit -= self.presence + self.frequency * f32::from(*times);
            }
        }
    }
}

#[cfg(test)]
mod tests;
