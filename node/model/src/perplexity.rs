//! Measures the effect of weights in fewer bits: the perplexity of each version on the same text, and
//! the divergence of their predictions.

use super::{
    sample::LogSum,
    step::{Broken, Decode, PAGE, Span, Want},
};

/// Tokens of a window, each read from its start; as long as most chats.
const WINDOW: usize = 512;

/// Rows of one step: each is as wide as the vocabulary.
const ROWS: usize = 16;

/// A model's predictions on a text, compared with a reference.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Comparison {
    /// Number of predicted tokens.
    pub tokens: usize,
    /// Sum of the natural logarithms of their probabilities.
    pub logprob: f64,
    /// KL divergence from the reference to this model in nats, summed over the same tokens.
    pub divergence: f64,
    /// Number of tokens for which both models prefer the same token.
    pub agreements: usize,
}

impl Comparison {
    /// e to the mean surprise: 1 for a model that predicts the text with certainty.
    pub fn perplexity(&self) -> f64 {
        (-self.logprob / self.tokens.max(1) as f64).exp()
    }

    /// Mean divergence per token, in nats.
    pub fn mean_divergence(&self) -> f64 {
        self.divergence / self.tokens.max(1) as f64
    }

    /// Share of tokens for which both models prefer the same token.
    pub fn agreement(&self) -> f64 {
        self.agreements as f64 / self.tokens.max(1) as f64
    }
}

/// Reads `tokens` with a model and with a reference, step by step, so that memory holds only a few rows
/// of either.
///
/// # Errors
/// [`Broken`] when a step of a model fails.
pub fn compare<D: Decode + ?Sized>(
    model: &mut D,
    reference: &mut D,
    tokens: &[u32],
) -> Result<Comparison, Broken> {
    let vocab = model.vocab();
    let window = WINDOW.min(model.context()).min(reference.context()).max(2);
    let pages: Vec<u32> = (0..).take(window.div_ceil(PAGE)).collect();
    model.reserve(pages.len());
    reference.reserve(pages.len());
    let mut comparison = Comparison::default();
    for text in tokens.chunks(window) {
        let (inputs, targets) = (text, text.get(1..).unwrap_or_default());
        for (past, (part, targets)) in
            (0..).step_by(ROWS).zip(inputs.chunks(ROWS).zip(targets.chunks(ROWS)))
        {
            let span = Span { tokens: part, past, pages: &pages, want: Want::All };
            let (model_rows, reference_rows) = (model.step(&[span])?, reference.step(&[span])?);
            let rows = model_rows.chunks_exact(vocab).zip(reference_rows.chunks_exact(vocab));
            for ((row, reference_row), target) in rows.zip(targets) {
                comparison.add(row, reference_row, *target)?;
            }
        }
    }
    Ok(comparison)
}

impl Comparison {
    fn add(&mut self, row: &[f32], reference_row: &[f32], target: u32) -> Result<(), Broken> {
        let (sum, reference_sum) = (LogSum::new(row)?, LogSum::new(reference_row)?);
        let index = usize::try_from(target).map_err(|_| Broken)?;
        self.logprob += sum.logprob(row, index)?;
        let divergence: f64 = row
            .iter()
            .zip(reference_row)
            .map(|(logit, reference_logit)| {
                let log_p = log_probability(*logit, &sum);
                let log_q = log_probability(*reference_logit, &reference_sum);
                log_q.exp() * (log_q - log_p)
            })
            .sum();
        self.divergence += divergence.max(0.0);
        self.agreements += usize::from(argmax(row, &sum) == argmax(reference_row, &reference_sum));
        self.tokens += 1;
        Ok(())
    }
}

fn log_probability(logit: f32, sum: &LogSum) -> f64 {
    f64::from(logit - sum.best) - sum.sum.ln()
}

fn argmax(row: &[f32], sum: &LogSum) -> Option<usize> {
    row.iter().position(|logit| *logit == sum.best)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::fake::{Fake, VOCAB};

    fn fakes(memory: usize) -> (Fake, Fake) {
        let ((mut model, _), (reference, _)) = (Fake::new(700), Fake::new(700));
        model.memory = memory;
        (model, reference)
    }

    #[test]
    fn a_model_compared_with_itself_differs_in_nothing() {
        let tokens: Vec<u32> = (0..600).map(|n| n * n % VOCAB as u32).collect();
        let (mut model, mut reference) = fakes(usize::MAX);
        let comparison = compare(&mut model, &mut reference, &tokens).unwrap();
        assert_eq!(comparison.tokens, 511 + 87, "the first of a window is given");
        assert_eq!((comparison.divergence, comparison.agreement()), (0.0, 1.0));
        let mut sum = 0.0;
        for window in tokens.chunks(512) {
            for length in 1..window.len() {
                let row = reference.logits(&window[..length]);
                sum += LogSum::new(&row).unwrap().logprob(&row, window[length] as usize).unwrap();
            }
        }
        assert!((comparison.perplexity() - (-sum / 598.0f64).exp()).abs() < 1e-9);
    }

    #[test]
    fn another_model_is_as_far_away_as_its_predictions() {
        let tokens: Vec<u32> = (0..100).map(|n| n % VOCAB as u32).collect();
        let (mut model, mut reference) = fakes(1);
        let comparison = compare(&mut model, &mut reference, &tokens).unwrap();
        assert!(
            comparison.mean_divergence() > 0.1 && comparison.agreement() < 0.9,
            "{comparison:?}"
        );
    }
}
