//! Attention over the paged cache.
//!
//! Each row has an online softmax over blocks of positions (Milakov and Gimelshein 2018; blocks as in
//! FlashAttention), so that a block of keys and values is read from the cache once for many rows. The
//! blocks begin at fixed positions and every row visits them in the same order, whatever the other
//! rows. That is why prefill and decoding give the same bits.
#![expect(
    clippy::indexing_slicing,
    reason = "offsets follow from shapes that are checked at the top"
)]

mod append;
mod block;

use std::ops::Range;

use crate::{
    Error, Pool,
    error::check_length,
    isa::dispatch,
    kv::{Element, KvPool, Layout, PAGE, Slab, Slabs},
    shared_slice::SharedSlice,
};
use block::Rows;

/// The parameters of a layer's attention, which do not change from call to call.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Heads of queries, a multiple of `kv_heads`.
    pub heads: usize,
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Dimensions of a head.
    pub dim: usize,
    /// The factor of the products of queries and keys, usually `1 / sqrt(dim)`.
    pub scale: f32,
    /// A score becomes `cap * tanh(score / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// How many positions a position attends to, itself included.
    pub window: Option<usize>,
}

/// The rows of a call that belong to one sequence, in order.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// Rows of `q`, `k`, `v` and `out`.
    pub rows: Range<usize>,
    /// Positions that the pages of the sequence already hold.
    pub past: usize,
    /// The pages of the sequence, 16 positions each, with room for the new rows.
    pub pages: &'a [u32],
}

/// Appends the keys and values of each span to its pages, and then attends from each of its rows to
/// all positions up to that row's own. `q` and `out` are `[rows, heads * dim]`, `k` and `v` are
/// `[rows, kv_heads * dim]`; [`crate::rope`] has rotated `q` and `k` before. Rows of `out` in no span
/// are not changed.
///
/// Spans may share pages that no span writes to.
///
/// # Errors
/// When lengths do not fit, spans overlap, or a page is missing or written to by two spans.
#[expect(
    clippy::too_many_arguments,
    reason = "three inputs, the cache, the output, and their shapes"
)]
pub fn attend(
    pool: &Pool,
    shape: AttentionShape,
    q: &[f32],
    k: &[f32],
    v: &[f32],
    kv: &mut KvPool,
    layer: usize,
    spans: &[Span<'_>],
    out: &mut [f32],
) -> Result<(), Error> {
    check(&shape, [q, k, v, out], kv, layer, spans)?;
    append::check_pages(spans)?;
    kv.allocate(spans.iter().flat_map(|span| span.pages.iter().copied()));
    let call = Call { pool, shape, q, k, v, layer, layout: kv.layout(), spans };
    match kv.slabs_mut() {
        Slabs::F16(slabs) => call.run(slabs, out),
        Slabs::F32(slabs) => call.run(slabs, out),
    }
    Ok(())
}

/// A call with shapes that fit.
struct Call<'a> {
    pool: &'a Pool,
    shape: AttentionShape,
    q: &'a [f32],
    k: &'a [f32],
    v: &'a [f32],
    layer: usize,
    layout: Layout,
    spans: &'a [Span<'a>],
}

/// The work that a thread takes at a time: some rows of a span, one head of keys and values.
struct Piece {
    span: usize,
    rows: Range<usize>,
    kv_head: usize,
}

impl Call<'_> {
    fn run<E: Element>(&self, slabs: &mut [Slab<E>], out: &mut [f32]) {
        append::append(self, slabs);
        let out = SharedSlice::new(out);
        let pieces = self.pieces();
        let slabs = &*slabs;
        self.pool.chunks(pieces.len(), self.pool.chunk_len(pieces.len()), |range| {
            for piece in &pieces[range] {
                let span = &self.spans[piece.span];
                dispatch(
                    self.pool.isa(),
                    Rows {
                        shape: &self.shape,
                        q: self.q,
                        first_row: piece.rows.start,
                        rows: piece.rows.len(),
                        first_position: span.past + piece.rows.start - span.rows.start,
                        kv_head: piece.kv_head,
                        pages: span.pages,
                        slabs,
                        layer: self.layer,
                        layout: self.layout,
                        out,
                    },
                );
            }
        });
    }

    /// The rows of each span in blocks, the last block first: it has the most positions, and the work
    /// that is taken last should be small.
    fn pieces(&self) -> Vec<Piece> {
        /// Queries that read a block of keys and values together. Their sums (64 heads of 128 are
        /// 32 KiB) and the block fit in the second-level cache.
        const QUERIES: usize = 64;
        let group = self.shape.heads / self.shape.kv_heads;
        let rows: usize = self.spans.iter().map(|span| span.rows.len()).sum();
        // At least four pieces for each thread, if there are so many rows.
        let max_rows = (rows * self.shape.kv_heads).div_ceil(self.pool.threads() * 4);
        let size = (QUERIES / group).clamp(1, max_rows.max(1));
        let mut pieces = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            for start in span.rows.clone().step_by(size).rev() {
                let rows = start..span.rows.end.min(start + size);
                let heads = 0..self.shape.kv_heads;
                pieces.extend(heads.map(|kv_head| Piece {
                    span: index,
                    rows: rows.clone(),
                    kv_head,
                }));
            }
        }
        pieces
    }
}

fn check(
    shape: &AttentionShape,
    [q, k, v, out]: [&[f32]; 4],
    kv: &KvPool,
    layer: usize,
    spans: &[Span<'_>],
) -> Result<(), Error> {
    let layout = kv.layout();
    let AttentionShape { heads, kv_heads, dim, window, .. } = *shape;
    if kv_heads == 0 || dim == 0 || heads == 0 || heads % kv_heads != 0 {
        return out_of_range(
            "the number of heads",
            heads,
            "a multiple of those of keys, and dim not 0",
        );
    }
    if window == Some(0) {
        return out_of_range("a window", 0, "at least 1");
    }
    if layer >= layout.layers {
        return out_of_range("a layer", layer, "one of the cache's");
    }
    check_length("the heads of the cache", layout.kv_heads, kv_heads)?;
    check_length("a head of the cache", layout.dim, dim)?;
    let rows = q.len() / (heads * dim);
    check_length("the queries", q.len(), rows * heads * dim)?;
    check_length("the keys", k.len(), rows * kv_heads * dim)?;
    check_length("the values", v.len(), rows * kv_heads * dim)?;
    check_length("the output of attention", out.len(), q.len())?;
    let mut end = 0;
    for span in spans {
        if span.rows.start < end || span.rows.end < span.rows.start || span.rows.end > rows {
            return out_of_range(
                "the first row of a span",
                span.rows.start,
                "after the span before, inside",
            );
        }
        end = span.rows.end;
        let positions = span.past.saturating_add(span.rows.len());
        if positions.div_ceil(PAGE) > span.pages.len() {
            return out_of_range("the end of a span", positions, "within its pages");
        }
        span.pages.iter().try_for_each(|page| kv.check(*page))?;
    }
    Ok(())
}

fn out_of_range(
    argument: &'static str,
    value: usize,
    requirement: &'static str,
) -> Result<(), Error> {
    Err(Error::Range { argument, value, requirement })
}
