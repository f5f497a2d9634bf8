//! Products with weights stored as floats.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use super::PanelTask;
use crate::{
    Format,
    matrix::Store,
    simd::{Floats, Halves, Simd},
};

/// Tokens that share a load of weights. Each token has two sums.
const TILE: usize = 8;

/// A type of float, and how a panel's weights of one input are loaded from it.
trait Weight {
    type Lanes;
    fn load<S: Simd>(s: S, lanes: &Self::Lanes) -> S::F;
}

struct F32;
struct Bf16;
struct F16;

impl Weight for F32 {
    type Lanes = Floats;
    #[inline(always)]
    fn load<S: Simd>(s: S, lanes: &Floats) -> S::F {
        s.load(&lanes.0)
    }
}

impl Weight for Bf16 {
    type Lanes = Halves;
    #[inline(always)]
    fn load<S: Simd>(s: S, lanes: &Halves) -> S::F {
        s.load_bf16(&lanes.0)
    }
}

impl Weight for F16 {
    type Lanes = Halves;
    #[inline(always)]
    fn load<S: Simd>(s: S, lanes: &Halves) -> S::F {
        s.load_f16(&lanes.0)
    }
}

#[inline(always)]
pub(super) fn multiply<S: Simd>(s: S, task: &PanelTask<'_>) {
    match (&task.product.matrix.store, task.product.matrix.format()) {
        (Store::Floats(weights), _) => panels::<S, F32>(s, task, weights),
        (Store::Halves(weights), Format::Bf16) => panels::<S, Bf16>(s, task, weights),
        (Store::Halves(weights), _) => panels::<S, F16>(s, task, weights),
        (Store::Codes(_), format) => debug_assert!(false, "codes of {format:?} are not floats"),
    }
}

#[inline(always)]
fn panels<S: Simd, W: Weight>(s: S, task: &PanelTask<'_>, weights: &[W::Lanes]) {
    let cols = task.product.matrix.cols();
    for panel in task.panels.clone() {
        let weights = &weights[panel * cols..][..cols];
        let mut token = 0;
        while token + TILE <= task.tokens {
            tile::<S, W, TILE>(s, task, panel, weights, token);
            token += TILE;
        }
        if token + 4 <= task.tokens {
            tile::<S, W, 4>(s, task, panel, weights, token);
            token += 4;
        }
        match task.tokens - token {
            1 => tile::<S, W, 1>(s, task, panel, weights, token),
            2 => tile::<S, W, 2>(s, task, panel, weights, token),
            3 => tile::<S, W, 3>(s, task, panel, weights, token),
            _ => {}
        }
    }
}

/// One panel times `T` tokens. Even and odd inputs have separate sums: a single sum would wait for
/// its last addition.
#[inline(always)]
fn tile<S: Simd, W: Weight, const T: usize>(
    s: S,
    task: &PanelTask<'_>,
    panel: usize,
    weights: &[W::Lanes],
    token: usize,
) {
    let cols = weights.len();
    let mut x: [&[f32]; T] = [&[]; T];
    for t in 0..T {
        x[t] = &task.x[(token + t) * cols..][..cols];
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
        task.write(s, panel, token + t, s.add(even[t], odd[t]));
    }
}
