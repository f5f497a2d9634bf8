//! Rotary positions.

use crate::{
    Error, Pool,
    error::length,
    isa::{Kernel, dispatch},
    share::Share,
    simd::Simd,
};

/// The angles of every position (Su et al. 2021), as tables: scaling is the caller's.
#[derive(Clone, Debug)]
pub struct Rope {
    cos: Vec<f32>,
    sin: Vec<f32>,
    half: usize,
}

impl Rope {
    /// Tables of `[positions, half]`: dimension `i < half` of a head turns with `half + i`. The
    /// dimensions after `2 half` stay as they are (Phi's partial rotation).
    ///
    /// # Errors
    /// When the tables differ in length or are not whole rows.
    pub fn new(cos: Vec<f32>, sin: Vec<f32>, half: usize) -> Result<Self, Error> {
        if half == 0 {
            return Err(Error::Range { what: "half of a rotation", got: 0, must: "at least 1" });
        }
        length("the table of sines", sin.len(), cos.len())?;
        length("the table of cosines", cos.len(), cos.len() / half * half)?;
        Ok(Self { cos, sin, half })
    }

    /// Positions that it has angles for.
    pub fn positions(&self) -> usize {
        self.cos.len() / self.half
    }

    fn at(&self, position: u32) -> Option<(&[f32], &[f32])> {
        let from = position as usize * self.half;
        Some((self.cos.get(from..from + self.half)?, self.sin.get(from..from + self.half)?))
    }
}

/// Turns each head of `x`, which is `[positions.len(), heads * dim]`, by the angles of its row's
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
    /// Values that one thread is given at a time; less than this, one does alone.
    const SHARE: usize = 1 << 14;
    let width = heads * dim;
    length("the input of a rotation", x.len(), positions.len() * width)?;
    if angles.half * 2 > dim {
        let must = "no more than the head's dimensions";
        return Err(Error::Range { what: "a rotation", got: angles.half * 2, must });
    }
    let last = positions.iter().max().map_or(0, |last| *last as usize);
    if !positions.is_empty() && last >= angles.positions() {
        return Err(Error::Range { what: "a position", got: last, must: "within the tables" });
    }
    let share = Share::new(x);
    pool.chunks(positions.len(), (SHARE / width.max(1)).max(1), |rows| {
        #[expect(unsafe_code, reason = "rows of one slice")]
        // SAFETY: `chunks` gives each row once.
        let x = unsafe { share.part(rows.start * width..rows.end * width) };
        let positions = positions.get(rows).unwrap_or_default();
        dispatch(pool.isa(), Turn { x, dim, width, angles, positions });
    });
    Ok(())
}

struct Turn<'a> {
    x: &'a mut [f32],
    dim: usize,
    width: usize,
    angles: &'a Rope,
    positions: &'a [u32],
}

impl Kernel for Turn<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.width == 0 {
            return;
        }
        for (row, position) in self.x.chunks_exact_mut(self.width).zip(self.positions) {
            let Some((cos, sin)) = self.angles.at(*position) else { continue };
            for head in row.chunks_exact_mut(self.dim) {
                turn(s, head, cos, sin);
            }
        }
    }
}

#[inline(always)]
fn turn<S: Simd>(s: S, head: &mut [f32], cos: &[f32], sin: &[f32]) {
    let (first, rest) = head.split_at_mut(cos.len());
    let Some(second) = rest.get_mut(..cos.len()) else { return };
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
