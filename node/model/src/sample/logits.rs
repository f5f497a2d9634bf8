//! Sums over a row of logits, one for each token of the vocabulary. They run for every token of an
//! answer, so they do not allocate, and the compiler turns their loops into vector instructions.

use crate::step::Broken;

/// Number of logits whose weights are summed in single precision before the sum becomes a double. It is
/// small enough to lose no visible precision.
pub(super) const BLOCK: usize = 1024;

/// Number of sums that run side by side.
const LANES: usize = 16;

/// Below this, e^x is smaller than a normal `f32` and counts as 0.
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
    /// Fails on NaN and infinity, and where no token is possible.
    pub(crate) fn new(logits: &[f32]) -> Result<Self, Broken> {
        let best = highest(logits);
        let sum = logits.chunks(BLOCK).map(|block| weigh(block, best, 1.0)).sum();
        Self { best, sum }.check()
    }

    fn check(self) -> Result<Self, Broken> {
        if self.best.is_finite() && self.sum.is_finite() { Ok(self) } else { Err(Broken) }
    }

    /// The natural logarithm of the probability of a token: finite and at most 0.
    pub(crate) fn logprob(&self, logits: &[f32], index: usize) -> Result<f64, Broken> {
        self.logprob_of_any(logits, std::iter::once(index))
    }

    /// The same for all of `indices` together. A text does not show which of several end tokens ended
    /// it, so the end's probability is the sum of theirs.
    pub(crate) fn logprob_of_any(
        &self,
        logits: &[f32],
        indices: impl Iterator<Item = usize> + Clone,
    ) -> Result<f64, Broken> {
        // Relative to the likeliest of them, because its probability may underflow.
        let mut likeliest = f32::NEG_INFINITY;
        for index in indices.clone() {
            likeliest = likeliest.max(*logits.get(index).ok_or(Broken)?);
        }
        let share: f64 = indices
            .filter_map(|index| logits.get(index))
            .map(|logit| f64::from(logit - likeliest).exp())
            .sum();
        let logprob = f64::from(likeliest - self.best) + share.ln() - self.sum.ln();
        if logprob.is_finite() { Ok(logprob.min(0.0)) } else { Err(Broken) }
    }
}

/// The highest logit; minus infinity for an empty row.
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

/// e^x for x <= 0, to 2 units in the last place; 0 below [`LOWEST`]. Unlike the library's it has no
/// branch and no call, so a loop of it becomes vector instructions. The polynomial is that of Cephes'
/// `expf` (S. L. Moshier).
#[inline]
pub(super) fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 * 2^23 rounds to a whole number.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts: the first has few bits, so its multiples are exact.
    const LN2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    let offset = x * std::f32::consts::LOG2_E + ROUND;
    let whole = offset - ROUND;
    let r = x - whole * LN2.0 - whole * LN2.1;
    let mut poly = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        poly = poly * r + coefficient;
    }
    let fraction = poly * r * r + r + 1.0;
    // The whole part is in the lowest bits of `offset`; they become the exponent.
    let power = f32::from_bits((offset.to_bits() << 23).wrapping_add(127 << 23));
    if x < LOWEST { 0.0 } else { fraction * power }
}

/// Puts the `count` highest logits with their tokens into `candidates`: highest first, and the lower
/// token of equals first. It looks at each logit once and sorts only the candidates.
pub(super) fn top(logits: &[f32], count: usize, candidates: &mut Vec<(u32, f32)>) {
    candidates.clear();
    if count == 0 {
        return;
    }
    let mut floor = f32::NEG_INFINITY;
    for (token, logit) in (0u32..).zip(logits) {
        // Of equal logits, the lower token is in already.
        if *logit > floor || (candidates.len() < count && *logit >= floor) {
            candidates.push((token, *logit));
            if candidates.len() == 2 * count {
                candidates.select_nth_unstable_by(count - 1, by_rank);
                candidates.truncate(count);
                floor = candidates.last().map_or(floor, |(_, logit)| *logit);
            }
        }
    }
    candidates.sort_unstable_by(by_rank);
    candidates.truncate(count);
}

/// Order of the higher logit, and of the lower token among equals.
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
            let (fast, exact) = (f64::from(exp(x)), f64::from(x).exp());
            prop_assert!((fast / exact - 1.0).abs() < 3e-7, "{x}: {fast} {exact}");
        }

        #[test]
        fn the_normaliser_is_that_of_the_plain_formula(logits in logits()) {
            let normaliser = LogSum::new(&logits).unwrap();
            let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = logits.iter().map(|l| f64::from(l - best).exp()).sum();
            prop_assert_eq!(normaliser.best, best);
            prop_assert!((normaliser.sum / sum - 1.0).abs() < 1e-6, "{} {sum}", normaliser.sum);
        }

        #[test]
        fn the_top_is_that_of_sorting_everything(
            logits in proptest::collection::vec(-3i8..3, 0..200), count in 0usize..20,
        ) {
            // Few distinct values give many equal logits.
            let logits: Vec<f32> = logits.into_iter().map(f32::from).collect();
            let mut ranking: Vec<(u32, f32)> = (0u32..).zip(logits.iter().copied()).collect();
            ranking.sort_by(by_rank);
            ranking.truncate(count);
            let mut candidates = vec![(9, 9.0)];
            top(&logits, count, &mut candidates);
            prop_assert_eq!(candidates, ranking);
        }
    }

    #[test]
    fn what_is_impossible_weighs_nothing_and_what_is_no_number_breaks() {
        assert_eq!((exp(0.0), exp(f32::NEG_INFINITY)), (1.0, 0.0));
        assert!(exp(f32::NAN).is_nan());
        let with_mask = LogSum::new(&[1.0, f32::NEG_INFINITY, 1.0]).unwrap();
        assert_eq!((with_mask.best, with_mask.sum), (1.0, 2.0));
        for row in [&[f32::NAN, 1.0][..], &[f32::INFINITY, 1.0], &[f32::NEG_INFINITY], &[]] {
            assert_eq!(LogSum::new(row), Err(Broken), "{row:?}");
        }
        let mut long = vec![0.5; 2000];
        long[1999] = f32::NAN;
        assert_eq!(LogSum::new(&long), Err(Broken));
    }
}
