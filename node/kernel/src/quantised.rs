//! Activations as bytes. A row's scales are of the row alone, so what becomes of it depends on nothing
//! else: of 32 inputs for weights whose scales are of 32, of 256 for those of super-blocks, as
//! llama.cpp has it (`block_q8_0`, `block_q8_K`).

use crate::{
    matrix::{GROUP, SUPER},
    simd::Simd,
};

/// 32 activations, -127..=127, in fours.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Quads(pub(crate) [[i8; 4]; 8]);

/// What goes with 32 activations that have a scale of their own: they are `scale * q`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct Fine {
    pub(crate) scale: f32,
    /// The sum of the activations, for formats with a minimum.
    pub(crate) sum: f32,
    /// What the sum of products with Q8's weights begins at, to take their offset off again.
    pub(crate) from8: i32,
    /// The same for Q4, whose offset is 8.
    pub(crate) from4: i32,
}

/// What goes with 256 activations that share a scale.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Coarse {
    pub(crate) scale: f32,
    /// Sums of the bytes of each 32, in twos.
    pub(crate) sums: [[i16; 2]; SUPER / 2],
    /// What the sums of products with each 16 of Q6K's weights begin at: their offset is 32.
    pub(crate) from6: [[i32; 2]; SUPER],
}

/// Inputs that share a scale of [`Coarse`].
pub(crate) const WIDE: usize = GROUP * SUPER;

/// Below this, 127 / max would not be finite; what is so small adds nothing.
const LEAST: f32 = 1e-30;

/// Quantises a row into every `step`th of `quads` and `fine`, whose last group is filled with zeros.
#[inline(always)]
pub(crate) fn finely<S: Simd>(
    s: S,
    x: &[f32],
    quads: &mut [Quads],
    fine: &mut [Fine],
    step: usize,
) {
    let mut out = quads.iter_mut().zip(fine).step_by(step);
    let (whole, rest) = x.as_chunks::<GROUP>();
    for (x, (quads, fine)) in whole.iter().zip(&mut out) {
        *fine = group(s, x, quads);
    }
    if let Some((quads, fine)) = out.next() {
        let mut last = [0.0; GROUP];
        for (last, x) in last.iter_mut().zip(rest) {
            *last = *x;
        }
        *fine = group(s, &last, quads);
    }
}

#[inline(always)]
fn group<S: Simd>(s: S, x: &[f32; GROUP], quads: &mut Quads) -> Fine {
    let greatest = s.greatest(sizes(s, x));
    let halves = round(s, x, greatest, quads);
    let sum = halves[0] + halves[1];
    let scale = if greatest < LEAST { 0.0 } else { greatest / 127.0 };
    Fine { scale, sum: scale * sum as f32, from8: -S::OFFSET8 * sum, from4: -8 * sum }
}

/// Quantises a row into every `step`th of `quads` and `coarse`; what lies past its end is zeros.
#[inline(always)]
pub(crate) fn coarsely<S: Simd>(
    s: S,
    x: &[f32],
    quads: &mut [Quads],
    coarse: &mut [Coarse],
    step: usize,
) {
    let mut groups = quads.iter_mut().step_by(step);
    for (x, out) in x.chunks(WIDE).zip(coarse.iter_mut().step_by(step)) {
        let mut wide = [[0.0; GROUP]; SUPER];
        for (to, from) in wide.as_flattened_mut().iter_mut().zip(x) {
            *to = *from;
        }
        let mut size = s.splat(0.0);
        for x in &wide {
            size = s.max(size, sizes(s, x));
        }
        let greatest = s.greatest(size);
        *out = Coarse::default();
        if greatest >= LEAST {
            out.scale = greatest / 127.0;
        }
        for (at, (x, quads)) in wide.iter().zip(&mut groups).enumerate() {
            let halves = round(s, x, greatest, quads);
            if let Some(sum) = out.sums.as_flattened_mut().get_mut(at) {
                // At most 32 x 127.
                *sum = (halves[0] + halves[1]) as i16;
            }
            if let Some(from) = out.from6.get_mut(at) {
                *from = [-32 * halves[0], -32 * halves[1]];
            }
        }
    }
}

/// The greater sizes of the two halves, lane by lane.
#[inline(always)]
fn sizes<S: Simd>(s: S, x: &[f32; GROUP]) -> S::F {
    let ([low, high], _) = x.as_chunks::<16>() else { return s.splat(0.0) };
    let (low, high, zero) = (s.load(low), s.load(high), s.splat(0.0));
    s.max(s.max(low, s.sub(zero, low)), s.max(high, s.sub(zero, high)))
}

/// Rounds to bytes of which 127 is `greatest`; sums of the bytes of both halves.
#[inline(always)]
fn round<S: Simd>(s: S, x: &[f32; GROUP], greatest: f32, quads: &mut Quads) -> [i32; 2] {
    *quads = Quads::default();
    if greatest < LEAST {
        return [0; 2];
    }
    let ([low, high], _) = x.as_chunks::<16>() else { return [0; 2] };
    let inverse = s.splat(127.0 / greatest);
    let (low, high) = (s.mul(s.load(low), inverse), s.mul(s.load(high), inverse));
    let mut q = [[0; 16]; 2];
    let [first, second] = &mut q;
    s.to_i8(low, first);
    s.to_i8(high, second);
    // Exact, being sums of small whole numbers.
    let halves = [s.sum(s.round(low)) as i32, s.sum(s.round(high)) as i32];
    let (fours, _) = q.as_flattened().as_chunks::<4>();
    for (to, from) in quads.0.iter_mut().zip(fours) {
        *to = *from;
    }
    halves
}
