//! RMS normalisation.
#![expect(
    clippy::indexing_slicing,
    reason = "the pool gives ranges inside the length it was given"
)]

use crate::{
    Error, Pool,
    error::check_length,
    isa::{Kernel, dispatch},
    shared_slice::SharedSlice,
    simd::Simd,
};

/// Values that a thread takes at a time. One thread alone does fewer.
const CHUNK: usize = 1 << 14;

/// `out = x / sqrt(mean(x^2) + eps) * gamma` for each row of `gamma.len()` values (Zhang and
/// Sennrich 2019). With heads as rows it is the QK norm.
///
/// # Errors
/// When the lengths do not fit.
pub fn rms_norm(
    pool: &Pool,
    x: &[f32],
    gamma: &[f32],
    eps: f32,
    out: &mut [f32],
) -> Result<(), Error> {
    check_length("the output of a norm", out.len(), x.len())?;
    let rows = row_count(x, gamma)?;
    let width = gamma.len();
    let out = SharedSlice::new(out);
    pool.chunks(rows, (CHUNK / width.max(1)).max(1), |rows| {
        let range = rows.start * width..rows.end * width;
        #[expect(unsafe_code, reason = "rows of one slice")]
        // SAFETY: `chunks` gives each row once.
        let out = unsafe { out.part(range.clone()) };
        dispatch(pool.isa(), Norm { x: &x[range], gamma, eps, out });
    });
    Ok(())
}

/// As [`rms_norm`], in place, for the norms of queries and keys.
///
/// # Errors
/// When the lengths do not fit.
pub fn rms_norm_in_place(pool: &Pool, x: &mut [f32], gamma: &[f32], eps: f32) -> Result<(), Error> {
    let rows = row_count(x, gamma)?;
    let width = gamma.len();
    let x = SharedSlice::new(x);
    pool.chunks(rows, (CHUNK / width.max(1)).max(1), |rows| {
        #[expect(unsafe_code, reason = "rows of one slice")]
        // SAFETY: `chunks` gives each row once.
        let x = unsafe { x.part(rows.start * width..rows.end * width) };
        dispatch(pool.isa(), NormInPlace { x, gamma, eps });
    });
    Ok(())
}

/// The number of rows of `gamma.len()` values in `x`. Rows without values are none.
fn row_count(x: &[f32], gamma: &[f32]) -> Result<usize, Error> {
    let rows = x.len().checked_div(gamma.len()).unwrap_or(0);
    check_length("the input of a norm", x.len(), rows * gamma.len())?;
    Ok(rows)
}

struct Norm<'a> {
    x: &'a [f32],
    gamma: &'a [f32],
    eps: f32,
    out: &'a mut [f32],
}

impl Kernel for Norm<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.gamma.len();
        let rows = self.x.chunks_exact(width).zip(self.out.chunks_exact_mut(width));
        for (x, out) in rows {
            out.copy_from_slice(x);
            normalise_row(s, out, self.gamma, self.eps);
        }
    }
}

struct NormInPlace<'a> {
    x: &'a mut [f32],
    gamma: &'a [f32],
    eps: f32,
}

impl Kernel for NormInPlace<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for x in self.x.chunks_exact_mut(self.gamma.len()) {
            normalise_row(s, x, self.gamma, self.eps);
        }
    }
}

#[inline(always)]
fn normalise_row<S: Simd>(s: S, x: &mut [f32], gamma: &[f32], eps: f32) {
    let width = x.len() as f32;
    let (body, tail) = x.as_chunks_mut::<16>();
    let mut squares = [s.splat(0.0); 2];
    let (pairs, odd) = body.as_chunks::<2>();
    for [first, second] in pairs {
        let (first, second) = (s.load(first), s.load(second));
        squares[0] = s.fma(first, first, squares[0]);
        squares[1] = s.fma(second, second, squares[1]);
    }
    for vector in odd {
        let vector = s.load(vector);
        squares[0] = s.fma(vector, vector, squares[0]);
    }
    let mut sum = s.reduce_sum(s.add(squares[0], squares[1]));
    for x in &*tail {
        sum += x * x;
    }
    let scale = 1.0 / (sum / width + eps).sqrt();
    let (gammas, gamma_tail) = gamma.as_chunks::<16>();
    for (x, gamma) in body.iter_mut().zip(gammas) {
        let value = s.mul(s.load(x), s.splat(scale));
        s.store(s.mul(value, s.load(gamma)), x);
    }
    for (x, gamma) in tail.iter_mut().zip(gamma_tail) {
        *x = *x * scale * gamma;
    }
}
