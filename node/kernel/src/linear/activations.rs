//! The shared input of products with codes, quantised once for all of them.

use std::cell::RefCell;

use super::codes::Tile;
use crate::{
    Pool,
    isa::{Kernel, dispatch},
    matrix::{GROUP, SUPER},
    quantised::{Coarse, Fine, Quads, coarsely, finely},
    share::Share,
    simd::{Floats, Simd},
};

/// Up to so many tokens, codes are multiplied as they are packed: unpacking them first only pays when
/// it serves more (measured with AVX-512 and with AVX2).
pub(super) const FEW: usize = 64;

/// Memory that is kept from call to call: fresh memory would be mapped page by page each time.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) fine: Kept<Fine>,
    pub(super) coarse: Kept<Coarse>,
}

#[derive(Default)]
pub(super) struct Kept<T> {
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

/// At least so many, whatever they hold.
pub(super) fn borrow_sums(len: usize) -> Vec<Floats> {
    let mut sums = SUMS.take();
    sums.resize(sums.len().max(len), Floats::default());
    sums
}

pub(super) fn return_sums(sums: Vec<Floats>) {
    SUMS.set(sums);
}

/// Quantised activations in tiles of tokens, each tile group by group:
/// `[tile][group][token of the tile]`. The last tile holds what is left.
#[derive(Clone, Copy, Default)]
pub(super) struct Activations<'a> {
    quads: &'a [Quads],
    /// A scale for 32 inputs, or nothing.
    fine: &'a [Fine],
    /// A scale for 256 inputs, or nothing.
    coarse: &'a [Coarse],
    pub(super) groups: usize,
    /// Tokens of a tile.
    pub(super) tile: usize,
}

impl<'a> Activations<'a> {
    /// The tile of `T` tokens that begins at this one.
    #[inline(always)]
    pub(super) fn tile<const T: usize>(&self, token: usize) -> Tile<'a, T> {
        let supers = self.groups.div_ceil(SUPER);
        Tile {
            quads: part(self.quads, token, self.groups),
            fine: part(self.fine, token, self.groups),
            coarse: part(self.coarse, token, supers),
        }
    }
}

#[inline(always)]
fn part<E, const T: usize>(of: &[E], token: usize, each: usize) -> &[[E; T]] {
    of.get(token * each..(token + T) * each).unwrap_or_default().as_chunks::<T>().0
}

/// What a scale's width makes of a row.
pub(super) trait Width: Copy + Default + Send + Sync + 'static {
    /// Groups of 32 inputs that share one.
    const GROUPS: usize;
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize);
    fn activations<'a>(quads: &'a [Quads], scales: &'a [Self]) -> Activations<'a>;
}

impl Width for Fine {
    const GROUPS: usize = 1;
    #[inline(always)]
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize) {
        finely(s, x, quads, scales, step);
    }
    fn activations<'a>(quads: &'a [Quads], fine: &'a [Self]) -> Activations<'a> {
        Activations { quads, fine, ..Activations::default() }
    }
}

impl Width for Coarse {
    const GROUPS: usize = SUPER;
    #[inline(always)]
    fn quantise<S: Simd>(s: S, x: &[f32], quads: &mut [Quads], scales: &mut [Self], step: usize) {
        coarsely(s, x, quads, scales, step);
    }
    fn activations<'a>(quads: &'a [Quads], coarse: &'a [Self]) -> Activations<'a> {
        Activations { quads, coarse, ..Activations::default() }
    }
}

/// Quantises `x` of `[tokens, cols]`, in `kept`.
pub(super) fn activations<'a, W: Width>(
    pool: &Pool,
    x: &[f32],
    tokens: usize,
    kept: &'a mut Kept<W>,
) -> Activations<'a> {
    /// Below so many values, another thread takes longer to be told than to do it.
    const ALONE: usize = 1 << 14;
    let cols = x.len() / tokens;
    let groups = cols.div_ceil(GROUP);
    let each = groups.div_ceil(W::GROUPS);
    kept.quads.resize(kept.quads.len().max(tokens * groups), Quads::default());
    kept.scales.resize(kept.scales.len().max(tokens * each), W::default());
    let (quads, scales) = (&mut kept.quads[..tokens * groups], &mut kept.scales[..tokens * each]);
    let (shared, shared_scales) = (Share::new(quads), Share::new(scales));
    // As even as they come: nine tokens are five and four, not eight and one.
    let tile = tokens.div_ceil(tokens.div_ceil(dispatch(pool.isa(), TileOf { tokens })));
    let size = if x.len() < ALONE { usize::MAX } else { 1 };
    pool.chunks(tokens.div_ceil(tile), size, |tiles| {
        let tokens = tiles.start * tile..tokens.min(tiles.end * tile);
        #[expect(unsafe_code, reason = "tiles of one slice")]
        // SAFETY: `chunks` gives each tile once, and tiles do not overlap.
        let (quads, scales) = unsafe {
            (
                shared.part(tokens.start * groups..tokens.end * groups),
                shared_scales.part(tokens.start * each..tokens.end * each),
            )
        };
        let x = &x[tokens.start * cols..tokens.end * cols];
        dispatch(pool.isa(), Quantise { x, cols, quads, scales, groups, tile });
    });
    Activations { groups, tile, ..W::activations(quads, scales) }
}

struct TileOf {
    tokens: usize,
}

impl Kernel for TileOf {
    type Output = usize;
    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> usize {
        if self.tokens > FEW { S::BLOCK.0 } else { S::TILE }
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

impl<W: Width> Kernel for Quantise<'_, W> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.cols == 0 {
            return;
        }
        let each = self.groups.div_ceil(W::GROUPS);
        let quads = self.quads.chunks_mut(self.tile * self.groups);
        let out = quads.zip(self.scales.chunks_mut(self.tile * each));
        for (x, (quads, scales)) in self.x.chunks(self.tile * self.cols).zip(out) {
            let step = x.len() / self.cols;
            for (token, x) in x.chunks_exact(self.cols).enumerate() {
                W::quantise(s, x, &mut quads[token..], &mut scales[token..], step);
            }
        }
    }
}
