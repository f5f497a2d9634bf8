//! Loops that are compiled for several instruction sets.
//!
//! The build targets the oldest x86-64, so that one binary runs everywhere. These loops are compiled
//! again for AVX2 and AVX-512, and each call picks the best version that the machine supports.

/// `a * b + c`: one rounding where the machine has the instruction, two where it has not.
#[inline(always)]
pub(super) fn madd<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Declares functions whose body is compiled once per instruction set. Inside, `FMA` is a constant.
macro_rules! simd {
    ($($(#[$meta:meta])* pub(super) fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$meta])*
        pub(super) fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn any<const FMA: bool>($($arg: $ty),*) $(-> $ret)? $body
            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
                fn v4($($arg: $ty),*) $(-> $ret)? { any::<true>($($arg),*) }
                #[target_feature(enable = "avx2,fma")]
                fn v3($($arg: $ty),*) $(-> $ret)? { any::<true>($($arg),*) }
                if std::arch::is_x86_feature_detected!("avx512f")
                    && std::arch::is_x86_feature_detected!("avx512bw")
                    && std::arch::is_x86_feature_detected!("avx512dq")
                    && std::arch::is_x86_feature_detected!("avx512vl")
                {
                    #[expect(unsafe_code, reason = "the features were detected just above")]
                    return unsafe { v4($($arg),*) };
                }
                if std::arch::is_x86_feature_detected!("avx2")
                    && std::arch::is_x86_feature_detected!("fma")
                {
                    #[expect(unsafe_code, reason = "the features were detected just above")]
                    return unsafe { v3($($arg),*) };
                }
            }
            any::<{ cfg!(target_arch = "aarch64") }>($($arg),*)
        }
    )*};
}
pub(super) use simd;

/// Floats worked on at once: one AVX-512 register.
pub(super) const LANES: usize = 16;

#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f32>() + chunks.remainder().iter().sum::<f32>()
}

#[inline(always)]
pub(super) fn max(x: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *value);
        }
    }
    lanes.iter().chain(chunks.remainder()).fold(f32::NEG_INFINITY, |a, b| larger(a, *b))
}

/// `f32::max` without its care for NaN, so that it is one instruction.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
pub(super) fn dot<const FMA: bool>(x: &[f32], y: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (mut xs, mut ys) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    for (a, b) in (&mut xs).zip(&mut ys) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = madd::<FMA>(*a, *b, *lane);
        }
    }
    let rest: f32 = xs.remainder().iter().zip(ys.remainder()).map(|(a, b)| a * b).sum();
    lanes.iter().sum::<f32>() + rest
}

/// e^x to about 2e-7 relative, branch-free so that it vectorises (Cephes' expf polynomial).
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23: adding it leaves the integer in the low bits
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let shift = madd::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shift - ROUND;
    let r = madd::<FMA>(n, -0.693_359_4, x);
    let r = madd::<FMA>(n, 2.121_944_4e-4, r);
    let p = madd::<FMA>(1.987_569_1e-4, r, 1.398_199_9e-3);
    let p = madd::<FMA>(p, r, 8.333_452e-3);
    let p = madd::<FMA>(p, r, 4.166_579_6e-2);
    let p = madd::<FMA>(p, r, 1.666_666_5e-1);
    let p = madd::<FMA>(p, r, 0.5);
    let p = madd::<FMA>(p * r, r, r + 1.0);
    let two_to_n = f32::from_bits(shift.to_bits().wrapping_shl(23).wrapping_add(127 << 23));
    p * two_to_n
}

/// e^(x - max) in place, then divided by the sum. Empty rows stay empty.
#[inline(always)]
pub(super) fn softmax<const FMA: bool>(x: &mut [f32]) {
    let top = max(x);
    for value in x.iter_mut() {
        *value = exp::<FMA>(*value - top);
    }
    let scale = 1.0 / sum(x);
    for value in x.iter_mut() {
        *value *= scale;
    }
}
