//! Plain Rust: the reference, and the fallback for a processor without the other instruction sets.

use half::{bf16, f16};

use crate::simd::{Bytes, Line, Simd};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Scalar;

/// One operation over all lanes.
macro_rules! lanes {
    ($i:ident => $e:expr) => {{
        let mut out = [Default::default(); 16];
        for $i in 0..16 {
            out[$i] = $e;
        }
        out
    }};
}

#[expect(clippy::indexing_slicing, reason = "sixteen lanes of arrays of sixteen")]
#[expect(clippy::needless_range_loop, reason = "lanes are counted")]
impl Simd for Scalar {
    const TILE: usize = 4;
    const QUERIES: usize = 4;
    const OFFSET8: i32 = 0;

    type F = [f32; 16];
    type I = [i32; 16];
    type B = [i8; 64];
    type X = [i8; 4];
    type W = [[i32; 2]; 16];
    type N = [i32; 16];

    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        [v; 16]
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        *from
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; 16]) {
        *to = v;
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        lanes!(i => f16::from_bits(from[i]).to_f32())
    }
    #[inline(always)]
    fn store_f16(self, v: Self::F, to: &mut [u16; 16]) {
        *to = lanes!(i => f16::from_f32(v[i]).to_bits());
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        lanes!(i => bf16::from_bits(from[i]).to_f32())
    }
    #[inline(always)]
    fn load_u8(self, from: &Bytes) -> Self::F {
        lanes!(i => f32::from(from.0[i]))
    }
    #[inline(always)]
    fn load_i8(self, from: &Bytes) -> Self::F {
        lanes!(i => f32::from(from.0[i].cast_signed()))
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] + b[i])
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] - b[i])
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] * b[i])
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => a[i] / b[i])
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => if a[i] > b[i] { a[i] } else { b[i] })
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        lanes!(i => if a[i] < b[i] { a[i] } else { b[i] })
    }
    /// Rounded once, as in the other instruction sets. It is a function call where the compiler may
    /// not assume the instruction.
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        lanes!(i => a[i].mul_add(b[i], c[i]))
    }
    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        lanes!(i => v[i].round_ties_even())
    }
    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        #[expect(clippy::cast_possible_truncation, reason = "whole and small")]
        {
            lanes!(i => f32::from_bits(((n[i] as i32 + 127) << 23).cast_unsigned()))
        }
    }
    #[inline(always)]
    fn select_greater(self, x: Self::F, limit: Self::F, value: Self::F) -> Self::F {
        lanes!(i => if x[i] > limit[i] { value[i] } else { 0.0 })
    }
    #[inline(always)]
    fn select_lanes(self, v: Self::F, from: usize, to: usize, fallback: Self::F) -> Self::F {
        lanes!(i => if from <= i && i < to { v[i] } else { fallback[i] })
    }
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        let mut v = v;
        for distance in [8, 4, 2, 1] {
            for i in 0..distance {
                v[i] += v[i + distance];
            }
        }
        v[0]
    }
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        v.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b))
    }

    #[inline(always)]
    fn int(self, v: i32) -> Self::I {
        [v; 16]
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        lanes!(i => v[i] as f32)
    }
    #[inline(always)]
    fn to_i8(self, v: Self::F, to: &mut [i8; 16]) {
        *to = lanes!(i => v[i].round_ties_even() as i8);
    }

    #[inline(always)]
    fn quad(self, x: &[i8; 4]) -> Self::X {
        *x
    }
    #[inline(always)]
    fn load_offset_codes(self, line: &Line) -> Self::B {
        let mut out = [0; 64];
        for i in 0..64 {
            out[i] = (line.0[i] ^ 0x80).cast_signed();
        }
        out
    }
    #[inline(always)]
    fn load_nibbles(self, line: &Line) -> (Self::B, Self::B) {
        let (mut low, mut high) = ([0; 64], [0; 64]);
        for i in 0..64 {
            low[i] = (line.0[i] & 15).cast_signed();
            high[i] = (line.0[i] >> 4).cast_signed();
        }
        (low, high)
    }
    #[inline(always)]
    fn store_codes(self, w: Self::B, to: &mut Line) {
        to.0 = w.map(i8::cast_unsigned);
    }
    #[inline(always)]
    fn load_codes(self, line: &Line) -> Self::B {
        line.0.map(u8::cast_signed)
    }
    #[inline(always)]
    fn insert_bits(self, low: Self::B, high: &Line, field: usize) -> Self::B {
        let mut out = low;
        for i in 0..64 {
            out[i] |= ((high.0[i] >> (2 * field)) & 3).cast_signed() << 4;
        }
        out
    }
    #[inline(always)]
    fn dot7(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I {
        self.dot8(sum, w, x)
    }
    #[inline(always)]
    fn dot8(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I {
        let mut out = sum;
        for i in 0..64 {
            out[i / 4] += i32::from(w[i]) * i32::from(x[i % 4]);
        }
        out
    }
    #[inline(always)]
    fn begin_dot4(self, v: i32) -> Self::N {
        [v; 16]
    }
    #[inline(always)]
    fn dot4(self, sum: Self::N, w: Self::B, x: Self::X) -> Self::N {
        self.dot8(sum, w, x)
    }
    #[inline(always)]
    fn end_dot4(self, sum: Self::N, _: i32) -> Self::I {
        sum
    }

    #[inline(always)]
    fn byte_pairs(self, first: &Bytes, second: &Bytes) -> Self::W {
        lanes!(i => [i32::from(first.0[i]), i32::from(second.0[i])])
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Self::I, w: Self::W, x: &[i16; 2]) -> Self::I {
        lanes!(i => sum[i] + w[i][0] * i32::from(x[0]) + w[i][1] * i32::from(x[1]))
    }

    #[inline(always)]
    fn prefetch<T>(self, _: &T, _: usize) {}
}
