//! Products with weights kept as codes: sums of integers, a scale for each group of 32 inputs.

use std::{cell::RefCell, ops::Range};

use super::{
    Panels,
    codes::{self, Codes, Panel},
};
use crate::{
    Format, Pool,
    isa::{Kernel, dispatch},
    matrix::{GROUP, Store},
    quantised::{Quads, quantise},
    share::Share,
    simd::Simd,
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

/// Quantised activations in tiles of tokens, each tile group by group:
/// `[tile][group][token of the tile]`. The last tile holds what is left.
#[derive(Clone, Copy, Default)]
pub(super) struct Activations<'a> {
    quads: &'a [Quads],
    groups: usize,
    tile: usize,
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
    // As even as they come: eight tokens are four and four, not six and two.
    let tile = tokens.div_ceil(tokens.div_ceil(dispatch(pool.isa(), TileOf)));
    let size = if x.len() < ALONE { usize::MAX } else { 1 };
    pool.chunks(tokens.div_ceil(tile), size, |tiles| {
        let tokens = tiles.start * tile..tokens.min(tiles.end * tile);
        #[expect(unsafe_code, reason = "tiles of one slice")]
        // SAFETY: `chunks` gives each tile once, and tiles do not overlap.
        let quads = unsafe { share.part(tokens.start * groups..tokens.end * groups) };
        let x = &x[tokens.start * cols..tokens.end * cols];
        dispatch(pool.isa(), Quantise { x, cols, quads, groups, tile });
    });
    Activations { quads, groups, tile }
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
    tile: usize,
}

impl Kernel for Quantise<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.cols == 0 {
            return;
        }
        let tiles = self.quads.chunks_mut(self.tile * self.groups);
        for (x, quads) in self.x.chunks(self.tile * self.cols).zip(tiles) {
            let step = x.len() / self.cols;
            for (token, x) in x.chunks_exact(self.cols).enumerate() {
                quantise(s, x, &mut quads[token..], step);
            }
        }
    }
}

#[inline(always)]
pub(super) fn panels<S: Simd>(s: S, job: &Panels<'_>) {
    match job.product.matrix.format() {
        Format::Q8 => each::<S, codes::Q8>(s, job),
        Format::Q4 => each::<S, codes::Q4>(s, job),
        Format::Q4Min => each::<S, codes::Q4Min>(s, job),
        Format::Q4K => each::<S, codes::Q4K>(s, job),
        Format::Q6K => each::<S, codes::Q6K>(s, job),
        Format::F32 | Format::Bf16 | Format::F16 => {}
    }
}

#[inline(always)]
fn each<S: Simd, C: Codes>(s: S, job: &Panels<'_>) {
    /// What stays in the second-level cache beside the weights.
    const CACHED: usize = 384 << 10;
    let Activations { groups, tile, .. } = job.activations;
    let token_bytes = (groups * size_of::<Quads>()).max(1);
    let tokens_cached = (CACHED / token_bytes / tile).max(1) * tile;
    for from in (0..job.tokens).step_by(tokens_cached) {
        let tokens = from..job.tokens.min(from + tokens_cached);
        let mut panel = job.panels.start;
        if S::PANELS == 2 {
            while panel + 2 <= job.panels.end {
                tiles::<S, C, 2>(s, job, panel, tokens.clone());
                panel += 2;
            }
        }
        while panel < job.panels.end {
            tiles::<S, C, 1>(s, job, panel, tokens.clone());
            panel += 1;
        }
    }
}

/// `P` panels times these tokens, tile by tile.
#[inline(always)]
fn tiles<S: Simd, C: Codes, const P: usize>(
    s: S,
    job: &Panels<'_>,
    panel: usize,
    tokens: Range<usize>,
) {
    let Activations { groups, tile, quads } = job.activations;
    for token in tokens.clone().step_by(tile) {
        let len = tile.min(tokens.end - token);
        let x = &quads[token * groups..(token + len) * groups];
        match len {
            1 => one::<S, C, P, 1>(s, job, panel, token, x),
            2 => one::<S, C, P, 2>(s, job, panel, token, x),
            3 => one::<S, C, P, 3>(s, job, panel, token, x),
            4 => one::<S, C, P, 4>(s, job, panel, token, x),
            // Where four is a full tile, these are not compiled.
            5 if S::TILE > 4 => one::<S, C, P, 5>(s, job, panel, token, x),
            6 if S::TILE > 4 => one::<S, C, P, 6>(s, job, panel, token, x),
            7 if S::TILE > 6 => one::<S, C, P, 7>(s, job, panel, token, x),
            8 if S::TILE > 6 => one::<S, C, P, 8>(s, job, panel, token, x),
            _ => {}
        }
    }
}

/// `P` panels times `T` tokens.
#[inline(always)]
fn one<S: Simd, C: Codes, const P: usize, const T: usize>(
    s: S,
    job: &Panels<'_>,
    first: usize,
    token: usize,
    x: &[Quads],
) {
    let matrix = job.product.matrix;
    let (Store::Codes(codes), Some(parts)) = (&matrix.store, matrix.format().parts()) else {
        return;
    };
    let groups = job.activations.groups;
    let mut panels = [Panel::of(codes, parts, first, groups); P];
    for p in 1..P {
        panels[p] = Panel::of(codes, parts, first + p, groups);
    }
    let mut sums = [[s.splat(0.0); T]; P];
    let (x, _) = x.as_chunks::<T>();
    for (group, x) in x.iter().enumerate() {
        // Later tiles find the weights in the cache.
        if token == 0 {
            for panel in &panels {
                panel.prefetch(s, C::LINES, group);
            }
        }
        C::add(s, &panels, group, x, &mut sums);
    }
    for p in 0..P {
        for t in 0..T {
            job.put(s, first + p, token + t, sums[p][t]);
        }
    }
}
