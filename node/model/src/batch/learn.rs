//! Results from rows of sequences that write nothing: likelihoods, verdicts, vectors.

use shoal_proto::{embed::Vector, judge::Score};

use super::{job::Letters, write::count};
use crate::{
    pipeline::{Pooling, TextPipeline},
    sample::LogSum,
    step::Broken,
};

/// The likelihood of a candidate, summed up row by row.
#[derive(Debug)]
pub(super) struct Scorer {
    targets: Vec<u32>,
    beyond: usize,
    position: usize,
    sum: f64,
}

impl Scorer {
    pub(super) fn new(targets: Vec<u32>, beyond: usize) -> Self {
        Self { targets, beyond, position: 0, sum: 0.0 }
    }

    /// Takes the logits before the next token of the candidate.
    pub(super) fn take(&mut self, pipeline: &TextPipeline, logits: &[f32]) -> Result<(), Broken> {
        let target = self.targets.get(self.position).ok_or(Broken)?;
        self.sum += pipeline.logprob(logits, &LogSum::new(logits)?, *target)?;
        self.position += 1;
        Ok(())
    }

    /// Each token beyond the context counts as likely as any of `vocab` tokens.
    pub(super) fn finish(self, vocab: usize) -> Score {
        let beyond = (vocab as f64).ln() * self.beyond as f64;
        let tokens = count(self.targets.len().saturating_add(self.beyond));
        Score { logprob: self.sum - beyond, tokens }
    }
}

/// P(first) from the logits after the question: the mass of all spellings of each letter, and one half
/// of the mass of the tie.
pub(super) fn verdict(logits: &[f32], letters: &Letters) -> Result<f64, Broken> {
    let sum = LogSum::new(logits)?;
    // Relative to the first letter: mass outside of the letters is no opinion.
    let first = mass(&sum, logits, &letters.first)?;
    let second = (mass(&sum, logits, &letters.second)? - first).exp();
    let p = 1.0 / (1.0 + second);
    if letters.tie.is_empty() {
        return Ok(p);
    }
    let tie = (mass(&sum, logits, &letters.tie)? - first).exp();
    // NaN: one letter is infinitely likelier than the first, and `p` says all.
    let decisive = (1.0 + second) / (1.0 + second + tie);
    Ok(if decisive.is_nan() { p } else { decisive * p + (1.0 - decisive) * 0.5 })
}

/// Log of the probability of all tokens together.
fn mass(sum: &LogSum, logits: &[f32], tokens: &[u32]) -> Result<f64, Broken> {
    let indices = tokens.iter().map(|token| usize::try_from(*token).unwrap_or(usize::MAX));
    sum.logprob_of_any(logits, indices)
}

/// The embedding of a text, summed up row by row.
#[derive(Debug)]
pub(super) struct Pool {
    pooling: Pooling,
    sum: Vec<f64>,
}

impl Pool {
    pub(super) fn new(pooling: Pooling) -> Self {
        Self { pooling, sum: Vec::new() }
    }

    /// Takes the row after the next token.
    pub(super) fn take(&mut self, row: &[f32]) {
        if self.pooling == Pooling::Last || self.sum.is_empty() {
            self.sum = vec![0.0; row.len()];
        }
        for (sum, x) in self.sum.iter_mut().zip(row) {
            *sum += f64::from(*x);
        }
    }

    /// The vector, scaled to length 1 because its length means nothing.
    pub(super) fn finish(self) -> Result<Vector, Broken> {
        let length = self.sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Err(Broken);
        }
        Ok(Vector { values: self.sum.iter().map(|x| (x / length) as f32).collect() })
    }
}
