//! Writes new keys and values into their pages.

use std::ops::Range;

use super::{Call, Span};
use crate::{
    Error,
    isa::{Kernel, dispatch},
    kv::{Element, PAGE, Slab},
    shared_slice::SharedSlice,
    simd::Simd,
};

/// The indices of the pages that a span writes to.
fn target_pages(span: &Span<'_>) -> Range<usize> {
    if span.rows.is_empty() {
        return 0..0;
    }
    span.past / PAGE..(span.past + span.rows.len()).div_ceil(PAGE)
}

/// Fails if two spans, or one span twice, would write to the same page.
pub(super) fn check_pages(spans: &[Span<'_>]) -> Result<(), Error> {
    let mut pages: Vec<u32> =
        spans.iter().flat_map(|span| span.pages[target_pages(span)].iter().copied()).collect();
    pages.sort_unstable();
    match pages.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => {
            let requirement = "written to by one span, once";
            Err(Error::Range { argument: "a page", value: pair[0] as usize, requirement })
        }
        None => Ok(()),
    }
}

/// The new rows of one page of one span.
struct Piece {
    span: usize,
    page: usize,
}

pub(super) fn append<E: Element>(call: &Call<'_>, slabs: &mut [Slab<E>]) {
    /// Below so many values, waking another thread takes longer than the work. The number is small
    /// because each value of a key lies in a cache line of its own.
    const ALONE: usize = 1 << 9;
    let mut pieces = Vec::new();
    for (index, span) in call.spans.iter().enumerate() {
        pieces.extend(target_pages(span).map(|page| Piece { span: index, page }));
    }
    let slabs: Vec<SharedSlice<'_, E>> =
        slabs.iter_mut().map(|slab| SharedSlice::new(slab.values_mut())).collect();
    let size = if call.k.len() < ALONE { usize::MAX } else { call.pool.chunk_len(pieces.len()) };
    call.pool.chunks(pieces.len(), size, |range| {
        for piece in &pieces[range] {
            dispatch(call.pool.isa(), Append { call, piece, slabs: &slabs });
        }
    });
}

struct Append<'a, E> {
    call: &'a Call<'a>,
    piece: &'a Piece,
    slabs: &'a [SharedSlice<'a, E>],
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
            let slab = &self.slabs[place.slab];
            #[expect(unsafe_code, reason = "pages of one slab")]
            // SAFETY: `check_pages` has checked that no page is written twice, so only this piece writes
            // to it, and the heads and the two halves of a page do not overlap.
            let (keys, values) = unsafe { (slab.part(place.keys), slab.part(place.values)) };
            for position in positions.clone() {
                let row = span.rows.start + position - span.past;
                let start = (row * layout.kv_heads + head) * layout.dim;
                let lane = position - first;
                put_key(s, &k[start..start + layout.dim], keys, lane);
                let width = layout.value_vectors() * 16;
                put_value(s, &v[start..start + layout.dim], &mut values[lane * width..][..width]);
            }
        }
    }
}

/// Writes a key down a column.
#[inline(always)]
fn put_key<S: Simd, E: Element>(s: S, key: &[f32], keys: &mut [E], lane: usize) {
    for (key, keys) in key.chunks(16).zip(keys.chunks_mut(16 * PAGE)) {
        let elements = convert::<S, E>(s, key);
        let (keys, _) = keys.as_chunks_mut::<PAGE>();
        for (keys, element) in keys.iter_mut().zip(elements) {
            keys[lane] = element;
        }
    }
}

/// Writes a value as a row.
#[inline(always)]
fn put_value<S: Simd, E: Element>(s: S, value: &[f32], row: &mut [E]) {
    let (row, _) = row.as_chunks_mut::<16>();
    for (value, row) in value.chunks(16).zip(row) {
        *row = convert::<S, E>(s, value);
    }
}

/// Up to sixteen values as elements, with zeros in the other lanes.
#[inline(always)]
fn convert<S: Simd, E: Element>(s: S, values: &[f32]) -> [E; 16] {
    let mut out = [E::ZERO; 16];
    if let Ok(values) = values.try_into() {
        E::store(s, s.load(values), &mut out);
    } else {
        let mut lanes = [0.0; 16];
        lanes[..values.len()].copy_from_slice(values);
        E::store(s, s.load(&lanes), &mut out);
    }
    out
}
