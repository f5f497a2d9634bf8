//! Activations as bytes: each 32 of a row get a scale of their own, so what becomes of a row depends
//! on nothing but the row.

use crate::{matrix::GROUP, simd::Simd};

/// 32 activations: `scale * q`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Quads {
    /// -127..=127
    pub(crate) q: [[i8; 4]; 8],
    pub(crate) scale: f32,
    /// The sum of the activations, for formats with a minimum.
    pub(crate) sum: f32,
    /// What the sum of products with Q8's weights begins at, to take their offset off again.
    pub(crate) from8: i32,
    /// The same for Q4, whose offset is 8.
    pub(crate) from4: i32,
    /// The same for each half of Q6K, whose offset is 32.
    pub(crate) from6: [i32; 2],
}

/// Quantises a row of activations into every `step`th of `out`, whose last group is filled with
/// zeros.
#[inline(always)]
pub(crate) fn quantise<S: Simd>(s: S, x: &[f32], out: &mut [Quads], step: usize) {
    let whole = x.len() / GROUP * GROUP;
    let (body, rest) = x.split_at(whole);
    let mut out = out.iter_mut().step_by(step);
    for (x, out) in body.as_chunks::<GROUP>().0.iter().zip(&mut out) {
        *out = group(s, x);
    }
    if let Some(out) = out.next() {
        let mut last = [0.0; GROUP];
        for (last, x) in last.iter_mut().zip(rest) {
            *last = *x;
        }
        *out = group(s, &last);
    }
}

#[inline(always)]
fn group<S: Simd>(s: S, x: &[f32; GROUP]) -> Quads {
    /// Below this, 127 / max would not be finite; what is so small adds nothing.
    const LEAST: f32 = 1e-30;
    let ([low, high], _) = x.as_chunks::<16>() else { return Quads::default() };
    let (low, high) = (s.load(low), s.load(high));
    let zero = s.splat(0.0);
    let size = s.max(s.max(low, s.sub(zero, low)), s.max(high, s.sub(zero, high)));
    let greatest = s.greatest(size);
    if greatest < LEAST {
        return Quads::default();
    }
    let inverse = s.splat(127.0 / greatest);
    let mut q = [[0; 16]; 2];
    let [first, second] = &mut q;
    s.to_i8(s.mul(low, inverse), first);
    s.to_i8(s.mul(high, inverse), second);
    let mut halves = [0; 2];
    for (sum, q) in halves.iter_mut().zip(&q) {
        for q in q {
            *sum += i32::from(*q);
        }
    }
    let sum = halves[0] + halves[1];
    let mut quads = Quads { scale: greatest / 127.0, ..Quads::default() };
    let (fours, _) = q.as_flattened().as_chunks::<4>();
    for (to, from) in quads.q.iter_mut().zip(fours) {
        *to = *from;
    }
    quads.sum = quads.scale * sum as f32;
    quads.from8 = -S::OFFSET8 * sum;
    quads.from4 = -8 * sum;
    quads.from6 = [-32 * halves[0], -32 * halves[1]];
    quads
}
