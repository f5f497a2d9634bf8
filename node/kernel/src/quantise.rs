//! Activations rounded to bytes. A row's scales depend on that row alone, so its result depends on
//! nothing else. A scale covers 32 inputs for weights with scales of 32 inputs, and 256 inputs for
//! weights in super-blocks, as in llama.cpp (`block_q8_0`, `block_q8_K`).
#![expect(clippy::indexing_slicing, reason = "arrays of constant length")]

use crate::{
    matrix::{GROUP, SUPER},
    simd::Simd,
};

/// 32 activations, -127..=127, in fours.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Quads(pub(crate) [[i8; 4]; 8]);

/// The numbers that belong to 32 activations with a scale of their own. An activation is `scale * q`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct GroupScale {
    pub(crate) scale: f32,
    /// The sum of the activations, for formats with a minimum.
    pub(crate) sum: f32,
    /// The initial value of a sum of products with Q8 codes, which cancels the codes' offset.
    pub(crate) initial8: i32,
    /// The same for Q4, whose offset is 8.
    pub(crate) initial4: i32,
}

/// The numbers that belong to 256 activations with a common scale.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct SuperScale {
    pub(crate) scale: f32,
    /// The sum of the bytes of each 32 activations, two sums together.
    pub(crate) sums: [[i16; 2]; SUPER / 2],
    /// The initial values of the sums of products with each 16 Q6K codes, whose offset is 32.
    pub(crate) initial6: [[i32; 2]; SUPER],
}

/// Inputs that share a scale of [`SuperScale`].
pub(crate) const SUPER_INPUTS: usize = GROUP * SUPER;

/// Below this, 127 / max would not be finite. Values this small add nothing to a product.
const SMALLEST: f32 = 1e-30;

/// Quantises a row into every `step`th element of `quads` and `scales`. The last group is filled with
/// zeros.
#[inline(always)]
pub(crate) fn quantise_groups<S: Simd>(
    s: S,
    x: &[f32],
    quads: &mut [Quads],
    scales: &mut [GroupScale],
    step: usize,
) {
    let mut out = quads.iter_mut().zip(scales).step_by(step);
    let (groups, rest) = x.as_chunks::<GROUP>();
    for (x, (quads, scale)) in groups.iter().zip(&mut out) {
        *scale = quantise_group(s, x, quads);
    }
    if let Some((quads, scale)) = out.next() {
        let mut last = [0.0; GROUP];
        for (last, x) in last.iter_mut().zip(rest) {
            *last = *x;
        }
        *scale = quantise_group(s, &last, quads);
    }
}

#[inline(always)]
fn quantise_group<S: Simd>(s: S, x: &[f32; GROUP], quads: &mut Quads) -> GroupScale {
    let max = s.reduce_max(magnitudes(s, x));
    let sums = round_to_bytes(s, x, max, quads);
    let sum = sums[0] + sums[1];
    let scale = if max < SMALLEST { 0.0 } else { max / 127.0 };
    GroupScale { scale, sum: scale * sum as f32, initial8: -S::OFFSET8 * sum, initial4: -8 * sum }
}

/// Quantises a row into every `step`th element of `quads` and `scales`, with zeros past its end.
#[inline(always)]
pub(crate) fn quantise_supers<S: Simd>(
    s: S,
    x: &[f32],
    quads: &mut [Quads],
    scales: &mut [SuperScale],
    step: usize,
) {
    let mut groups = quads.iter_mut().step_by(step);
    for (x, out) in x.chunks(SUPER_INPUTS).zip(scales.iter_mut().step_by(step)) {
        let mut inputs = [[0.0; GROUP]; SUPER];
        for (input, x) in inputs.as_flattened_mut().iter_mut().zip(x) {
            *input = *x;
        }
        let mut magnitude = s.splat(0.0);
        for x in &inputs {
            magnitude = s.max(magnitude, magnitudes(s, x));
        }
        let max = s.reduce_max(magnitude);
        *out = SuperScale::default();
        if max >= SMALLEST {
            out.scale = max / 127.0;
        }
        for (group, (x, quads)) in inputs.iter().zip(&mut groups).enumerate() {
            let sums = round_to_bytes(s, x, max, quads);
            // At most 32 x 127.
            out.sums[group / 2][group % 2] = (sums[0] + sums[1]) as i16;
            out.initial6[group] = [-32 * sums[0], -32 * sums[1]];
        }
    }
}

/// The greater magnitude of the two halves, lane by lane.
#[inline(always)]
fn magnitudes<S: Simd>(s: S, x: &[f32; GROUP]) -> S::F {
    let (halves, _) = x.as_chunks::<16>();
    let (low, high, zero) = (s.load(&halves[0]), s.load(&halves[1]), s.splat(0.0));
    s.max(s.max(low, s.sub(zero, low)), s.max(high, s.sub(zero, high)))
}

/// Rounds to bytes, where 127 is `max`. Returns the sums of the bytes of the two halves.
#[inline(always)]
fn round_to_bytes<S: Simd>(s: S, x: &[f32; GROUP], max: f32, quads: &mut Quads) -> [i32; 2] {
    *quads = Quads::default();
    if max < SMALLEST {
        return [0; 2];
    }
    let (halves, _) = x.as_chunks::<16>();
    let inverse = s.splat(127.0 / max);
    let (low, high) = (s.mul(s.load(&halves[0]), inverse), s.mul(s.load(&halves[1]), inverse));
    let mut q = [[0; 16]; 2];
    let [first, second] = &mut q;
    s.to_i8(low, first);
    s.to_i8(high, second);
    // Exact: they are sums of small whole numbers.
    let sums = [s.reduce_sum(s.round(low)) as i32, s.reduce_sum(s.round(high)) as i32];
    let (bytes, _) = q.as_flattened().as_chunks::<4>();
    for (quad, bytes) in quads.0.iter_mut().zip(bytes) {
        *quad = *bytes;
    }
    sums
}
