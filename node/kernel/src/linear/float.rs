//! Products with weights kept as floats.

use super::Panels;
use crate::{
    Format,
    matrix::Store,
    simd::{Floats, Halves, Simd},
};

/// Tokens that share a load of weights, with two sums each.
const TILE: usize = 8;

/// How a panel's weights of one input become floats.
trait Weights {
    type Kept;
    fn load<S: Simd>(s: S, kept: &Self::Kept) -> S::F;
}

struct Full;
struct Brain;
struct Half;

impl Weights for Full {
    type Kept = Floats;
    #[inline(always)]
    fn load<S: Simd>(s: S, kept: &Floats) -> S::F {
        s.load(&kept.0)
    }
}

impl Weights for Brain {
    type Kept = Halves;
    #[inline(always)]
    fn load<S: Simd>(s: S, kept: &Halves) -> S::F {
        s.load_bf16(&kept.0)
    }
}

impl Weights for Half {
    type Kept = Halves;
    #[inline(always)]
    fn load<S: Simd>(s: S, kept: &Halves) -> S::F {
        s.load_f16(&kept.0)
    }
}

#[inline(always)]
pub(super) fn panels<S: Simd>(s: S, job: &Panels<'_>) {
    match (&job.product.matrix.store, job.product.matrix.format()) {
        (Store::Floats(weights), _) => each::<S, Full>(s, job, weights),
        (Store::Halves(weights), Format::Bf16) => each::<S, Brain>(s, job, weights),
        (Store::Halves(weights), _) => each::<S, Half>(s, job, weights),
        (Store::Codes(_), _) => {}
    }
}

#[inline(always)]
fn each<S: Simd, W: Weights>(s: S, job: &Panels<'_>, weights: &[W::Kept]) {
    let cols = job.product.matrix.cols();
    for panel in job.panels.clone() {
        let weights = &weights[panel * cols..][..cols];
        let mut token = 0;
        while token + TILE <= job.tokens {
            tile::<S, W, TILE>(s, job, panel, weights, token);
            token += TILE;
        }
        if token + 4 <= job.tokens {
            tile::<S, W, 4>(s, job, panel, weights, token);
            token += 4;
        }
        match job.tokens - token {
            1 => tile::<S, W, 1>(s, job, panel, weights, token),
            2 => tile::<S, W, 2>(s, job, panel, weights, token),
            3 => tile::<S, W, 3>(s, job, panel, weights, token),
            _ => {}
        }
    }
}

/// One panel times `T` tokens. Even and odd inputs are summed apart: one sum would wait for itself.
#[inline(always)]
fn tile<S: Simd, W: Weights, const T: usize>(
    s: S,
    job: &Panels<'_>,
    panel: usize,
    weights: &[W::Kept],
    token: usize,
) {
    let cols = weights.len();
    let mut x: [&[f32]; T] = [&[]; T];
    for t in 0..T {
        x[t] = &job.x[(token + t) * cols..][..cols];
    }
    let mut even = [s.splat(0.0); T];
    let mut odd = even;
    let (pairs, last) = weights.as_chunks::<2>();
    for (pair, [first, second]) in pairs.iter().enumerate() {
        let (first, second) = (W::load(s, first), W::load(s, second));
        for t in 0..T {
            even[t] = s.fma(first, s.splat(x[t][pair * 2]), even[t]);
            odd[t] = s.fma(second, s.splat(x[t][pair * 2 + 1]), odd[t]);
        }
    }
    if let [last] = last {
        let last = W::load(s, last);
        for t in 0..T {
            even[t] = s.fma(last, s.splat(x[t][cols - 1]), even[t]);
        }
    }
    for t in 0..T {
        job.put(s, panel, token + t, s.add(even[t], odd[t]));
    }
}
