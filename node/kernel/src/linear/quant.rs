//! Products with weights kept as codes: sums of integers, a scale for each group of 32 inputs.

use std::cell::RefCell;

use super::Panels;
use crate::{
    Format, Pool,
    isa::{Kernel, dispatch},
    matrix::{GROUP, Store},
    quantised::{Quads, quantise},
    share::Share,
    simd::{Halves, Line, Simd},
};

thread_local! {
    /// Kept from call to call: fresh memory would be mapped page by page each time.
    static SCRATCH: RefCell<Vec<Quads>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn borrow_scratch() -> Vec<Quads> {
    SCRATCH.take()
}

pub(super) fn return_scratch(quads: Vec<Quads>) {
    SCRATCH.set(quads);
}

/// Quantised activations in tiles of the instruction set's tokens, each tile group by group:
/// `[tile][group][token of the tile]`. The last tile holds what is left.
#[derive(Clone, Copy, Default)]
pub(super) struct Activations<'a> {
    quads: &'a [Quads],
}

pub(super) fn activations<'a>(
    pool: &Pool,
    x: &[f32],
    tokens: usize,
    quads: &'a mut Vec<Quads>,
) -> Activations<'a> {
    /// Below so many values, another thread takes longer to be told than to do it.
    const ALONE: usize = 1 << 14;
    let cols = x.len() / tokens;
    let groups = cols.div_ceil(GROUP);
    let len = tokens * groups;
    if quads.len() < len {
        quads.resize(len, Quads::default());
    }
    let quads = &mut quads[..len];
    let share = Share::new(quads);
    let tile = dispatch(pool.isa(), TileOf);
    let size = if x.len() < ALONE { usize::MAX } else { 1 };
    pool.chunks(tokens.div_ceil(tile), size, |tiles| {
        let tokens = tiles.start * tile..tokens.min(tiles.end * tile);
        #[expect(unsafe_code, reason = "tiles of one slice")]
        // SAFETY: `chunks` gives each tile once, and tiles do not overlap.
        let quads = unsafe { share.part(tokens.start * groups..tokens.end * groups) };
        let x = &x[tokens.start * cols..tokens.end * cols];
        dispatch(pool.isa(), Quantise { x, cols, quads, groups });
    });
    Activations { quads }
}

struct TileOf;

impl Kernel for TileOf {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        S::TILE
    }
}

struct Quantise<'a> {
    x: &'a [f32],
    cols: usize,
    quads: &'a mut [Quads],
    groups: usize,
}

impl Kernel for Quantise<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.cols == 0 {
            return;
        }
        let tiles = self.quads.chunks_mut(S::TILE * self.groups);
        for (x, quads) in self.x.chunks(S::TILE * self.cols).zip(tiles) {
            let step = x.len() / self.cols;
            for (token, x) in x.chunks_exact(self.cols).enumerate() {
                quantise(s, x, &mut quads[token..], step);
            }
        }
    }
}

/// How a group's codes are multiplied.
trait Codes {
    /// Cache lines of a group.
    const LINES: usize;
    const MIN: bool;
    /// Adds one group's products for `T` tokens, as integers.
    fn dot<S: Simd, const T: usize>(s: S, lines: &[Line], x: &[Quads; T]) -> [S::I; T];
}

struct Bytes;
struct Nibbles<const MIN: bool>;

impl Codes for Bytes {
    const LINES: usize = 8;
    const MIN: bool = false;
    #[inline(always)]
    fn dot<S: Simd, const T: usize>(s: S, lines: &[Line], x: &[Quads; T]) -> [S::I; T] {
        let mut sums = [s.int(0); T];
        for t in 0..T {
            sums[t] = s.int(x[t].from8);
        }
        for line in 0..8 {
            let w = s.bytes(&lines[line]);
            for t in 0..T {
                sums[t] = s.dot8(sums[t], w, s.quad(&x[t].q[line]));
            }
        }
        sums
    }
}

impl<const MIN: bool> Codes for Nibbles<MIN> {
    const LINES: usize = 4;
    const MIN: bool = MIN;
    #[inline(always)]
    fn dot<S: Simd, const T: usize>(s: S, lines: &[Line], x: &[Quads; T]) -> [S::I; T] {
        let mut parts = [s.begin4(0); T];
        if !MIN {
            for t in 0..T {
                parts[t] = s.begin4(x[t].from4);
            }
        }
        for line in 0..4 {
            let (low, high) = s.nibbles(&lines[line]);
            for t in 0..T {
                parts[t] = s.dot4(parts[t], low, s.quad(&x[t].q[line]));
            }
            for t in 0..T {
                parts[t] = s.dot4(parts[t], high, s.quad(&x[t].q[line + 4]));
            }
        }
        let mut sums = [s.int(0); T];
        for t in 0..T {
            sums[t] = s.end4(parts[t], if MIN { 0 } else { x[t].from4 });
        }
        sums
    }
}

#[inline(always)]
pub(super) fn panels<S: Simd>(s: S, job: &Panels<'_>) {
    match job.product.matrix.format() {
        Format::Q8 => each::<S, Bytes>(s, job),
        Format::Q4 => each::<S, Nibbles<false>>(s, job),
        Format::Q4Min => each::<S, Nibbles<true>>(s, job),
        Format::F32 | Format::Bf16 | Format::F16 => {}
    }
}

/// One panel's codes and scales.
#[derive(Clone, Copy)]
struct Panel<'a> {
    index: usize,
    lines: &'a [Line],
    scales: &'a [Halves],
    mins: &'a [Halves],
}

#[inline(always)]
fn each<S: Simd, C: Codes>(s: S, job: &Panels<'_>) {
    /// What stays in the second-level cache beside the weights.
    const CACHED: usize = 384 << 10;
    let Store::Codes { lines, scales, mins } = &job.product.matrix.store else { return };
    let groups = job.product.matrix.groups();
    let token_bytes = (groups * size_of::<Quads>()).max(1);
    let tokens_cached = (CACHED / token_bytes / S::TILE).max(1) * S::TILE;
    for from in (0..job.tokens).step_by(tokens_cached) {
        let to = job.tokens.min(from + tokens_cached);
        for index in job.panels.clone() {
            let first = index * groups;
            let panel = Panel {
                index,
                lines: &lines[first * C::LINES..][..groups * C::LINES],
                scales: &scales[first..][..groups],
                mins: if C::MIN { &mins[first..][..groups] } else { &[] },
            };
            for token in (from..to).step_by(S::TILE) {
                let len = S::TILE.min(to - token);
                let x = &job.activations.quads[token * groups..(token + len) * groups];
                match len {
                    1 => tile::<S, C, 1>(s, job, panel, token, x),
                    2 => tile::<S, C, 2>(s, job, panel, token, x),
                    3 => tile::<S, C, 3>(s, job, panel, token, x),
                    4 => tile::<S, C, 4>(s, job, panel, token, x),
                    // Where four is a full tile, these are not compiled.
                    5 if S::TILE > 4 => tile::<S, C, 5>(s, job, panel, token, x),
                    6 if S::TILE > 4 => tile::<S, C, 6>(s, job, panel, token, x),
                    7 if S::TILE > 4 => tile::<S, C, 7>(s, job, panel, token, x),
                    _ if S::TILE > 4 => tile::<S, C, 8>(s, job, panel, token, x),
                    _ => {}
                }
            }
        }
    }
}

/// One panel times `T` tokens.
#[inline(always)]
fn tile<S: Simd, C: Codes, const T: usize>(
    s: S,
    job: &Panels<'_>,
    panel: Panel<'_>,
    token: usize,
    x: &[Quads],
) {
    /// Lines to ask for ahead: what arrives in the time that memory takes to answer.
    const AHEAD: usize = 64;
    let mut sums = [s.splat(0.0); T];
    let (x, _) = x.as_chunks::<T>();
    for (group, x) in x.iter().enumerate() {
        let lines = &panel.lines[group * C::LINES..][..C::LINES];
        if T == 1 {
            for line in lines {
                s.prefetch(line, AHEAD);
            }
        }
        let ints = C::dot(s, lines, x);
        let scale = s.load_f16(&panel.scales[group].0);
        for t in 0..T {
            let scale = s.mul(scale, s.splat(x[t].scale));
            sums[t] = s.fma(s.to_float(ints[t]), scale, sums[t]);
        }
        if C::MIN {
            let min = s.load_f16(&panel.mins[group].0);
            for t in 0..T {
                sums[t] = s.fma(min, s.splat(x[t].sum), sums[t]);
            }
        }
    }
    for t in 0..T {
        job.put(s, panel.index, token + t, sums[t]);
    }
}
