//! NEON, with or without the byte products of ARMv8.2: sixteen lanes are four registers.
#![expect(unsafe_code, reason = "the processor's own instructions")]

use std::arch::{aarch64::*, asm, is_aarch64_feature_detected};

use crate::{
    isa::Kernel,
    simd::{Bytes, Line, Simd},
};

/// Made only by `detect`, so a value proves that the processor has these instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Neon<const DOT: bool>(());

impl<const DOT: bool> Neon<DOT> {
    pub(crate) fn detect() -> Option<Self> {
        let available = is_aarch64_feature_detected!("neon")
            && (!DOT || is_aarch64_feature_detected!("dotprod"));
        available.then_some(Self(()))
    }

    /// Runs the kernel with the features enabled.
    pub(crate) fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "neon")]
        fn run_neon<K: Kernel, S: Simd>(s: S, kernel: K) -> K::Output {
            kernel.run(s)
        }
        #[target_feature(enable = "neon,dotprod")]
        fn run_dot<K: Kernel, S: Simd>(s: S, kernel: K) -> K::Output {
            kernel.run(s)
        }
        // SAFETY: `self` was made by `detect`, so the processor has the features of its kind.
        unsafe { if DOT { run_dot(self, kernel) } else { run_neon(self, kernel) } }
    }
}

/// SAFETY of every block below: `self` was made by `detect`, so the processor has the instruction
/// (those of `dotprod` are inside `if DOT`), and each load and store is of an array reference as
/// long as the registers. A macro, so that this is written once.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: see above.
        unsafe { $e }
    };
}

/// The same instruction on the four quarters.
macro_rules! quarters {
    ($f:ident, $($a:expr),+) => {
        op!([$f($($a[0]),+), $f($($a[1]),+), $f($($a[2]),+), $f($($a[3]),+)])
    };
}

const LANES: [f32; 16] =
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0];

// Three instructions whose intrinsics are not stable in Rust 1.95. SAFETY of each: it reads and
// writes only registers, and the first two are part of every 64-bit ARM.

#[inline(always)]
unsafe fn widen(v: uint16x4_t) -> float32x4_t {
    let out;
    // SAFETY: see above.
    unsafe {
        asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) out, in(vreg) v,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

#[inline(always)]
unsafe fn narrow(v: float32x4_t) -> uint16x4_t {
    let out;
    // SAFETY: see above.
    unsafe {
        asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) out, in(vreg) v,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

/// The processor must have `dotprod`.
#[inline(always)]
unsafe fn sdot(sum: int32x4_t, w: int8x16_t, x: int8x16_t) -> int32x4_t {
    let mut out = sum;
    // SAFETY: see above.
    unsafe {
        asm!(".arch_extension dotprod", "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) out, in(vreg) w, in(vreg) x,
            options(pure, nomem, nostack, preserves_flags));
    }
    out
}

impl<const DOT: bool> Simd for Neon<DOT> {
    const TILE: usize = 4;
    const QUERIES: usize = 3;
    const OFFSET8: i32 = 0;

    type F = [float32x4_t; 4];
    type I = [int32x4_t; 4];
    type B = [int8x16_t; 4];
    type X = int8x16_t;
    type W = [[int16x8_t; 2]; 2];
    type N = [int32x4_t; 4];

    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        op!([vdupq_n_f32(v); 4])
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        let p = from.as_ptr();
        op!([vld1q_f32(p), vld1q_f32(p.add(4)), vld1q_f32(p.add(8)), vld1q_f32(p.add(12))])
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; 16]) {
        let p = to.as_mut_ptr();
        op!({
            vst1q_f32(p, v[0]);
            vst1q_f32(p.add(4), v[1]);
            vst1q_f32(p.add(8), v[2]);
            vst1q_f32(p.add(12), v[3]);
        });
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        op!({
            let (a, b) = (vld1q_u16(from.as_ptr()), vld1q_u16(from.as_ptr().add(8)));
            let (c, d) = (vget_low_u16(b), vget_high_u16(b));
            [widen(vget_low_u16(a)), widen(vget_high_u16(a)), widen(c), widen(d)]
        })
    }
    #[inline(always)]
    fn store_f16(self, v: Self::F, to: &mut [u16; 16]) {
        op!({
            let low = vcombine_u16(narrow(v[0]), narrow(v[1]));
            let high = vcombine_u16(narrow(v[2]), narrow(v[3]));
            vst1q_u16(to.as_mut_ptr(), low);
            vst1q_u16(to.as_mut_ptr().add(8), high);
        });
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        op!({
            let (a, b) = (vld1q_u16(from.as_ptr()), vld1q_u16(from.as_ptr().add(8)));
            [
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(a))),
                vreinterpretq_f32_u32(vshll_high_n_u16::<16>(a)),
                vreinterpretq_f32_u32(vshll_n_u16::<16>(vget_low_u16(b))),
                vreinterpretq_f32_u32(vshll_high_n_u16::<16>(b)),
            ]
        })
    }
    #[inline(always)]
    fn load_u8(self, from: &Bytes) -> Self::F {
        op!({
            let bytes = vld1q_u8(from.0.as_ptr());
            let (low, high) = (vmovl_u8(vget_low_u8(bytes)), vmovl_high_u8(bytes));
            [
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(low))),
                vcvtq_f32_u32(vmovl_high_u16(low)),
                vcvtq_f32_u32(vmovl_u16(vget_low_u16(high))),
                vcvtq_f32_u32(vmovl_high_u16(high)),
            ]
        })
    }
    #[inline(always)]
    fn load_i8(self, from: &Bytes) -> Self::F {
        op!({
            let bytes = vreinterpretq_s8_u8(vld1q_u8(from.0.as_ptr()));
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        })
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vaddq_f32, a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vsubq_f32, a, b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vmulq_f32, a, b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vdivq_f32, a, b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vmaxnmq_f32, a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        quarters!(vminnmq_f32, a, b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        quarters!(vfmaq_f32, c, a, b)
    }
    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        quarters!(vrndnq_f32, v)
    }
    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        let mut out = n;
        for out in &mut out {
            *out = op!({
                let bits = vaddq_s32(vcvtnq_s32_f32(*out), vdupq_n_s32(127));
                vreinterpretq_f32_s32(vshlq_n_s32::<23>(bits))
            });
        }
        out
    }
    #[inline(always)]
    fn select_greater(self, x: Self::F, limit: Self::F, value: Self::F) -> Self::F {
        let mut out = value;
        for ((out, x), limit) in out.iter_mut().zip(x).zip(limit) {
            *out = op!(vbslq_f32(vcgtq_f32(x, limit), *out, vdupq_n_f32(0.0)));
        }
        out
    }
    #[inline(always)]
    fn select_lanes(self, v: Self::F, from: usize, to: usize, fallback: Self::F) -> Self::F {
        let lanes = self.load(&LANES);
        let (from, to) = (from.min(16) as f32, to.min(16) as f32);
        let mut out = fallback;
        for ((out, v), lane) in out.iter_mut().zip(v).zip(lanes) {
            *out = op!({
                let lower = vcgeq_f32(lane, vdupq_n_f32(from));
                let upper = vcltq_f32(lane, vdupq_n_f32(to));
                vbslq_f32(vandq_u32(lower, upper), v, *out)
            });
        }
        out
    }
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        op!({
            let four = vaddq_f32(vaddq_f32(v[0], v[2]), vaddq_f32(v[1], v[3]));
            let two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
            vget_lane_f32::<0>(two) + vget_lane_f32::<1>(two)
        })
    }
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        op!(vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(v[0], v[1]), vmaxnmq_f32(v[2], v[3]))))
    }

    #[inline(always)]
    fn int(self, v: i32) -> Self::I {
        op!([vdupq_n_s32(v); 4])
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        quarters!(vcvtq_f32_s32, v)
    }
    #[inline(always)]
    fn to_i8(self, v: Self::F, to: &mut [i8; 16]) {
        op!({
            let low =
                vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[0])), vqmovn_s32(vcvtnq_s32_f32(v[1])));
            let high =
                vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(v[2])), vqmovn_s32(vcvtnq_s32_f32(v[3])));
            vst1q_s8(to.as_mut_ptr(), vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
        });
    }

    #[inline(always)]
    fn quad(self, x: &[i8; 4]) -> Self::X {
        let four = i32::from_ne_bytes(x.map(i8::cast_unsigned));
        op!(vreinterpretq_s8_s32(vdupq_n_s32(four)))
    }
    #[inline(always)]
    fn load_offset_codes(self, line: &Line) -> Self::B {
        let p = line.0.as_ptr();
        op!({
            let (a, b) = (vld1q_u8(p), vld1q_u8(p.add(16)));
            let (c, d) = (vld1q_u8(p.add(32)), vld1q_u8(p.add(48)));
            let offset = vdupq_n_u8(0x80);
            [
                vreinterpretq_s8_u8(veorq_u8(a, offset)),
                vreinterpretq_s8_u8(veorq_u8(b, offset)),
                vreinterpretq_s8_u8(veorq_u8(c, offset)),
                vreinterpretq_s8_u8(veorq_u8(d, offset)),
            ]
        })
    }
    #[inline(always)]
    fn load_nibbles(self, line: &Line) -> (Self::B, Self::B) {
        let p = line.0.as_ptr();
        op!({
            let mask = vdupq_n_u8(15);
            let (a, b) = (vld1q_u8(p), vld1q_u8(p.add(16)));
            let (c, d) = (vld1q_u8(p.add(32)), vld1q_u8(p.add(48)));
            let low = [
                vreinterpretq_s8_u8(vandq_u8(a, mask)),
                vreinterpretq_s8_u8(vandq_u8(b, mask)),
                vreinterpretq_s8_u8(vandq_u8(c, mask)),
                vreinterpretq_s8_u8(vandq_u8(d, mask)),
            ];
            let high = [
                vreinterpretq_s8_u8(vshrq_n_u8::<4>(a)),
                vreinterpretq_s8_u8(vshrq_n_u8::<4>(b)),
                vreinterpretq_s8_u8(vshrq_n_u8::<4>(c)),
                vreinterpretq_s8_u8(vshrq_n_u8::<4>(d)),
            ];
            (low, high)
        })
    }
    #[inline(always)]
    fn store_codes(self, w: Self::B, to: &mut Line) {
        for (to, w) in to.0.as_chunks_mut::<16>().0.iter_mut().zip(w) {
            op!(vst1q_s8(to.as_mut_ptr().cast(), w));
        }
    }
    #[inline(always)]
    fn load_codes(self, line: &Line) -> Self::B {
        let p = line.0.as_ptr().cast();
        op!([vld1q_s8(p), vld1q_s8(p.add(16)), vld1q_s8(p.add(32)), vld1q_s8(p.add(48))])
    }
    #[inline(always)]
    fn insert_bits(self, low: Self::B, high: &Line, field: usize) -> Self::B {
        let mut out = low;
        for (out, high) in out.iter_mut().zip(high.0.as_chunks::<16>().0) {
            *out = op!({
                let high = vld1q_u8(high.as_ptr());
                let high = match field {
                    0 => vshlq_n_u8::<4>(high),
                    1 => vshlq_n_u8::<2>(high),
                    2 => high,
                    _ => vshrq_n_u8::<2>(high),
                };
                vorrq_s8(*out, vreinterpretq_s8_u8(vandq_u8(high, vdupq_n_u8(0x30))))
            });
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
        for (out, w) in out.iter_mut().zip(w) {
            *out = if DOT {
                op!(sdot(*out, w, x))
            } else {
                op!({
                    let low = vmull_s8(vget_low_s8(w), vget_low_s8(x));
                    let high = vmull_high_s8(w, x);
                    vaddq_s32(*out, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))
                })
            };
        }
        out
    }
    #[inline(always)]
    fn begin_dot4(self, v: i32) -> Self::N {
        self.int(v)
    }
    #[inline(always)]
    fn dot4(self, sum: Self::N, w: Self::B, x: Self::X) -> Self::N {
        self.dot8(sum, w, x)
    }
    #[inline(always)]
    fn end_dot4(self, sum: Self::N, _: i32) -> Self::I {
        sum
    }

    /// The first bytes of all lanes, then the second bytes.
    #[inline(always)]
    fn byte_pairs(self, first: &Bytes, second: &Bytes) -> Self::W {
        op!([first, second].map(|bytes| {
            let bytes = vld1q_u8(bytes.0.as_ptr());
            [
                vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(bytes))),
                vreinterpretq_s16_u16(vmovl_high_u8(bytes)),
            ]
        }))
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Self::I, w: Self::W, x: &[i16; 2]) -> Self::I {
        let mut out = sum;
        for ([low, high], x) in w.into_iter().zip(x) {
            op!({
                out[0] = vmlal_n_s16(out[0], vget_low_s16(low), *x);
                out[1] = vmlal_high_n_s16(out[1], low, *x);
                out[2] = vmlal_n_s16(out[2], vget_low_s16(high), *x);
                out[3] = vmlal_high_n_s16(out[3], high, *x);
            });
        }
        out
    }

    /// The standard library has no stable prefetch for ARM; processors with NEON recognise sequential
    /// reads.
    #[inline(always)]
    fn prefetch<T>(self, _: &T, _: usize) {}
}
