//! Matrix products, which take nearly all of the time.
//!
//! One token is limited by reading the weights, many tokens by arithmetic. So tokens are grouped in
//! tiles that share each load of weights, and all matrices with the same input are one parallel
//! region. With many tokens, codes are unpacked once for all tiles (`quant`), in an order that keeps
//! data in the caches until it is read again.
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
    error::check_length,
    isa::{Kernel, dispatch},
    matrix::{ROWS, Store},
    shared_slice::SharedSlice,
    simd::Simd,
};
use activations::{Activations, activations};
pub(crate) use source::PREFETCH_LINES;

/// A product with the shared input, and where its result goes.
#[derive(Debug)]
pub struct Output<'a> {
    /// The weights.
    pub matrix: &'a Matrix,
    /// The result, `[tokens, rows of the matrix]`.
    pub out: &'a mut [f32],
    /// Add to the values in `out` (a residual) instead of replacing them.
    pub add: bool,
    /// Added to each row of `out`: `[rows of the matrix]`.
    pub bias: Option<&'a [f32]>,
}

/// `out[t, r] = sum_c x[t, c] W[r, c]` (with `add`: `+=`) for each of `outputs`, where `x` is
/// `[tokens, cols]` and all matrices have the same `cols`.
///
/// For formats of codes the activations are rounded to 8 bits, and the products are summed as
/// integers. A scale of the activations covers as many inputs as a scale of the weights: 32, or the
/// 256 of a super-block.
///
/// # Errors
/// When the length of a slice or the inputs of a matrix do not fit.
pub fn linear(
    pool: &Pool,
    x: &[f32],
    tokens: usize,
    outputs: &mut [Output<'_>],
) -> Result<(), Error> {
    let Some(cols) = outputs.first().map(|out| out.matrix.cols()) else { return Ok(()) };
    check_length("the input of a product", x.len(), tokens * cols)?;
    for out in outputs.iter() {
        check_length("the inputs of a matrix", out.matrix.cols(), cols)?;
        check_length("the output of a product", out.out.len(), tokens * out.matrix.rows())?;
        if let Some(bias) = out.bias {
            check_length("a bias", bias.len(), out.matrix.rows())?;
        }
    }
    if tokens == 0 {
        return Ok(());
    }
    let (needs_groups, needs_supers) = (needs_scale(outputs, false), needs_scale(outputs, true));
    let mut scratch = activations::borrow_scratch();
    let (mut x_groups, mut x_supers) = (Activations::default(), Activations::default());
    if needs_groups {
        x_groups = activations(pool, x, tokens, &mut scratch.groups);
    }
    if needs_supers {
        x_supers = activations(pool, x, tokens, &mut scratch.supers);
    }

    let products: Vec<Product<'_>> = outputs.iter_mut().map(Product::new).collect();
    let pieces = pieces(&products, tokens, pool.threads());
    pool.chunks(pieces.len(), 1, |range| {
        for piece in &pieces[range] {
            let product = &products[piece.product];
            let panels = piece.panels.clone();
            dispatch(pool.isa(), PanelTask { product, panels, x, tokens, x_groups, x_supers });
        }
    });
    activations::return_scratch(scratch);
    Ok(())
}

/// Whether a matrix has codes whose scales belong to super-blocks, or (`supers` false) to groups.
fn needs_scale(outputs: &[Output<'_>], supers: bool) -> bool {
    outputs
        .iter()
        .filter_map(|output| output.matrix.format().group_layout())
        .any(|layout| layout.has_supers == supers)
}

/// An [`Output`] that threads can share: each writes the columns of its own panels.
struct Product<'a> {
    matrix: &'a Matrix,
    out: SharedSlice<'a, f32>,
    add: bool,
    bias: Option<&'a [f32]>,
}

impl<'a> Product<'a> {
    fn new(output: &'a mut Output<'_>) -> Self {
        let Output { matrix, out, add, bias } = output;
        Self { matrix, out: SharedSlice::new(out), add: *add, bias: *bias }
    }
}

/// Some panels of one product: the work that a thread takes at a time.
struct Piece {
    product: usize,
    panels: Range<usize>,
}

/// Cuts the products into pieces: so few that taking a piece costs little in comparison, and so many
/// that all threads end at about the same time.
fn pieces(products: &[Product<'_>], tokens: usize, threads: usize) -> Vec<Piece> {
    /// The least and the most bytes of a piece: at 10 GB/s a core, 3 and 12 microseconds. With pieces
    /// of half the size, taking them was 4 % of a small model's step, because the threads contend for
    /// one counter.
    const BYTES: (usize, usize) = (32 << 10, 128 << 10);
    const PIECES_A_THREAD: usize = 8;
    /// From so many tokens on, a piece has at least four panels. That is enough work, and its panels
    /// share each read of the activations.
    const MANY: usize = 32;
    let min_panels = if tokens < MANY { 1 } else { 4 };
    let bytes: usize = products.iter().map(|product| product.matrix.bytes()).sum();
    let target = (bytes / (threads * PIECES_A_THREAD)).clamp(BYTES.0, BYTES.1);
    let mut pieces = Vec::new();
    for (index, product) in products.iter().enumerate() {
        let panels = product.matrix.panels();
        let size = (target * panels / product.matrix.bytes().max(1)).max(min_panels);
        for from in (0..panels).step_by(size) {
            pieces.push(Piece { product: index, panels: from..panels.min(from + size) });
        }
    }
    pieces
}

/// The kernel that multiplies the panels of one piece.
struct PanelTask<'a> {
    product: &'a Product<'a>,
    panels: Range<usize>,
    x: &'a [f32],
    tokens: usize,
    /// `x` with a scale for each group, or empty.
    x_groups: Activations<'a>,
    /// `x` with a scale for each super-block, or empty.
    x_supers: Activations<'a>,
}

impl Kernel for PanelTask<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match &self.product.matrix.store {
            Store::Floats(_) | Store::Halves(_) => float::multiply(s, &self),
            Store::Codes(_) => quant::multiply(s, &self),
        }
    }
}

impl PanelTask<'_> {
    /// Writes a panel's sums for one token.
    #[inline(always)]
    fn write<S: Simd>(&self, s: S, panel: usize, token: usize, sums: S::F) {
        const PREFETCH_ROWS: usize = 4;
        let rows = self.product.matrix.rows();
        let first = panel * ROWS;
        let len = ROWS.min(rows - first);
        let start = token * rows + first;
        #[expect(unsafe_code, reason = "columns of one slice")]
        // SAFETY: each panel belongs to one thread (`pieces` are disjoint, `chunks` gives each once),
        // this is the only place that takes parts, and it holds one at a time.
        let out = unsafe { self.product.out.part(start..start + len) };
        if let Some(value) = out.first() {
            // Rows of an output lie far apart, so a later row is prefetched.
            s.prefetch(value, PREFETCH_ROWS * rows);
        }
        let bias = self.product.bias.map(|bias| &bias[first..first + len]);
        if let Ok(out) = <&mut [f32; ROWS]>::try_from(&mut *out) {
            store(s, sums, out, bias.and_then(|bias| bias.try_into().ok()), self.product.add);
            return;
        }
        let (mut lanes, mut bias_lanes) = ([0.0; ROWS], [0.0; ROWS]);
        lanes[..len].copy_from_slice(out);
        if let Some(bias) = bias {
            bias_lanes[..len].copy_from_slice(bias);
        }
        store(s, sums, &mut lanes, bias.is_some().then_some(&bias_lanes), self.product.add);
        out.copy_from_slice(&lanes[..len]);
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
