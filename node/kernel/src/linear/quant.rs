//! Products with weights stored as codes: sums of integers, with a scale for each group of 32 inputs.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use std::ops::Range;

use super::{
    PanelTask,
    activations::{Activations, MAX_PACKED_TOKENS, borrow_sums, return_sums},
    codes::{self, CodeFormat, Panel, Part},
    source::{ByteCodes, Source, unpack},
};
use crate::{
    Format,
    matrix::{GroupLayout, SUPER, Store},
    simd::{Floats, Line, Simd},
};

#[inline(always)]
pub(super) fn multiply<S: Simd>(s: S, task: &PanelTask<'_>) {
    match task.product.matrix.format() {
        Format::Q8 => panels::<S, codes::Q8>(s, task),
        Format::Q4 => panels::<S, codes::Q4>(s, task),
        Format::Q4Min => panels::<S, codes::Q4Min>(s, task),
        Format::Q4K => panels::<S, codes::Q4K>(s, task),
        Format::Q6K => panels::<S, codes::Q6K>(s, task),
        format @ (Format::F32 | Format::Bf16 | Format::F16) => {
            debug_assert!(false, "{format:?} has no codes");
        }
    }
}

#[inline(always)]
fn panels<S: Simd, C: CodeFormat>(s: S, task: &PanelTask<'_>) {
    let matrix = task.product.matrix;
    let (Store::Codes(codes), Some(layout)) = (&matrix.store, matrix.format().group_layout())
    else {
        debug_assert!(false, "{matrix:?} has no codes");
        return;
    };
    let x = if layout.has_supers { task.x_supers } else { task.x_groups };
    let operands = Operands { codes, layout, x };
    if task.tokens > MAX_PACKED_TOKENS {
        blocks::<S, C>(s, task, &operands);
        return;
    }
    for panel in task.panels.clone() {
        packed_panel::<S, C>(s, task, &operands, panel);
    }
}

/// The weights and the activations of a product.
struct Operands<'a> {
    codes: &'a crate::matrix::Codes,
    layout: GroupLayout,
    x: Activations<'a>,
}

impl Operands<'_> {
    #[inline(always)]
    fn panel(&self, index: usize) -> Panel<'_> {
        Panel::new(self.codes, self.layout, index, self.x.groups)
    }
}

/// Calls `$f` with `$len` as the constant `T`. Lengths above that of a full tile are not compiled.
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
            len => debug_assert!(len == 0, "a tile of {len} tokens, where a full one has {}", $full),
        }
    };
}

/// One panel, with its codes as they are packed, times all tiles.
#[inline(always)]
fn packed_panel<S: Simd, C: CodeFormat>(
    s: S,
    task: &PanelTask<'_>,
    operands: &Operands<'_>,
    panel: usize,
) {
    let tile = operands.x.tile;
    for token in (0..task.tokens).step_by(tile) {
        let len = tile.min(task.tokens - token);
        with_len!(len, S::TILE, packed_tile<S, C>, s, task, operands, panel, token);
    }
}

#[inline(always)]
fn packed_tile<S: Simd, C: CodeFormat, const T: usize>(
    s: S,
    task: &PanelTask<'_>,
    operands: &Operands<'_>,
    index: usize,
    token: usize,
) {
    let panel = operands.panel(index);
    let part = Part { panels: [panel], lines: [panel.lines], first: 0, end: operands.x.groups };
    let mut sums = [[s.splat(0.0); T]];
    C::add::<S, C::Packing, 1, T>(s, &part, &operands.x.tile(token), &mut sums);
    for t in 0..T {
        task.write(s, index, token + t, sums[0][t]);
    }
}

/// The most groups of a panel that are unpacked at a time, into 16 KiB. They stay in the first-level
/// cache while all tiles use them. A whole number of super-blocks.
const UNPACKED_GROUPS: usize = 4 * SUPER;

/// The most tokens of a block. Their activations for so many groups (400 KiB) stay in the
/// second-level cache while all panels use them.
const BLOCK: usize = 256;

type UnpackBuffer = [Line; UNPACKED_GROUPS * ByteCodes::LINES];

/// All panels times many tokens, some inputs at a time: codes are unpacked once for all tiles, and all
/// panels read the activations from a cache. The order of each sum is that of [`packed_panel`].
#[inline(always)]
fn blocks<S: Simd, C: CodeFormat>(s: S, task: &PanelTask<'_>, operands: &Operands<'_>) {
    let mut buffers: [UnpackBuffer; 2] = [[Line([0; 64]); UNPACKED_GROUPS * ByteCodes::LINES]; 2];
    let groups = operands.x.groups;
    let block = even_size(task.tokens, BLOCK).next_multiple_of(operands.x.tile);
    let step = even_size(groups, UNPACKED_GROUPS).next_multiple_of(SUPER);
    let mut scratch = borrow_sums(task.panels.len() * block.min(task.tokens));
    for start in (0..task.tokens).step_by(block) {
        let tokens = start..task.tokens.min(start + block);
        let count = tokens.len();
        let sums = &mut scratch[..task.panels.len() * count];
        sums.fill(Floats::default());
        for first in (0..groups).step_by(step) {
            let groups = first..groups.min(first + step);
            let mut panels = task.panels.clone().step_by(S::BLOCK.1);
            for sums in sums.chunks_mut(S::BLOCK.1 * count) {
                let Some(panel) = panels.next() else { break };
                let (tokens, next) = (tokens.clone(), panel + S::BLOCK.1..task.panels.end);
                if sums.len() == 2 * count {
                    let part = unpack_part::<S, C, 2>(s, operands, panel, &groups, &mut buffers);
                    let next = packed_lines::<C, 2>(operands, next, &groups);
                    tiles::<S, C, 2>(s, operands, &part, tokens, sums, next);
                } else {
                    let part = unpack_part::<S, C, 1>(s, operands, panel, &groups, &mut buffers);
                    let next = packed_lines::<C, 1>(operands, next, &groups);
                    tiles::<S, C, 1>(s, operands, &part, tokens, sums, next);
                }
            }
        }
        for (index, token) in tokens.enumerate() {
            for (panel, sums) in task.panels.clone().zip(sums.chunks_exact(count)) {
                task.write(s, panel, token, s.load(&sums[index].0));
            }
        }
    }
    return_sums(scratch);
}

/// The size of pieces of at most `max` that are as even as possible.
#[inline(always)]
fn even_size(len: usize, max: usize) -> usize {
    len.div_ceil(len.div_ceil(max).max(1))
}

/// The packed lines of these groups, for the first `P` of these panels; empty for panels that do not
/// exist.
#[inline(always)]
fn packed_lines<'a, C: CodeFormat, const P: usize>(
    operands: &'a Operands<'_>,
    panels: Range<usize>,
    groups: &Range<usize>,
) -> [&'a [Line]; P] {
    let range = C::Packing::LINES * groups.start..C::Packing::LINES * groups.end;
    let mut lines: [&[Line]; P] = [&[]; P];
    for (lines, panel) in lines.iter_mut().zip(panels) {
        *lines = &operands.panel(panel).lines[range.clone()];
    }
    lines
}

/// Unpacks these groups of `P` panels, of which `first` is the first.
#[inline(always)]
fn unpack_part<'a, S: Simd, C: CodeFormat, const P: usize>(
    s: S,
    operands: &'a Operands<'_>,
    first: usize,
    groups: &Range<usize>,
    buffers: &'a mut [UnpackBuffer; 2],
) -> Part<'a, P> {
    let packed = packed_lines::<C, P>(operands, first..first + P, groups);
    let mut panels = [operands.panel(first); P];
    for p in 0..P {
        panels[p] = operands.panel(first + p);
        unpack::<S, C::Packing>(s, packed[p], &mut buffers[p]);
    }
    let mut lines: [&[Line]; P] = [&[]; P];
    for p in 0..P {
        lines[p] = &buffers[p];
    }
    Part { panels, lines, first: groups.start, end: groups.end }
}

/// All tiles times some inputs of `P` panels. Meanwhile the lines `next` are prefetched.
#[inline(always)]
fn tiles<S: Simd, C: CodeFormat, const P: usize>(
    s: S,
    operands: &Operands<'_>,
    part: &Part<'_, P>,
    tokens: Range<usize>,
    sums: &mut [Floats],
    next: [&[Line]; P],
) {
    let (tile, count) = (operands.x.tile, tokens.len());
    let share = next[0].len().div_ceil(count.div_ceil(tile)).max(1);
    let mut shares = next.map(|lines| lines.chunks(share));
    for start in (0..count).step_by(tile) {
        for p in 0..P {
            // A panel that does not exist has no lines, and there may be fewer chunks than tiles.
            for line in shares[p].next().unwrap_or_default() {
                s.prefetch(line, 0);
            }
        }
        let token = tokens.start + start;
        let (len, sums) = (tile.min(count - start), &mut sums[start..]);
        with_len!(len, S::BLOCK.0, unpacked_tile<S, C, P>, s, operands, part, token, sums, count);
    }
}

/// `T` tokens of each panel. The sums of two panels are `stride` apart.
#[inline(always)]
fn unpacked_tile<S: Simd, C: CodeFormat, const P: usize, const T: usize>(
    s: S,
    operands: &Operands<'_>,
    part: &Part<'_, P>,
    token: usize,
    scratch: &mut [Floats],
    stride: usize,
) {
    let mut sums = [[s.splat(0.0); T]; P];
    for p in 0..P {
        for t in 0..T {
            sums[p][t] = s.load(&scratch[p * stride + t].0);
        }
    }
    C::add::<S, ByteCodes, P, T>(s, part, &operands.x.tile(token), &mut sums);
    for p in 0..P {
        for t in 0..T {
            s.store(sums[p][t], &mut scratch[p * stride + t].0);
        }
    }
}
