//! Exponential functions of sixteen lanes.

use crate::simd::Simd;

/// `e^x` with a relative error of at most 2e-7. It is 0 below -87.3; above 88, where the range of
/// `f32` ends, `x` is clamped to 88.
///
/// Cephes' `expf`: `x = n ln 2 + r`, a polynomial of degree six for `e^r`, times `2^n`.
#[inline(always)]
pub(crate) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.min(x, s.splat(88.0));
    let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
    let n = s.max(n, s.splat(-126.0));
    // ln 2 in two parts. The first has zeros in its low bits, so its product with n is exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_1e-4);
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 0.166_666_65, 0.5] {
        p = s.fma(p, r, s.splat(c));
    }
    let y = s.add(s.fma(p, s.mul(r, r), r), s.splat(1.0));
    s.select_greater(x, s.splat(-87.3), s.mul(y, s.pow2(n)))
}

/// `x / (1 + e^-y)`: with `y = x` the SiLU, with `y = 2 u(x)` the tanh form of the GELU.
#[inline(always)]
pub(crate) fn times_sigmoid<S: Simd>(s: S, x: S::F, y: S::F) -> S::F {
    let e = exp(s, s.sub(s.splat(0.0), y));
    s.div(x, s.add(s.splat(1.0), e))
}

/// The hyperbolic tangent, with an error of at most 2e-7.
#[inline(always)]
pub(crate) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let e = exp(s, s.add(x, x));
    let unit = s.splat(1.0);
    s.sub(unit, s.div(s.splat(2.0), s.add(e, unit)))
}
