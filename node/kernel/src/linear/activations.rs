//! The shared input of products with codes, quantised once for all of them.

use std::cell::RefCell;

use super::codes::Tile;
use crate::{
    Pool,
    isa::{Kernel, dispatch},
    matrix::{GROUP, SUPER},
    quantise::{GroupScale, Quads, SuperScale, quantise_groups, quantise_supers},
    shared_slice::SharedSlice,
    simd::{Floats, Simd},
};

/// Up to so many tokens, codes are multiplied as they are packed. Unpacking them first pays only for
/// more tokens (measured with AVX-512 and with AVX2).
pub(super) const MAX_PACKED_TOKENS: usize = 64;

/// Memory that is reused from call to call: the system would map fresh memory page by page each time.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) groups: Buffer<GroupScale>,
    pub(super) supers: Buffer<SuperScale>,
}

/// Quantised activations and their scales. It only grows.
#[derive(Default)]
pub(super) struct Buffer<T> {
    quads: Vec<Quads>,
    scales: Vec<T>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
    static SUMS: RefCell<Vec<Floats>> = const { RefCell::new(Vec::new()) };
}

pub(super) fn borrow_scratch() -> Scratch {
    SCRATCH.take()
}

pub(super) fn return_scratch(scratch: Scratch) {
    SCRATCH.set(scratch);
}

/// At least `len` sums, with any contents.
pub(super) fn borrow_sums(len: usize) -> Vec<Floats> {
    let mut sums = SUMS.take();
    sums.resize(sums.len().max(len), Floats::default());
    sums
}

pub(super) fn return_sums(sums: Vec<Floats>) {
    SUMS.set(sums);
}

/// Quantised activations in tiles of tokens, each tile group by group:
/// `[tile][group][token of the tile]`. The last tile holds the remaining tokens.
#[derive(Clone, Copy, Default)]
pub(super) struct Activations<'a> {
    quads: &'a [Quads],
    /// A scale for each 32 inputs, or empty.
    group_scales: &'a [GroupScale],
    /// A scale for each 256 inputs, or empty.
    super_scales: &'a [SuperScale],
    pub(super) groups: usize,
    /// Tokens of a tile.
    pub(super) tile: usize,
}

impl<'a> Activations<'a> {
    /// The tile of `T` tokens that begins at this token.
    #[inline(always)]
    pub(super) fn tile<const T: usize>(&self, token: usize) -> Tile<'a, T> {
        let supers = self.groups.div_ceil(SUPER);
        Tile {
            quads: tile_elements(self.quads, token, self.groups),
            group_scales: tile_elements(self.group_scales, token, self.groups),
            super_scales: tile_elements(self.super_scales, token, supers),
        }
    }
}

/// The elements of `T` tokens, of which each has `count`; empty if there are none for this format.
#[inline(always)]
fn tile_elements<E, const T: usize>(elements: &[E], token: usize, count: usize) -> &[[E; T]] {
    debug_assert!(elements.is_empty() || (token + T) * count <= elements.len(), "a tile too many");
    elements.get(token * count..(token + T) * count).unwrap_or_default().as_chunks::<T>().0
}

/// A kind of scale, and how a row is quantised with it.
pub(super) trait Scale: Copy + Default + Send + Sync + 'static {
    /// Groups of 32 inputs that share a scale.
    const GROUPS: usize;
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize);
    fn activations<'a>(quads: &'a [Quads], scales: &'a [Self]) -> Activations<'a>;
}

impl Scale for GroupScale {
    const GROUPS: usize = 1;
    #[inline(always)]
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize) {
        quantise_groups(s, x, quads, scales, step);
    }
    fn activations<'a>(quads: &'a [Quads], scales: &'a [Self]) -> Activations<'a> {
        Activations { quads, group_scales: scales, ..Activations::default() }
    }
}

impl Scale for SuperScale {
    const GROUPS: usize = SUPER;
    #[inline(always)]
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize) {
        quantise_supers(s, x, quads, scales, step);
    }
    fn activations<'a>(quads: &'a [Quads], scales: &'a [Self]) -> Activations<'a> {
        Activations { quads, super_scales: scales, ..Activations::default() }
    }
}

/// Quantises `x` of `[tokens, cols]` into `buffer`.
pub(super) fn activations<'a, W: Scale>(
    pool: &Pool,
    x: &[f32],
    tokens: usize,
    buffer: &'a mut Buffer<W>,
) -> Activations<'a> {
    /// Below so many values, waking another thread takes longer than the work.
    const ALONE: usize = 1 << 14;
    let cols = x.len() / tokens;
    let groups = cols.div_ceil(GROUP);
    let row_scales = groups.div_ceil(W::GROUPS);
    buffer.quads.resize(buffer.quads.len().max(tokens * groups), Quads::default());
    buffer.scales.resize(buffer.scales.len().max(tokens * row_scales), W::default());
    let quads = &mut buffer.quads[..tokens * groups];
    let scales = &mut buffer.scales[..tokens * row_scales];
    let (shared_quads, shared_scales) = (SharedSlice::new(quads), SharedSlice::new(scales));
    // Tiles of nearly the same size: nine tokens are five and four, not eight and one.
    let tile = tokens.div_ceil(tokens.div_ceil(dispatch(pool.isa(), MaxTile { tokens })));
    let size = if x.len() < ALONE { usize::MAX } else { 1 };
    pool.chunks(tokens.div_ceil(tile), size, |tiles| {
        let tokens = tiles.start * tile..tokens.min(tiles.end * tile);
        #[expect(unsafe_code, reason = "tiles of one slice")]
        // SAFETY: `chunks` gives each tile once, and tiles do not overlap.
        let (quads, scales) = unsafe {
            (
                shared_quads.part(tokens.start * groups..tokens.end * groups),
                shared_scales.part(tokens.start * row_scales..tokens.end * row_scales),
            )
        };
        let x = &x[tokens.start * cols..tokens.end * cols];
        dispatch(pool.isa(), Quantise { x, cols, quads, scales, groups, tile });
    });
    Activations { groups, tile, ..W::activations(quads, scales) }
}

/// Asks an instruction set for the size of its tiles.
struct MaxTile {
    tokens: usize,
}

impl Kernel for MaxTile {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        if self.tokens > MAX_PACKED_TOKENS { S::BLOCK.0 } else { S::TILE }
    }
}

struct Quantise<'a, W> {
    x: &'a [f32],
    cols: usize,
    quads: &'a mut [Quads],
    scales: &'a mut [W],
    groups: usize,
    tile: usize,
}

impl<W: Scale> Kernel for Quantise<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.cols == 0 {
            return;
        }
        let row_scales = self.groups.div_ceil(W::GROUPS);
        let quads = self.quads.chunks_mut(self.tile * self.groups);
        let out = quads.zip(self.scales.chunks_mut(self.tile * row_scales));
        for (x, (quads, scales)) in self.x.chunks(self.tile * self.cols).zip(out) {
            let step = x.len() / self.cols;
            for (token, x) in x.chunks_exact(self.cols).enumerate() {
                W::quantise(s, x, &mut quads[token..], &mut scales[token..], step);
            }
        }
    }
}
