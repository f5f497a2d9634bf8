//! What keeping the weights in fewer bits does to a model: how surprised each version is by the
//! same text, and how far apart their predictions are.

use super::{
    sample::LogSum,
    step::{Broken, Decode, PAGE, Span, Want},
};

/// Tokens of a window, each read from its beginning; as long as most chats.
const WINDOW: usize = 512;

/// Rows asked for at once: their logits are as wide as the vocabulary.
const ROWS: usize = 16;

/// How a model read a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reading {
    /// Tokens that were predicted.
    pub tokens: usize,
    /// Natural logarithms of their probabilities, summed.
    pub logprob: f64,
    /// KL divergence from the reference to this model in nats, summed over the same places.
    pub divergence: f64,
    /// Places where both think the same token the likeliest.
    pub agreed: usize,
}

impl Reading {
    /// e to the mean surprise: 1 is a model that knows the text.
    pub fn perplexity(&self) -> f64 {
        (-self.logprob / self.tokens.max(1) as f64).exp()
    }

    /// Mean over the places, in nats.
    pub fn mean_divergence(&self) -> f64 {
        self.divergence / self.tokens.max(1) as f64
    }

    /// Share of the places.
    pub fn agreement(&self) -> f64 {
        self.agreed as f64 / self.tokens.max(1) as f64
    }
}

/// Reads `tokens` with a model and with a reference, place by place, so that only a few rows of
/// either are in memory.
///
/// # Errors
/// [`Broken`] as a model says it.
pub fn compare<D: Decode + ?Sized>(
    model: &mut D,
    reference: &mut D,
    tokens: &[u32],
) -> Result<Reading, Broken> {
    let vocab = model.vocab();
    let window = WINDOW.min(model.context()).min(reference.context()).max(2);
    let pages: Vec<u32> = (0..).take(window.div_ceil(PAGE)).collect();
    model.reserve(pages.len());
    reference.reserve(pages.len());
    let mut reading = Reading::default();
    for text in tokens.chunks(window) {
        let (inputs, targets) = (text, text.get(1..).unwrap_or_default());
        for (at, (part, targets)) in
            (0..).step_by(ROWS).zip(inputs.chunks(ROWS).zip(targets.chunks(ROWS)))
        {
            let span = Span { tokens: part, past: at, pages: &pages, want: Want::All };
            let (ours, theirs) = (model.step(&[span])?, reference.step(&[span])?);
            let rows = ours.chunks_exact(vocab).zip(theirs.chunks_exact(vocab));
            for ((ours, theirs), target) in rows.zip(targets) {
                reading.add(ours, theirs, *target)?;
            }
        }
    }
    Ok(reading)
}

impl Reading {
    fn add(&mut self, ours: &[f32], theirs: &[f32], target: u32) -> Result<(), Broken> {
        let (our_sum, their_sum) = (LogSum::of(ours)?, LogSum::of(theirs)?);
        let index = usize::try_from(target).map_err(|_| Broken)?;
        self.logprob += our_sum.logprob(ours, index)?;
        let log = |logit: f32, sum: &LogSum| f64::from(logit - sum.best) - sum.sum.ln();
        let apart = ours.iter().zip(theirs).map(|(our, their)| {
            let (our, their) = (log(*our, &our_sum), log(*their, &their_sum));
            their.exp() * (their - our)
        });
        self.divergence += apart.sum::<f64>().max(0.0);
        let best = |row: &[f32], sum: &LogSum| row.iter().position(|logit| *logit == sum.best);
        self.agreed += usize::from(best(ours, &our_sum) == best(theirs, &their_sum));
        self.tokens += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::fake::{Fake, VOCAB};

    fn fakes(memory: usize) -> (Fake, Fake) {
        let ((mut one, _), (other, _)) = (Fake::new(700), Fake::new(700));
        one.memory = memory;
        (one, other)
    }

    #[test]
    fn a_model_compared_with_itself_differs_in_nothing() {
        let tokens: Vec<u32> = (0..600).map(|n| n * n % VOCAB as u32).collect();
        let (mut one, mut other) = fakes(usize::MAX);
        let reading = compare(&mut one, &mut other, &tokens).unwrap();
        assert_eq!(reading.tokens, 511 + 87, "the first of a window is given");
        assert_eq!((reading.divergence, reading.agreement()), (0.0, 1.0));
        let mut sum = 0.0;
        for window in tokens.chunks(512) {
            for at in 1..window.len() {
                let row = other.logits(&window[..at]);
                sum += LogSum::of(&row).unwrap().logprob(&row, window[at] as usize).unwrap();
            }
        }
        assert!((reading.perplexity() - (-sum / 598.0f64).exp()).abs() < 1e-9);
    }

    #[test]
    fn another_model_is_as_far_away_as_its_predictions() {
        let tokens: Vec<u32> = (0..100).map(|n| n % VOCAB as u32).collect();
        let (mut one, mut other) = fakes(1);
        let reading = compare(&mut one, &mut other, &tokens).unwrap();
        assert!(reading.mean_divergence() > 0.1 && reading.agreement() < 0.9, "{reading:?}");
    }
}
