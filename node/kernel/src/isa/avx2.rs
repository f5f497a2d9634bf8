//! AVX2, with or without VNNI: sixteen lanes are two registers.
#![expect(unsafe_code, reason = "the processor's own instructions")]

use std::arch::x86_64::*;

use crate::{
    isa::Kernel,
    simd::{Bytes, Line, Simd, pack_pair},
};

/// Made only by `detect`, so a value proves that the processor has these instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2<const VNNI: bool>(());

impl<const VNNI: bool> Avx2<VNNI> {
    pub(crate) fn detect() -> Option<Self> {
        let available = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c")
            && (!VNNI || is_x86_feature_detected!("avxvnni"));
        available.then_some(Self(()))
    }

    /// Runs the kernel with the features enabled.
    pub(crate) fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn run_avx2<K: Kernel, S: Simd>(s: S, kernel: K) -> K::Output {
            kernel.run(s)
        }
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        fn run_vnni<K: Kernel, S: Simd>(s: S, kernel: K) -> K::Output {
            kernel.run(s)
        }
        // SAFETY: `self` was made by `detect`, so the processor has the features of its kind.
        unsafe { if VNNI { run_vnni(self, kernel) } else { run_avx2(self, kernel) } }
    }
}

/// SAFETY of every block below: `self` was made by `detect`, so the processor has the instruction
/// (those of VNNI are inside `if VNNI`), and each load and store is of an array reference as long
/// as the registers (unaligned forms, which take any address). A macro, so that this is written once.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: see above.
        unsafe { $e }
    };
}

/// The same instruction on the two halves.
macro_rules! halves {
    ($f:ident, $($a:expr),+) => {
        op!([$f($($a[0]),+), $f($($a[1]),+)])
    };
}

/// The numbers of lanes 0..8 and 8..16.
const LANES: [[f32; 8]; 2] =
    [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [8.0, 9.0, 10.0, 11.0, 12.0, 13.0, 14.0, 15.0]];

impl<const VNNI: bool> Simd for Avx2<VNNI> {
    const TILE: usize = 4;
    const QUERIES: usize = 3;
    const OFFSET8: i32 = if VNNI { 128 } else { 0 };

    type F = [__m256; 2];
    type I = [__m256i; 2];
    type B = [__m256i; 2];
    type X = __m256i;
    type W = [__m256i; 2];
    type N = [__m256i; 2];

    #[inline(always)]
    fn splat(self, v: f32) -> Self::F {
        op!([_mm256_set1_ps(v); 2])
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> Self::F {
        op!([_mm256_loadu_ps(from.as_ptr()), _mm256_loadu_ps(from.as_ptr().add(8))])
    }
    #[inline(always)]
    fn store(self, v: Self::F, to: &mut [f32; 16]) {
        op!({
            _mm256_storeu_ps(to.as_mut_ptr(), v[0]);
            _mm256_storeu_ps(to.as_mut_ptr().add(8), v[1]);
        });
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> Self::F {
        op!([
            _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())),
            _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().add(8).cast())),
        ])
    }
    #[inline(always)]
    fn store_f16(self, v: Self::F, to: &mut [u16; 16]) {
        op!({
            let low = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[0]);
            let high = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v[1]);
            _mm_storeu_si128(to.as_mut_ptr().cast(), low);
            _mm_storeu_si128(to.as_mut_ptr().add(8).cast(), high);
        });
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> Self::F {
        op!({
            let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().cast()));
            let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(from.as_ptr().add(8).cast()));
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<16>(high)),
            ]
        })
    }
    #[inline(always)]
    fn load_u8(self, from: &Bytes) -> Self::F {
        op!({
            let bytes = _mm_load_si128(from.0.as_ptr().cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        })
    }
    #[inline(always)]
    fn load_i8(self, from: &Bytes) -> Self::F {
        op!({
            let bytes = _mm_load_si128(from.0.as_ptr().cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        })
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_add_ps, a, b)
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_sub_ps, a, b)
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_mul_ps, a, b)
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_div_ps, a, b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_max_ps, a, b)
    }
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        halves!(_mm256_min_ps, a, b)
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        halves!(_mm256_fmadd_ps, a, b, c)
    }
    #[inline(always)]
    fn round(self, v: Self::F) -> Self::F {
        const NEAREST: i32 = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC;
        op!([_mm256_round_ps::<NEAREST>(v[0]), _mm256_round_ps::<NEAREST>(v[1])])
    }
    #[inline(always)]
    fn pow2(self, n: Self::F) -> Self::F {
        op!({
            let bias = _mm256_set1_epi32(127);
            let low = _mm256_add_epi32(_mm256_cvtps_epi32(n[0]), bias);
            let high = _mm256_add_epi32(_mm256_cvtps_epi32(n[1]), bias);
            [
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(low)),
                _mm256_castsi256_ps(_mm256_slli_epi32::<23>(high)),
            ]
        })
    }
    #[inline(always)]
    fn select_greater(self, x: Self::F, limit: Self::F, value: Self::F) -> Self::F {
        op!([
            _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(x[0], limit[0]), value[0]),
            _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(x[1], limit[1]), value[1]),
        ])
    }
    #[inline(always)]
    fn select_lanes(self, v: Self::F, from: usize, to: usize, fallback: Self::F) -> Self::F {
        op!({
            let from = _mm256_set1_ps(from.min(16) as f32);
            let to = _mm256_set1_ps(to.min(16) as f32);
            let mut out = fallback;
            for ((out, v), lanes) in out.iter_mut().zip(v).zip(&LANES) {
                let lane = _mm256_loadu_ps(lanes.as_ptr());
                let mask = _mm256_and_ps(
                    _mm256_cmp_ps::<_CMP_GE_OQ>(lane, from),
                    _mm256_cmp_ps::<_CMP_LT_OQ>(lane, to),
                );
                *out = _mm256_blendv_ps(*out, v, mask);
            }
            out
        })
    }
    #[inline(always)]
    fn reduce_sum(self, v: Self::F) -> f32 {
        op!({
            let eight = _mm256_add_ps(v[0], v[1]);
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn reduce_max(self, v: Self::F) -> f32 {
        op!({
            let eight = _mm256_max_ps(v[0], v[1]);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }

    #[inline(always)]
    fn int(self, v: i32) -> Self::I {
        op!([_mm256_set1_epi32(v); 2])
    }
    #[inline(always)]
    fn to_float(self, v: Self::I) -> Self::F {
        halves!(_mm256_cvtepi32_ps, v)
    }
    #[inline(always)]
    fn to_i8(self, v: Self::F, to: &mut [i8; 16]) {
        op!({
            let ints = [_mm256_cvtps_epi32(v[0]), _mm256_cvtps_epi32(v[1])];
            // Packing works within halves of a register: its order is 0-3 8-11 4-7 12-15. The
            // permutation restores the order.
            let words = _mm256_packs_epi32(ints[0], ints[1]);
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let low = _mm256_castsi256_si128(words);
            let high = _mm256_extracti128_si256::<1>(words);
            _mm_storeu_si128(to.as_mut_ptr().cast(), _mm_packs_epi16(low, high));
        });
    }

    #[inline(always)]
    fn quad(self, x: &[i8; 4]) -> Self::X {
        op!(_mm256_set1_epi32(i32::from_ne_bytes(x.map(i8::cast_unsigned))))
    }
    #[inline(always)]
    fn load_offset_codes(self, line: &Line) -> Self::B {
        op!({
            let low = _mm256_load_si256(line.0.as_ptr().cast());
            let high = _mm256_load_si256(line.0.as_ptr().add(32).cast());
            if VNNI {
                [low, high]
            } else {
                let offset = _mm256_set1_epi8(i8::MIN);
                [_mm256_xor_si256(low, offset), _mm256_xor_si256(high, offset)]
            }
        })
    }
    #[inline(always)]
    fn load_nibbles(self, line: &Line) -> (Self::B, Self::B) {
        op!({
            let mask = _mm256_set1_epi8(15);
            let first = _mm256_load_si256(line.0.as_ptr().cast());
            let second = _mm256_load_si256(line.0.as_ptr().add(32).cast());
            let low = [_mm256_and_si256(first, mask), _mm256_and_si256(second, mask)];
            let high = [
                _mm256_and_si256(_mm256_srli_epi16::<4>(first), mask),
                _mm256_and_si256(_mm256_srli_epi16::<4>(second), mask),
            ];
            (low, high)
        })
    }
    #[inline(always)]
    fn store_codes(self, w: Self::B, to: &mut Line) {
        op!({
            _mm256_store_si256(to.0.as_mut_ptr().cast(), w[0]);
            _mm256_store_si256(to.0.as_mut_ptr().add(32).cast(), w[1]);
        });
    }
    #[inline(always)]
    fn load_codes(self, line: &Line) -> Self::B {
        op!([
            _mm256_load_si256(line.0.as_ptr().cast()),
            _mm256_load_si256(line.0.as_ptr().add(32).cast()),
        ])
    }
    #[inline(always)]
    fn insert_bits(self, low: Self::B, high: &Line, field: usize) -> Self::B {
        op!({
            let mut out = low;
            for (out, high) in out.iter_mut().zip(high.0.as_chunks::<32>().0) {
                let high = _mm256_load_si256(high.as_ptr().cast());
                let high = match field {
                    0 => _mm256_slli_epi16::<4>(high),
                    1 => _mm256_slli_epi16::<2>(high),
                    2 => high,
                    _ => _mm256_srli_epi16::<2>(high),
                };
                *out = _mm256_or_si256(*out, _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
            }
            out
        })
    }
    /// Pairs in 16 bits fit: 2 x 127 x 127 = 32,258.
    #[inline(always)]
    fn dot7(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I {
        op!({
            let mut out = sum;
            for (out, w) in out.iter_mut().zip(w) {
                *out = if VNNI {
                    _mm256_dpbusd_avx_epi32(*out, w, x)
                } else {
                    let pairs = _mm256_maddubs_epi16(w, x);
                    _mm256_add_epi32(*out, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                };
            }
            out
        })
    }
    /// Without VNNI, `maddubs` multiplies unsigned by signed bytes and adds pairs in 16 bits, where
    /// 2 x 255 x 127 would overflow. So the weight's sign moves to the activation: 2 x 128 x 127 fits.
    #[inline(always)]
    fn dot8(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I {
        op!({
            let mut out = sum;
            for (out, w) in out.iter_mut().zip(w) {
                *out = if VNNI {
                    _mm256_dpbusd_avx_epi32(*out, w, x)
                } else {
                    let pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
                    _mm256_add_epi32(*out, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
                };
            }
            out
        })
    }
    #[inline(always)]
    fn begin_dot4(self, v: i32) -> Self::N {
        if VNNI { self.int(v) } else { op!([_mm256_setzero_si256(); 2]) }
    }
    /// Without VNNI the sums stay in 16 bits: 8 turns x 2 x 15 x 127 = 30,480 fits.
    #[inline(always)]
    fn dot4(self, sum: Self::N, w: Self::B, x: Self::X) -> Self::N {
        op!({
            let mut out = sum;
            for (out, w) in out.iter_mut().zip(w) {
                *out = if VNNI {
                    _mm256_dpbusd_avx_epi32(*out, w, x)
                } else {
                    _mm256_add_epi16(*out, _mm256_maddubs_epi16(w, x))
                };
            }
            out
        })
    }
    #[inline(always)]
    fn end_dot4(self, sum: Self::N, v: i32) -> Self::I {
        if VNNI {
            sum
        } else {
            op!({
                let ones = _mm256_set1_epi16(1);
                let initial = _mm256_set1_epi32(v);
                [
                    _mm256_add_epi32(_mm256_madd_epi16(sum[0], ones), initial),
                    _mm256_add_epi32(_mm256_madd_epi16(sum[1], ones), initial),
                ]
            })
        }
    }

    #[inline(always)]
    fn byte_pairs(self, first: &Bytes, second: &Bytes) -> Self::W {
        op!({
            let first = _mm_load_si128(first.0.as_ptr().cast());
            let second = _mm_load_si128(second.0.as_ptr().cast());
            [
                _mm256_cvtepu8_epi16(_mm_unpacklo_epi8(first, second)),
                _mm256_cvtepu8_epi16(_mm_unpackhi_epi8(first, second)),
            ]
        })
    }
    #[inline(always)]
    fn dot_pairs(self, sum: Self::I, w: Self::W, x: &[i16; 2]) -> Self::I {
        op!({
            let x = _mm256_set1_epi32(pack_pair(x));
            [
                _mm256_add_epi32(sum[0], _mm256_madd_epi16(w[0], x)),
                _mm256_add_epi32(sum[1], _mm256_madd_epi16(w[1], x)),
            ]
        })
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T, ahead: usize) {
        let at = std::ptr::from_ref(at).wrapping_add(ahead);
        // SAFETY: a prefetch reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
}
