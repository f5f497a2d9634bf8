//! Writing new keys and values into their pages.

use std::ops::Range;

use super::{Call, Span};
use crate::{
    Error,
    isa::{Kernel, dispatch},
    kv::{Element, PAGE, Slab},
    share::Share,
    simd::Simd,
};

/// The indices of the pages that a span writes to.
fn written(span: &Span<'_>) -> Range<usize> {
    if span.rows.is_empty() {
        return 0..0;
    }
    span.past / PAGE..(span.past + span.rows.len()).div_ceil(PAGE)
}

/// Fails where two spans, or one span twice, would write to the same page.
pub(super) fn check(spans: &[Span<'_>]) -> Result<(), Error> {
    let mut pages: Vec<u32> =
        spans.iter().flat_map(|span| span.pages[written(span)].iter().copied()).collect();
    pages.sort_unstable();
    match pages.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let got = pair[0] as usize;
            Err(Error::Range { what: "a page", got, must: "written to by one span, once" })
        }
        None => Ok(()),
    }
}

/// New rows of one page of one span.
struct Piece {
    span: usize,
    page: usize,
}

pub(super) fn append<E: Element>(call: &Call<'_>, slabs: &mut [Slab<E>]) {
    /// Below so many values, another thread takes longer to be told than to do it. Few: each value
    /// of a key lies in a cache line of its own.
    const ALONE: usize = 1 << 9;
    let mut pieces = Vec::new();
    for (index, span) in call.spans.iter().enumerate() {
        pieces.extend(written(span).map(|page| Piece { span: index, page }));
    }
    let shares: Vec<Share<'_, E>> =
        slabs.iter_mut().map(|slab| Share::new(slab.values_mut())).collect();
    let size = if call.k.len() < ALONE { usize::MAX } else { call.pool.share(pieces.len()) };
    call.pool.chunks(pieces.len(), size, |range| {
        for piece in &pieces[range] {
            dispatch(call.pool.isa(), Append { call, piece, shares: &shares });
        }
    });
}

struct Append<'a, E> {
    call: &'a Call<'a>,
    piece: &'a Piece,
    shares: &'a [Share<'a, E>],
}

impl<E: Element> Kernel for Append<'_, E> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Call { layout, layer, k, v, .. } = *self.call;
        let span = &self.call.spans[self.piece.span];
        let end = span.past + span.rows.len();
        let first = self.piece.page * PAGE;
        let positions = span.past.max(first)..end.min(first + PAGE);
        for head in 0..layout.kv_heads {
            let place = layout.place(span.pages[self.piece.page], layer, head);
            let share = &self.shares[place.slab];
            #[expect(unsafe_code, reason = "pages of one slab")]
            // SAFETY: `check` saw that no page is written to twice, so this piece alone has it, and
            // the heads and the two halves of a page do not overlap.
            let (keys, values) = unsafe { (share.part(place.keys), share.part(place.values)) };
            for position in positions.clone() {
                let row = span.rows.start + position - span.past;
                let from = (row * layout.kv_heads + head) * layout.dim;
                let lane = position - first;
                put_key(s, &k[from..from + layout.dim], keys, lane);
                let width = layout.value_vectors() * 16;
                put_value(s, &v[from..from + layout.dim], &mut values[lane * width..][..width]);
            }
        }
    }
}

/// A key goes down a column.
#[inline(always)]
fn put_key<S: Simd, E: Element>(s: S, key: &[f32], keys: &mut [E], lane: usize) {
    for (key, keys) in key.chunks(16).zip(keys.chunks_mut(16 * PAGE)) {
        let kept = convert::<S, E>(s, key);
        let (keys, _) = keys.as_chunks_mut::<PAGE>();
        for (keys, kept) in keys.iter_mut().zip(kept) {
            keys[lane] = kept;
        }
    }
}

#[inline(always)]
fn put_value<S: Simd, E: Element>(s: S, value: &[f32], row: &mut [E]) {
    let (row, _) = row.as_chunks_mut::<16>();
    for (value, row) in value.chunks(16).zip(row) {
        *row = convert::<S, E>(s, value);
    }
}

/// Up to sixteen values, then zeros.
#[inline(always)]
fn convert<S: Simd, E: Element>(s: S, values: &[f32]) -> [E; 16] {
    let mut out = [E::ZERO; 16];
    if let Ok(values) = values.try_into() {
        E::store(s, s.load(values), &mut out);
    } else {
        let mut padded = [0.0; 16];
        padded[..values.len()].copy_from_slice(values);
        E::store(s, s.load(&padded), &mut out);
    }
    out
}
