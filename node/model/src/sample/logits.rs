//! Sums over a row of logits, one for each token of the vocabulary: done for every token that is
//! written, so that they allocate nothing and leave the compiler room for vector instructions.

use crate::step::Broken;

/// Logits whose weights are summed in single precision before the sum becomes a double: so few
/// that no bit of it is lost that anybody sees.
pub(super) const BLOCK: usize = 1024;

/// Sums that run side by side.
const LANES: usize = 16;

/// Below this, e^x is smaller than a normal `f32` and counts as nothing.
const LOWEST: f32 = -87.0;

/// The normaliser of a row's softmax.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct LogSum {
    /// The highest logit.
    pub(crate) best: f32,
    /// The sum of e^(logit - best): at least 1.
    pub(crate) sum: f64,
}

impl LogSum {
    /// Fails on numbers that are none, and where no token is possible.
    pub(crate) fn of(logits: &[f32]) -> Result<Self, Broken> {
        let best = highest(logits);
        let sum = logits.chunks(BLOCK).map(|block| weigh(block, best, 1.0)).sum();
        Self { best, sum }.sound()
    }

    fn sound(self) -> Result<Self, Broken> {
        if self.best.is_finite() && self.sum.is_finite() { Ok(self) } else { Err(Broken) }
    }

    /// The natural logarithm of the probability of a token: finite and at most 0.
    pub(crate) fn logprob(&self, logits: &[f32], index: usize) -> Result<f64, Broken> {
        self.logprob_of_any(logits, std::iter::once(index))
    }

    /// The same for all of `indices` together: which of its end tokens a model ends with is
    /// nothing that a text shows, so that the end is as likely as all of them are.
    pub(crate) fn logprob_of_any(
        &self,
        logits: &[f32],
        indices: impl Iterator<Item = usize> + Clone,
    ) -> Result<f64, Broken> {
        // Relative to the likeliest of them, which may be too small for a number of its own.
        let mut likeliest = f32::NEG_INFINITY;
        for index in indices.clone() {
            likeliest = likeliest.max(*logits.get(index).ok_or(Broken)?);
        }
        let chosen = indices.filter_map(|index| logits.get(index));
        let share: f64 = chosen.map(|logit| f64::from(logit - likeliest).exp()).sum();
        let logprob = f64::from(likeliest - self.best) + share.ln() - self.sum.ln();
        if logprob.is_finite() { Ok(logprob.min(0.0)) } else { Err(Broken) }
    }
}

/// The highest of the logits; minus infinity when there is none.
pub(super) fn highest(logits: &[f32]) -> f32 {
    let (chunks, rest) = logits.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane = if *logit > *lane { *logit } else { *lane };
        }
    }
    lanes.iter().chain(rest).copied().fold(f32::NEG_INFINITY, f32::max)
}

/// The sum of e^((logit - best) / temperature) over at most [`BLOCK`] logits, with `scale` the
/// temperature's inverse.
pub(super) fn weigh(block: &[f32], best: f32, scale: f32) -> f64 {
    let (chunks, rest) = block.as_chunks::<LANES>();
    let mut lanes = [0f32; LANES];
    for chunk in chunks {
        for (lane, logit) in lanes.iter_mut().zip(chunk) {
            *lane += exp((logit - best) * scale);
        }
    }
    let rest = rest.iter().map(|logit| exp((logit - best) * scale));
    lanes.into_iter().chain(rest).map(f64::from).sum()
}

/// e^x for x <= 0, to 2 units in the last place; 0 below [`LOWEST`]. Written without a branch or a
/// call, unlike the library's, so that a loop of it becomes vector instructions. The polynomial is
/// that of Cephes' `expf` (S. L. Moshier).
#[inline]
pub(super) fn exp(x: f32) -> f32 {
    /// Added and taken away, it rounds to whole numbers: 1.5 * 2^23.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few bits, so that its multiples are exact.
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let r = x - whole * LN2.0 - whole * LN2.1;
    let mut poly = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        poly = poly * r + coefficient;
    }
    let fraction = poly * r * r + r + 1.0;
    // The whole part is in the lowest bits of `shifted`; they become the exponent.
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { fraction * power }
}

/// The `count` highest logits with their tokens, highest first and the lower token of equals
/// first, into `picked`. Looks at each logit once; nothing is sorted but what is picked.
pub(super) fn top(logits: &[f32], count: usize, picked: &mut Vec<(u32, f32)>) {
    picked.clear();
    if count == 0 {
        return;
    }
    let mut floor = f32::NEG_INFINITY;
    for (token, logit) in (0u32..).zip(logits) {
        // Of equals the first is in already.
        if *logit > floor || (picked.len() < count && *logit >= floor) {
            picked.push((token, *logit));
            if picked.len() == 2 * count {
                picked.select_nth_unstable_by(count - 1, by_rank);
                picked.truncate(count);
                floor = picked.last().map_or(floor, |(_, logit)| *logit);
            }
        }
    }
    picked.sort_unstable_by(by_rank);
    picked.truncate(count);
}

/// Higher logits first, of equals the lower token.
pub(super) fn by_rank(a: &(u32, f32), b: &(u32, f32)) -> std::cmp::Ordering {
    b.1.total_cmp(&a.1).then(a.0.cmp(&b.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logits() -> impl Strategy<Value = Vec<f32>> {
        proptest::collection::vec(-30f32..30.0, 1..3000)
    }

    proptest! {
        #[test]
        fn our_exp_is_the_librarys(x in -87f32..=0.0) {
            let (ours, exact) = (f64::from(exp(x)), f64::from(x).exp());
            prop_assert!((ours / exact - 1.0).abs() < 3e-7, "{x}: {ours} {exact}");
        }

        #[test]
        fn the_normaliser_is_that_of_the_plain_formula(logits in logits()) {
            let ours = LogSum::of(&logits).unwrap();
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|l| f64::from(l - best).exp()).sum();
            prop_assert_eq!(ours.best, best);
            prop_assert!((ours.sum / sum - 1.0).abs() < 1e-6, "{} {sum}", ours.sum);
        }

        #[test]
        fn the_top_is_that_of_sorting_everything(
            logits in proptest::collection::vec(-3i8..3, 0..200), count in 0usize..20,
        ) {
            // Few values: many equals.
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut all: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
            all.sort_by(by_rank);
            all.truncate(count);
            let mut picked = vec![(9, 9.0)];
            top(&logits, count, &mut picked);
            prop_assert_eq!(picked, all);
        }
    }

    #[test]
    fn what_is_impossible_weighs_nothing_and_what_is_no_number_breaks() {
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY)), (1.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
        let masked = LogSum::of(&[1.0, f32::NEG_INFINITY, 1.0]).unwrap();
        assert_eq!((masked.best, masked.sum), (1.0, 2.0));
        for broken in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[f32::NEG_INFINITY], &[]] {
            assert_eq!(LogSum::of(broken), Err(Broken), "{broken:?}");
        }
        let mut long = vec![0.5; 2000];
        long[1999] = f32::NAN;
        assert_eq!(LogSum::of(&long), Err(Broken));
    }
}
