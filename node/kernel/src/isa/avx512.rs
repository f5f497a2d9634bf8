//! AVX-512 with VNNI: sixteen lanes are one register, 64 byte products one instruction.
#![expect(unsafe_code, reason = "the processor's own instructions")]

use std::arch::x86_64::*;

use crate::{
    isa::Kernel,
    simd::{Bytes, Line, Simd, pack_pair},
};

/// Made only by `detect`, so a value proves that the processor has these instructions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512(());

impl Avx512 {
    pub(crate) fn detect() -> Option<Self> {
        let available = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        available.then_some(Self(()))
    }

    /// Runs the kernel with the features enabled.
    pub(crate) fn call<K: Kernel>(self, kernel: K) -> K::Output {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn run_enabled<K: Kernel>(s: Avx512, kernel: K) -> K::Output {
            kernel.run(s)
        }
        // SAFETY: `self` was made by `detect`, so the processor has every feature named above.
        unsafe { run_enabled(self, kernel) }
    }
}

/// SAFETY of every block below: `self` was made by `detect`, so the processor has the instruction,
/// and each load and store is of an array reference as long as the register (unaligned forms,
/// which take any address). A macro, so that this is written once.
macro_rules! op {
    ($e:expr) => {
        // SAFETY: see above.
        unsafe { $e }
    };
}

/// Keeps the compiler from placing all products of one sum first: each would wait for the product
/// before it.
#[inline]
#[target_feature(enable = "avx512f")]
fn in_order(sum: __m512i) -> __m512i {
    let mut sum = sum;
    // SAFETY: it holds no instruction.
    unsafe {
        std::arch::asm!("/* {0} */", inout(zmm_reg) sum, options(nomem, nostack, preserves_flags));
    }
    sum
}

/// A mask of the lanes before `end`.
#[inline(always)]
fn lanes_below(end: usize) -> u16 {
    ((1u32 << end.min(16)) - 1) as u16
}

impl Simd for Avx512 {
    const TILE: usize = 8;
    /// Twelve sums need two loads of weights and six of activations, and are enough that no sum waits
    /// for its last product.
    const BLOCK: (usize, usize) = (6, 2);
    const QUERIES: usize = 8;
    const OFFSET8: i32 = 128;

    type F = __m512;
    type I = __m512i;
    type B = __m512i;
    type X = __m512i;
    type W = __m512i;
    type N = __m512i;

    #[inline(always)]
    fn splat(self, v: f32) -> __m512 {
        op!(_mm512_set1_ps(v))
    }
    #[inline(always)]
    fn load(self, from: &[f32; 16]) -> __m512 {
        op!(_mm512_loadu_ps(from.as_ptr()))
    }
    #[inline(always)]
    fn store(self, v: __m512, to: &mut [f32; 16]) {
        op!(_mm512_storeu_ps(to.as_mut_ptr(), v));
    }
    #[inline(always)]
    fn load_f16(self, from: &[u16; 16]) -> __m512 {
        op!(_mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())))
    }
    #[inline(always)]
    fn store_f16(self, v: __m512, to: &mut [u16; 16]) {
        op!(_mm256_storeu_si256(
            to.as_mut_ptr().cast(),
            _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(v)
        ));
    }
    #[inline(always)]
    fn load_bf16(self, from: &[u16; 16]) -> __m512 {
        op!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(from.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }
    #[inline(always)]
    fn load_u8(self, from: &Bytes) -> __m512 {
        op!(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_load_si128(from.0.as_ptr().cast()))))
    }
    #[inline(always)]
    fn load_i8(self, from: &Bytes) -> __m512 {
        op!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_load_si128(from.0.as_ptr().cast()))))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        op!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        op!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn round(self, v: __m512) -> __m512 {
        op!(_mm512_roundscale_ps::<_MM_FROUND_TO_NEAREST_INT>(v))
    }
    #[inline(always)]
    fn pow2(self, n: __m512) -> __m512 {
        op!(_mm512_scalef_ps(_mm512_set1_ps(1.0), n))
    }
    #[inline(always)]
    fn select_greater(self, x: __m512, limit: __m512, value: __m512) -> __m512 {
        op!(_mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(x, limit), value))
    }
    #[inline(always)]
    fn select_lanes(self, v: __m512, from: usize, to: usize, fallback: __m512) -> __m512 {
        op!(_mm512_mask_mov_ps(fallback, lanes_below(to) & !lanes_below(from), v))
    }
    #[inline(always)]
    fn reduce_sum(self, v: __m512) -> f32 {
        op!({
            // Not `_mm512_reduce_add_ps`: the compiler chooses its order.
            let low = _mm512_castps512_ps256(v);
            let eight = _mm256_add_ps(low, _mm512_extractf32x8_ps::<1>(v));
            let four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_add_ss(two, _mm_shuffle_ps::<1>(two, two)))
        })
    }
    #[inline(always)]
    fn reduce_max(self, v: __m512) -> f32 {
        op!(_mm512_reduce_max_ps(v))
    }

    #[inline(always)]
    fn int(self, v: i32) -> __m512i {
        op!(_mm512_set1_epi32(v))
    }
    #[inline(always)]
    fn to_float(self, v: __m512i) -> __m512 {
        op!(_mm512_cvtepi32_ps(v))
    }
    #[inline(always)]
    fn to_i8(self, v: __m512, to: &mut [i8; 16]) {
        op!(_mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v))));
    }

    #[inline(always)]
    fn quad(self, x: &[i8; 4]) -> __m512i {
        op!(_mm512_set1_epi32(i32::from_ne_bytes(x.map(i8::cast_unsigned))))
    }
    #[inline(always)]
    fn load_offset_codes(self, line: &Line) -> __m512i {
        op!(_mm512_load_si512(line.0.as_ptr().cast()))
    }
    #[inline(always)]
    fn load_nibbles(self, line: &Line) -> (__m512i, __m512i) {
        op!({
            let bytes = _mm512_load_si512(line.0.as_ptr().cast());
            let mask = _mm512_set1_epi8(15);
            (_mm512_and_si512(bytes, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(bytes), mask))
        })
    }
    #[inline(always)]
    fn store_codes(self, w: __m512i, to: &mut Line) {
        op!(_mm512_store_si512(to.0.as_mut_ptr().cast(), w));
    }
    #[inline(always)]
    fn load_codes(self, line: &Line) -> __m512i {
        self.load_offset_codes(line)
    }
    #[inline(always)]
    fn insert_bits(self, low: __m512i, high: &Line, field: usize) -> __m512i {
        op!({
            let high = _mm512_load_si512(high.0.as_ptr().cast());
            let high = match field {
                0 => _mm512_slli_epi16::<4>(high),
                1 => _mm512_slli_epi16::<2>(high),
                2 => high,
                _ => _mm512_srli_epi16::<2>(high),
            };
            _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi8(0x30)))
        })
    }
    #[inline(always)]
    fn dot7(self, sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        op!(in_order(_mm512_dpbusd_epi32(sum, w, x)))
    }
    #[inline(always)]
    fn dot8(self, sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        op!(in_order(_mm512_dpbusd_epi32(sum, w, x)))
    }
    #[inline(always)]
    fn begin_dot4(self, v: i32) -> __m512i {
        self.int(v)
    }
    #[inline(always)]
    fn dot4(self, sum: __m512i, w: __m512i, x: __m512i) -> __m512i {
        op!(in_order(_mm512_dpbusd_epi32(sum, w, x)))
    }
    #[inline(always)]
    fn end_dot4(self, sum: __m512i, _: i32) -> __m512i {
        sum
    }

    #[inline(always)]
    fn byte_pairs(self, first: &Bytes, second: &Bytes) -> __m512i {
        op!({
            let first = _mm_load_si128(first.0.as_ptr().cast());
            let second = _mm_load_si128(second.0.as_ptr().cast());
            let low = _mm256_castsi128_si256(_mm_unpacklo_epi8(first, second));
            let bytes = _mm256_inserti128_si256::<1>(low, _mm_unpackhi_epi8(first, second));
            _mm512_cvtepu8_epi16(bytes)
        })
    }
    #[inline(always)]
    fn dot_pairs(self, sum: __m512i, w: __m512i, x: &[i16; 2]) -> __m512i {
        op!(_mm512_dpwssd_epi32(sum, w, _mm512_set1_epi32(pack_pair(x))))
    }

    #[inline(always)]
    fn prefetch<T>(self, at: &T, ahead: usize) {
        let at = std::ptr::from_ref(at).wrapping_add(ahead);
        // SAFETY: a prefetch reads nothing and faults on no address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
    }
}
