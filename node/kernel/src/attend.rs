//! Attention over the paged cache.
//!
//! Each row's softmax is kept running over blocks of positions (Milakov and Gimelshein 2018; blocked
//! as in FlashAttention), so that a block of keys and values is read from the cache once for many
//! rows. The blocks stand at fixed positions and every row takes them in the same order, whatever
//! other rows do: that is why prefill and decoding give the same bits.
#![expect(
    clippy::indexing_slicing,
    reason = "offsets follow from shapes that are checked at the top"
)]

mod append;
mod block;

use std::ops::Range;

use crate::{
    Error, Pool,
    error::length,
    isa::dispatch,
    kv::{Element, KvPool, Layout, PAGE, Slab, Slabs},
    share::Share,
};
use block::Rows;

/// What does not change from call to call.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape {
    /// Of queries; a multiple of `kv_heads`.
    pub heads: usize,
    /// Of keys and values.
    pub kv_heads: usize,
    /// Of a head.
    pub dim: usize,
    /// What products of queries and keys are multiplied by: mostly `1 / sqrt(dim)`.
    pub scale: f32,
    /// `cap * tanh(score / cap)` (Gemma 2).
    pub softcap: Option<f32>,
    /// A position sees only so many, itself counted.
    pub window: Option<usize>,
}

/// The rows of a call that belong to one sequence, in order.
#[derive(Clone, Debug)]
pub struct Span<'a> {
    /// Of `q`, `k`, `v` and `out`.
    pub rows: Range<usize>,
    /// Positions that the sequence has in its pages already.
    pub past: usize,
    /// Its pages, 16 positions each, with room for the new rows.
    pub pages: &'a [u32],
}

/// Writes the keys and values of each span behind those in its pages, and then attends from each of
/// its rows to all positions up to its own. `q` and `out` are `[rows, heads * dim]`, `k` and `v`
/// `[rows, kv_heads * dim]`, turned by [`crate::rope`] before. Rows of no span stay as they are.
///
/// Spans may share pages that none of them writes to.
///
/// # Errors
/// When lengths do not fit, spans overlap, or a page is missing or written to by two spans.
#[expect(clippy::too_many_arguments, reason = "three inputs, two places, and where")]
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
    append::check(spans)?;
    let call = Call { pool, shape, q, k, v, layer, layout: kv.layout(), spans };
    match kv.slabs_mut() {
        Slabs::F16(slabs) => call.run(slabs, out),
        Slabs::F32(slabs) => call.run(slabs, out),
    }
    Ok(())
}

/// A call whose shapes fit.
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

/// What one thread does at a time: some rows of a span, one head of keys and values.
struct Piece {
    span: usize,
    rows: Range<usize>,
    kv_head: usize,
}

impl Call<'_> {
    fn run<E: Element>(&self, slabs: &mut [Slab<E>], out: &mut [f32]) {
        append::append(self, slabs);
        let share = Share::new(out);
        let pieces = self.pieces();
        let slabs = &*slabs;
        self.pool.chunks(pieces.len(), self.pool.share(pieces.len()), |range| {
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
                        out: share,
                    },
                );
            }
        });
    }

    /// The rows of each span in blocks, the last first: they have the most to do, and who comes
    /// last should have little.
    fn pieces(&self) -> Vec<Piece> {
        /// Queries that read a block of keys and values together. What they sum up (64 heads of 128
        /// are 32 KiB) and the block fit in the second-level cache.
        const QUERIES: usize = 64;
        let group = self.shape.heads / self.shape.kv_heads;
        let all: usize = self.spans.iter().map(|span| span.rows.len()).sum();
        let even = (all * self.shape.kv_heads).div_ceil(self.pool.threads() * 4);
        let size = (QUERIES / group).clamp(1, even.max(1));
        let mut pieces = Vec::new();
        for (index, span) in self.spans.iter().enumerate() {
            for from in span.rows.clone().step_by(size).rev() {
                let rows = from..span.rows.end.min(from + size);
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
    let range = |what, got, must| Err(Error::Range { what, got, must });
    if kv_heads == 0 || dim == 0 || heads == 0 || heads % kv_heads != 0 {
        return range("the number of heads", heads, "a multiple of those of keys, and dim not 0");
    }
    if window == Some(0) {
        return range("a window", 0, "at least 1");
    }
    if layer >= layout.layers {
        return range("a layer", layer, "one of the cache's");
    }
    length("the heads of the cache", layout.kv_heads, kv_heads)?;
    length("a head of the cache", layout.dim, dim)?;
    let rows = q.len() / (heads * dim);
    length("the queries", q.len(), rows * heads * dim)?;
    length("the keys", k.len(), rows * kv_heads * dim)?;
    length("the values", v.len(), rows * kv_heads * dim)?;
    length("the output of attention", out.len(), q.len())?;
    let mut end = 0;
    for span in spans {
        if span.rows.start < end || span.rows.end < span.rows.start || span.rows.end > rows {
            return range(
                "the first row of a span",
                span.rows.start,
                "after the span before, inside",
            );
        }
        end = span.rows.end;
        let positions = span.past.saturating_add(span.rows.len());
        if positions.div_ceil(PAGE) > span.pages.len() {
            return range("the end of a span", positions, "within its pages");
        }
        span.pages.iter().try_for_each(|page| kv.check(*page))?;
    }
    Ok(())
}
