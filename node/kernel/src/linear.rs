//! Matrix products: what nearly all of the time goes to.
//!
//! At one token they are bound by reading the weights, at many by arithmetic. So tokens go in tiles
//! that share each load of weights, and all matrices that read the same input in one parallel region.
//! With many tokens codes are unpacked once for all tiles (`quant`), in an order that keeps what is
//! read again in the caches.
#![expect(
    clippy::indexing_slicing,
    reason = "offsets follow from shapes that are checked at the top"
)]

mod activations;
mod codes;
mod float;
mod quant;
mod source;

use std::ops::Range;

use crate::{
    Error, Matrix, Pool,
    error::length,
    isa::{Kernel, dispatch},
    matrix::{ROWS, Store},
    share::Share,
    simd::Simd,
};
use activations::{Activations, activations};
pub(crate) use source::AHEAD;

/// A product of the shared input, and where it goes.
#[derive(Debug)]
pub struct Output<'a> {
    pub matrix: &'a Matrix,
    /// `[tokens, rows of the matrix]`
    pub out: &'a mut [f32],
    /// Add to what `out` holds (a residual), instead of replacing it.
    pub add: bool,
    /// Added to each row of `out`: `[rows of the matrix]`.
    pub bias: Option<&'a [f32]>,
}

/// `out[t, r] = sum_c x[t, c] W[r, c]` (with `add`: `+=`) for each of `outs`, where `x` is
/// `[tokens, cols]` and all matrices have the same `cols`.
///
/// With the formats of codes the activations are rounded to 8 bits, a scale for as many inputs as
/// the weights' scales are of (32, or the 256 of a super-block), and the products summed as integers.
///
/// # Errors
/// When a slice or a matrix does not fit.
pub fn linear(pool: &Pool, x: &[f32], tokens: usize, outs: &mut [Output<'_>]) -> Result<(), Error> {
    let Some(cols) = outs.first().map(|out| out.matrix.cols()) else { return Ok(()) };
    length("the input of a product", x.len(), tokens * cols)?;
    for out in outs.iter() {
        length("the inputs of a matrix", out.matrix.cols(), cols)?;
        length("the output of a product", out.out.len(), tokens * out.matrix.rows())?;
        if let Some(bias) = out.bias {
            length("a bias", bias.len(), out.matrix.rows())?;
        }
    }
    if tokens == 0 {
        return Ok(());
    }
    let supers = |wanted: bool| {
        outs.iter().filter_map(|out| out.matrix.format().parts()).any(|of| of.supers == wanted)
    };
    let (needs_fine, needs_coarse) = (supers(false), supers(true));
    let mut scratch = activations::borrow_scratch();
    let (mut fine, mut coarse) = (Activations::default(), Activations::default());
    if needs_fine {
        fine = activations(pool, x, tokens, &mut scratch.fine);
    }
    if needs_coarse {
        coarse = activations(pool, x, tokens, &mut scratch.coarse);
    }

    let products: Vec<Product<'_>> = outs.iter_mut().map(Product::new).collect();
    let pieces = pieces(&products, tokens, pool.threads());
    pool.chunks(pieces.len(), 1, |range| {
        for piece in &pieces[range] {
            let product = &products[piece.product];
            let panels = piece.panels.clone();
            dispatch(pool.isa(), Panels { product, panels, x, tokens, fine, coarse });
        }
    });
    activations::return_scratch(scratch);
    Ok(())
}

/// An [`Output`] that threads can share: each writes the columns of its own panels.
struct Product<'a> {
    matrix: &'a Matrix,
    out: Share<'a, f32>,
    add: bool,
    bias: Option<&'a [f32]>,
}

impl<'a> Product<'a> {
    fn new(output: &'a mut Output<'_>) -> Self {
        let Output { matrix, out, add, bias } = output;
        Self { matrix, out: Share::new(out), add: *add, bias: *bias }
    }
}

/// Some panels of one product: what a thread takes at a time.
struct Piece {
    product: usize,
    panels: Range<usize>,
}

/// Cuts all products into pieces: few enough that taking one costs nothing beside it, and enough
/// that no thread is left with much more than another.
fn pieces(products: &[Product<'_>], tokens: usize, threads: usize) -> Vec<Piece> {
    /// At 10 GB/s a core, some 3 and 12 microseconds. With pieces of half the size, taking them was 4 %
    /// of a small model's step: two threads ask for the same counter.
    const BYTES: (usize, usize) = (32 << 10, 128 << 10);
    const PIECES_A_THREAD: usize = 8;
    /// With many tokens a piece of few panels is much work too, and they share what is read of the
    /// activations.
    const MANY: usize = 32;
    let least = if tokens < MANY { 1 } else { 4 };
    let bytes: usize = products.iter().map(|product| product.matrix.bytes()).sum();
    let target = (bytes / (threads * PIECES_A_THREAD)).clamp(BYTES.0, BYTES.1);
    let mut pieces = Vec::new();
    for (index, product) in products.iter().enumerate() {
        let panels = product.matrix.panels();
        let size = (target * panels / product.matrix.bytes().max(1)).max(least);
        for from in (0..panels).step_by(size) {
            pieces.push(Piece { product: index, panels: from..panels.min(from + size) });
        }
    }
    pieces
}

struct Panels<'a> {
    product: &'a Product<'a>,
    panels: Range<usize>,
    x: &'a [f32],
    tokens: usize,
    fine: Activations<'a>,
    coarse: Activations<'a>,
}

impl Kernel for Panels<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match &self.product.matrix.store {
            Store::Floats(_) | Store::Halves(_) => float::panels(s, &self),
            Store::Codes(_) => quant::panels(s, &self),
        }
    }
}

impl Panels<'_> {
    /// Writes a panel's sums for one token.
    #[inline(always)]
    fn put<S: Simd>(&self, s: S, panel: usize, token: usize, sums: S::F) {
        const AHEAD: usize = 4;
        let rows = self.product.matrix.rows();
        let from = panel * ROWS;
        let len = ROWS.min(rows - from);
        let at = token * rows + from;
        #[expect(unsafe_code, reason = "columns of one slice")]
        // SAFETY: panels are given to one thread each (`pieces` are disjoint, `chunks` gives each
        // once), this is the only place that takes parts, and it holds one at a time.
        let out = unsafe { self.product.out.part(at..at + len) };
        if let Some(first) = out.first() {
            // Rows of an output lie far apart: the one after some more is asked for before its turn.
            s.prefetch(first, AHEAD * rows);
        }
        let bias = self.product.bias.map(|bias| &bias[from..from + len]);
        if let Ok(out) = <&mut [f32; ROWS]>::try_from(&mut *out) {
            store(s, sums, out, bias.and_then(|bias| bias.try_into().ok()), self.product.add);
            return;
        }
        let (mut all, mut padded) = ([0.0; ROWS], [0.0; ROWS]);
        all[..len].copy_from_slice(out);
        if let Some(bias) = bias {
            padded[..len].copy_from_slice(bias);
        }
        store(s, sums, &mut all, bias.is_some().then_some(&padded), self.product.add);
        out.copy_from_slice(&all[..len]);
    }
}

#[inline(always)]
fn store<S: Simd>(s: S, sums: S::F, out: &mut [f32; ROWS], bias: Option<&[f32; ROWS]>, add: bool) {
    let mut sums = sums;
    if let Some(bias) = bias {
        sums = s.add(sums, s.load(bias));
    }
    if add {
        sums = s.add(sums, s.load(out));
    }
    s.store(sums, out);
}
