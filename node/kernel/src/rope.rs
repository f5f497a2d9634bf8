//! Rotary positions.
#![expect(clippy::indexing_slicing, reason = "positions and lengths are checked at the top")]

use crate::{
    Error, Pool,
    error::check_length,
    isa::{Kernel, dispatch},
    shared_slice::SharedSlice,
    simd::Simd,
};

/// Tables of the angles of every position (Su et al. 2021). The caller scales the angles.
#[derive(Clone, Debug)]
pub struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    /// Tables of `[positions, half]`. Dimension `i < half` of a head is rotated with `half + i`. The
    /// dimensions after `2 half` are not changed (Phi's partial rotation).
    ///
    /// # Errors
    /// When the tables differ in length or are not whole rows.
    pub fn new(cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Self, Error> {
        if half == 0 {
            return Err(Error::Range {
                argument: "half of a rotation",
                value: 0,
                requirement: "at least 1",
            });
        }
        check_length("the table of sines", sin.len(), cos.len())?;
        check_length("the table of cosines", cos.len(), cos.len() / half * half)?;
        Ok(Self { cos, sin, half })
    }

    /// The number of positions in the tables.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half
    }

    /// The cosines and the sines of a position.
    fn row(&self, position: u32) -> (&[f32], &[f32]) {
        let start = position as usize * self.half;
        (&self.cos[start..start + self.half], &self.sin[start..start + self.half])
    }
}

/// Rotates each head of `x`, which is `[positions.len(), heads * dim]`, by the angles of its row's
/// position: `(a, b)` becomes `(a cos - b sin, b cos + a sin)`.
///
/// # Errors
/// When the lengths do not fit, or a position is past the tables.
pub fn rope(
    pool: &Pool,
    x: &mut [f32],
    heads: usize,
    dim: usize,
    angles: &Rope,
    positions: &[u32],
) -> Result<(), Error> {
    /// Values that a thread takes at a time. One thread alone does fewer.
    const CHUNK: usize = 1 << 14;
    let width = heads * dim;
    check_length("the input of a rotation", x.len(), positions.len() * width)?;
    if angles.half * 2 > dim {
        let requirement = "no more than the head's dimensions";
        return Err(Error::Range { argument: "a rotation", value: angles.half * 2, requirement });
    }
    let last = positions.iter().max().map_or(0, |last| *last as usize);
    if !positions.is_empty() && last >= angles.positions() {
        let requirement = "within the tables";
        return Err(Error::Range { argument: "a position", value: last, requirement });
    }
    let x = SharedSlice::new(x);
    pool.chunks(positions.len(), (CHUNK / width.max(1)).max(1), |rows| {
        #[expect(unsafe_code, reason = "rows of one slice")]
        // SAFETY: `chunks` gives each row once.
        let x = unsafe { x.part(rows.start * width..rows.end * width) };
        let positions = &positions[rows];
        dispatch(pool.isa(), Rotation { x, dim, width, angles, positions });
    });
    Ok(())
}

struct Rotation<'a> {
    x: &'a mut [f32],
    dim: usize,
    width: usize,
    angles: &'a Rope,
    positions: &'a [u32],
}

impl Kernel for Rotation<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.width == 0 {
            return;
        }
        for (row, position) in self.x.chunks_exact_mut(self.width).zip(self.positions) {
            let (cos, sin) = self.angles.row(*position);
            for head in row.chunks_exact_mut(self.dim) {
                rotate(s, head, cos, sin);
            }
        }
    }
}

#[inline(always)]
fn rotate<S: Simd>(s: S, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, rest) = head.split_at_mut(cos.len());
    let second = &mut rest[..cos.len()];
    let (firsts, first) = first.as_chunks_mut::<16>();
    let (seconds, second) = second.as_chunks_mut::<16>();
    let ((coss, cos), (sins, sin)) = (cos.as_chunks::<16>(), sin.as_chunks::<16>());
    for (((a, b), cos), sin) in firsts.iter_mut().zip(seconds).zip(coss).zip(sins) {
        let (x, y, cos, sin) = (s.load(a), s.load(b), s.load(cos), s.load(sin));
        s.store(s.sub(s.mul(x, cos), s.mul(y, sin)), a);
        s.store(s.add(s.mul(y, cos), s.mul(x, sin)), b);
    }
    for (((a, b), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}
