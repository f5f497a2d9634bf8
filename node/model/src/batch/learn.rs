//! What is learnt from rows where nothing is written: likelihoods, verdicts, vectors.

use shoal_proto::{embed::Vector, judge::Score};

use super::{job::Letters, write::count};
use crate::{
    pipeline::{Pooling, TextPipeline},
    sample::LogSum,
    step::Broken,
};

/// The likelihood of a candidate, summed up as its rows come.
#[derive(Debug)]
pub(super) struct Scorer {
    targets: Vec<u32>,
    beyond: usize,
    done: usize,
    sum: f64,
}

impl Scorer {
    pub(super) fn new(targets: Vec<u32>, beyond: usize) -> Self {
        Self { targets, beyond, done: 0, sum: 0.0 }
    }

    /// The logits before the next of the candidate's tokens.
    pub(super) fn take(&mut self, words: &TextPipeline, logits: &[f32]) -> Result<(), Broken> {
        let target = self.targets.get(self.done).ok_or(Broken)?;
        self.sum += words.logprob(logits, &LogSum::of(logits)?, *target)?;
        self.done += 1;
        Ok(())
    }

    /// Tokens outside of the context are as likely as any others of `vocab`.
    pub(super) fn finish(self, vocab: usize) -> Score {
        let beyond = (vocab as f64).ln() * self.beyond as f64;
        let tokens = count(self.targets.len().saturating_add(self.beyond));
        Score { logprob: self.sum - beyond, tokens }
    }
}

/// P(first) from the logits after the question: the mass of all spellings of each letter, one half
/// of what is undecided.
pub(super) fn verdict(logits: &[f32], letters: &Letters) -> Result<f64, Broken> {
    let sum = LogSum::of(logits)?;
    let of = |letters: &[u32]| {
        let indices = letters.iter().map(|token| usize::try_from(*token).unwrap_or(usize::MAX));
        sum.logprob_of_any(logits, indices)
    };
    // Relative to the first: what no letter gets is no opinion.
    let first = of(&letters.first)?;
    let second = (of(&letters.second)? - first).exp();
    let p = 1.0 / (1.0 + second);
    if letters.undecided.is_empty() {
        return Ok(p);
    }
    let undecided = (of(&letters.undecided)? - first).exp();
    // Where one is infinitely likelier, it alone speaks.
    let decided = (1.0 + second) / (1.0 + second + undecided);
    Ok(if decided.is_nan() { p } else { decided * p + (1.0 - decided) * 0.5 })
}

/// The vector of a text, added up as its rows come.
#[derive(Debug)]
pub(super) struct Pool {
    pooling: Pooling,
    sum: Vec<f64>,
}

impl Pool {
    pub(super) fn new(pooling: Pooling) -> Self {
        Self { pooling, sum: Vec::new() }
    }

    /// The row after the next token.
    pub(super) fn take(&mut self, row: &[f32]) {
        if self.pooling == Pooling::Last || self.sum.is_empty() {
            self.sum = vec![0.0; row.len()];
        }
        for (sum, x) in self.sum.iter_mut().zip(row) {
            *sum += f64::from(*x);
        }
    }

    /// Of length 1: its scale says nothing.
    pub(super) fn finish(self) -> Result<Vector, Broken> {
        let length = self.sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !(length.is_finite() && length > 0.0) {
            return Err(Broken);
        }
        Ok(Vector { values: self.sum.iter().map(|x| (x / length) as f32).collect() })
    }
}
