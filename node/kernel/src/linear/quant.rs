//! Products with weights kept as codes: sums of integers, a scale for each group of 32 inputs.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use std::ops::Range;

use super::{
    Panels,
    activations::{Activations, FEW, borrow_sums, return_sums},
    codes::{self, Codes, Panel, Part},
    source::{Opened, Source, open},
};
use crate::{
    Format,
    matrix::{Parts, SUPER, Store},
    simd::{Floats, Line, Simd},
};

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
    let matrix = job.product.matrix;
    let (Store::Codes(codes), Some(parts)) = (&matrix.store, matrix.format().parts()) else {
        return;
    };
    let x = if parts.supers { job.coarse } else { job.fine };
    let of = Of { codes, parts, x };
    if job.tokens > FEW {
        blocks::<S, C>(s, job, &of);
        return;
    }
    for panel in job.panels.clone() {
        straight::<S, C>(s, job, &of, panel);
    }
}

/// What a product is made of.
struct Of<'a> {
    codes: &'a crate::matrix::Codes,
    parts: Parts,
    x: Activations<'a>,
}

impl Of<'_> {
    #[inline(always)]
    fn panel(&self, at: usize) -> Panel<'_> {
        Panel::of(self.codes, self.parts, at, self.x.groups)
    }
}

/// Calls `$f` for the `T` that `$len` is. What a full tile has not is not compiled.
macro_rules! with_len {
    ($len:expr, $full:expr, $f:ident<$($generic:ident),+>, $($argument:expr),+) => {
        match $len {
            1 => $f::<$($generic),+, 1>($($argument),+),
            2 => $f::<$($generic),+, 2>($($argument),+),
            3 => $f::<$($generic),+, 3>($($argument),+),
            4 => $f::<$($generic),+, 4>($($argument),+),
            5 if $full > 4 => $f::<$($generic),+, 5>($($argument),+),
            6 if $full > 4 => $f::<$($generic),+, 6>($($argument),+),
            7 if $full > 6 => $f::<$($generic),+, 7>($($argument),+),
            8 if $full > 6 => $f::<$($generic),+, 8>($($argument),+),
            _ => {}
        }
    };
}

/// A panel times some tiles, each in one go.
#[inline(always)]
fn straight<S: Simd, C: Codes>(s: S, job: &Panels<'_>, of: &Of<'_>, at: usize) {
    for token in (0..job.tokens).step_by(of.x.tile) {
        let len = of.x.tile.min(job.tokens - token);
        with_len!(len, S::TILE, straight_tile<S, C>, s, job, of, at, token);
    }
}

#[inline(always)]
fn straight_tile<S: Simd, C: Codes, const T: usize>(
    s: S,
    job: &Panels<'_>,
    of: &Of<'_>,
    at: usize,
    token: usize,
) {
    let panel = of.panel(at);
    let part = Part { panels: [panel], lines: [panel.lines], first: 0, end: of.x.groups };
    let mut sums = [[s.splat(0.0); T]];
    C::add::<S, C::Packed, 1, T>(s, &part, &of.x.tile(token), &mut sums);
    for t in 0..T {
        job.put(s, at, token + t, sums[0][t]);
    }
}

/// The most groups of a panel that are unpacked at a time, to 16 KiB: they stay in the first-level
/// cache while all tiles come by. Whole super-blocks.
const OPEN: usize = 4 * SUPER;

/// Tokens whose activations for so many groups (400 KiB) stay in the second-level cache while all
/// panels come by.
const BLOCK: usize = 256;

type Opening = [Line; OPEN * Opened::LINES];

/// All panels times many tokens: some inputs at a time, so that codes are unpacked once for all
/// tiles and activations are read from a cache by all panels. The order of each sum is as in one go.
#[inline(always)]
fn blocks<S: Simd, C: Codes>(s: S, job: &Panels<'_>, of: &Of<'_>) {
    let mut opened: [Opening; 2] = [[Line([0; 64]); OPEN * Opened::LINES]; 2];
    let block = even(job.tokens, BLOCK).next_multiple_of(of.x.tile);
    let open = even(of.x.groups, OPEN).next_multiple_of(SUPER);
    let mut kept = borrow_sums(job.panels.len() * block.min(job.tokens));
    for from in (0..job.tokens).step_by(block) {
        let tokens = from..job.tokens.min(from + block);
        let count = tokens.len();
        let sums = &mut kept[..job.panels.len() * count];
        sums.fill(Floats::default());
        for first in (0..of.x.groups).step_by(open) {
            let groups = first..of.x.groups.min(first + open);
            let mut panels = job.panels.clone().step_by(S::BLOCK.1);
            for sums in sums.chunks_mut(S::BLOCK.1 * count) {
                let Some(at) = panels.next() else { break };
                let (tokens, next) = (tokens.clone(), at + S::BLOCK.1..job.panels.end);
                if sums.len() == 2 * count {
                    let part = opened_part::<S, C, 2>(s, of, at, &groups, &mut opened);
                    let next = packed::<C, 2>(of, next, &groups);
                    tiles::<S, C, 2>(s, of, &part, tokens, sums, next);
                } else {
                    let part = opened_part::<S, C, 1>(s, of, at, &groups, &mut opened);
                    let next = packed::<C, 1>(of, next, &groups);
                    tiles::<S, C, 1>(s, of, &part, tokens, sums, next);
                }
            }
        }
        for (index, token) in tokens.enumerate() {
            for (at, sums) in job.panels.clone().zip(sums.chunks_exact(count)) {
                job.put(s, at, token, s.load(&sums[index].0));
            }
        }
    }
    return_sums(kept);
}

/// The size of pieces of at most `most` that are as even as they come.
#[inline(always)]
fn even(all: usize, most: usize) -> usize {
    all.div_ceil(all.div_ceil(most).max(1))
}

/// The lines of these groups as they lie in memory, of the first `P` of these panels; none where there
/// are fewer.
#[inline(always)]
fn packed<'a, C: Codes, const P: usize>(
    of: &'a Of<'_>,
    panels: Range<usize>,
    groups: &Range<usize>,
) -> [&'a [Line]; P] {
    let each = C::Packed::LINES;
    let mut lines: [&[Line]; P] = [&[]; P];
    for (lines, at) in lines.iter_mut().zip(panels) {
        *lines = &of.panel(at).lines[each * groups.start..each * groups.end];
    }
    lines
}

/// These groups of the `P` panels from this one on, unpacked.
#[inline(always)]
fn opened_part<'a, S: Simd, C: Codes, const P: usize>(
    s: S,
    of: &'a Of<'_>,
    at: usize,
    groups: &Range<usize>,
    opened: &'a mut [Opening; 2],
) -> Part<'a, P> {
    let packed = packed::<C, P>(of, at..at + P, groups);
    let mut panels = [of.panel(at); P];
    for p in 0..P {
        panels[p] = of.panel(at + p);
        open::<S, C::Packed>(s, packed[p], &mut opened[p]);
    }
    let mut lines: [&[Line]; P] = [&[]; P];
    for p in 0..P {
        lines[p] = &opened[p];
    }
    Part { panels, lines, first: groups.start, end: groups.end }
}

/// All tiles times some inputs of `P` panels; meanwhile `next` is asked for.
#[inline(always)]
fn tiles<S: Simd, C: Codes, const P: usize>(
    s: S,
    of: &Of<'_>,
    part: &Part<'_, P>,
    tokens: Range<usize>,
    sums: &mut [Floats],
    next: [&[Line]; P],
) {
    let (tile, count) = (of.x.tile, tokens.len());
    let share = next[0].len().div_ceil(count.div_ceil(tile)).max(1);
    let mut shares = next.map(|lines| lines.chunks(share));
    for from in (0..count).step_by(tile) {
        for p in 0..P {
            for line in shares[p].next().unwrap_or_default() {
                s.prefetch(line, 0);
            }
        }
        let token = tokens.start + from;
        let (len, sums) = (tile.min(count - from), &mut sums[from..]);
        with_len!(len, S::BLOCK.0, opened_tile<S, C, P>, s, of, part, token, sums, count);
    }
}

/// `T` tokens of each panel; its sums of all tokens are `each` apart.
#[inline(always)]
fn opened_tile<S: Simd, C: Codes, const P: usize, const T: usize>(
    s: S,
    of: &Of<'_>,
    part: &Part<'_, P>,
    token: usize,
    kept: &mut [Floats],
    each: usize,
) {
    let mut sums = [[s.splat(0.0); T]; P];
    for p in 0..P {
        for t in 0..T {
            sums[p][t] = s.load(&kept[p * each + t].0);
        }
    }
    C::add::<S, Opened, P, T>(s, part, &of.x.tile(token), &mut sums);
    for p in 0..P {
        for t in 0..T {
            s.store(sums[p][t], &mut kept[p * each + t].0);
        }
    }
}
