//! The products of some groups of codes with a tile, format by format.
//!
//! The products of a group are summed as integers, with an initial value that cancels the codes'
//! offset, and then scaled. In a super-block, the scaled sums of its groups are added before they are
//! multiplied by the super-block's scale and that of the activations. Its minimums stay integers until
//! then.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use super::source::{EightBits, FourBits, SixBits, Source};
use crate::{
    matrix::{self, SUPER},
    quantise::{GroupScale, Quads, SuperScale},
    simd::{Bytes, Halves, Line, Simd},
};

/// One panel's codes and scales.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    pub(super) lines: &'a [Line],
    scales: &'a [Halves],
    mins: &'a [Halves],
    bytes: &'a [[Bytes; 2]],
}

impl<'a> Panel<'a> {
    #[inline(always)]
    pub(super) fn new(
        codes: &'a matrix::Codes,
        layout: matrix::GroupLayout,
        index: usize,
        groups: usize,
    ) -> Self {
        let scales = if layout.has_supers { groups.div_ceil(SUPER) } else { groups };
        Self {
            lines: &codes.lines[index * groups * layout.lines..][..groups * layout.lines],
            scales: &codes.scales[index * scales..][..scales],
            mins: if layout.has_mins { &codes.mins[index * scales..][..scales] } else { &[] },
            bytes: if layout.has_supers { &codes.bytes[index * groups..][..groups] } else { &[] },
        }
    }
}

/// Some groups of `P` panels.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, const P: usize> {
    pub(super) panels: [Panel<'a>; P],
    /// The codes of these groups alone, in the layout of their source.
    pub(super) lines: [&'a [Line]; P],
    pub(super) first: usize,
    pub(super) end: usize,
}

impl<'a, const P: usize> Part<'a, P> {
    /// Each panel's lines of one group.
    #[inline(always)]
    fn lines<W: Source>(&self, group: usize) -> [&'a [Line]; P] {
        let mut panels = self.lines;
        for lines in &mut panels {
            *lines = &lines[(group - self.first) * W::LINES..][..W::LINES];
        }
        panels
    }
}

/// All groups of `T` tokens.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, const T: usize> {
    pub(super) quads: &'a [[Quads; T]],
    /// One for each group, or empty.
    pub(super) group_scales: &'a [[GroupScale; T]],
    /// One for each super-block, or empty.
    pub(super) super_scales: &'a [[SuperScale; T]],
}

/// A format's arithmetic.
pub(super) trait CodeFormat {
    /// How its codes lie in memory.
    type Packing: Source;

    /// Adds these groups of `P` panels, times `T` tokens, to `sums`. In a format of super-blocks, the
    /// first group is the first of a super-block.
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    );
}

pub(super) struct Q8;
pub(super) struct Q4;
pub(super) struct Q4Min;
pub(super) struct Q4K;
pub(super) struct Q6K;

impl CodeFormat for Q8 {
    type Packing = EightBits;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let (quads, x_scales) = (&x.quads[group], &x.group_scales[group]);
            let lines = part.lines::<W>(group);
            W::prefetch(s, lines);
            let mut ints = [[s.int(0); T]; P];
            for p in 0..P {
                for t in 0..T {
                    ints[p][t] = s.int(x_scales[t].initial8);
                }
            }
            for quad in 0..4 {
                let pairs = pairs::<S, W, P>(s, lines, quad);
                for t in 0..T {
                    let x = s.quad(&quads[t].0[quad]);
                    for p in 0..P {
                        ints[p][t] = s.dot8(ints[p][t], pairs[p].0, x);
                    }
                }
                for t in 0..T {
                    let x = s.quad(&quads[t].0[quad + 4]);
                    for p in 0..P {
                        ints[p][t] = s.dot8(ints[p][t], pairs[p].1, x);
                    }
                }
            }
            add_groups(s, &ints, part, group, x_scales, sums);
        }
    }
}

impl CodeFormat for Q4 {
    type Packing = FourBits;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let x_scales = &x.group_scales[group];
            let mut initial = [0; T];
            for t in 0..T {
                initial[t] = x_scales[t].initial4;
            }
            let ints = four_bits::<S, W, P, T>(s, part.lines::<W>(group), &x.quads[group], initial);
            add_groups(s, &ints, part, group, x_scales, sums);
        }
    }
}

impl CodeFormat for Q4Min {
    type Packing = FourBits;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let x_scales = &x.group_scales[group];
            let ints = four_bits::<S, W, P, T>(s, part.lines::<W>(group), &x.quads[group], [0; T]);
            add_groups(s, &ints, part, group, x_scales, sums);
            for p in 0..P {
                let min = s.load_f16(&part.panels[p].mins[group].0);
                for t in 0..T {
                    sums[p][t] = s.fma(min, s.splat(x_scales[t].sum), sums[p][t]);
                }
            }
        }
    }
}

impl CodeFormat for Q4K {
    type Packing = FourBits;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for first in (part.first..part.end).step_by(SUPER) {
            let x_scales = &x.super_scales[first / SUPER];
            let mut sub_sums = [[s.splat(0.0); T]; P];
            for group in first..part.end.min(first + SUPER) {
                let lines = part.lines::<W>(group);
                let ints = four_bits::<S, W, P, T>(s, lines, &x.quads[group], [0; T]);
                for p in 0..P {
                    let scale = s.load_u8(&part.panels[p].bytes[group][0]);
                    for t in 0..T {
                        sub_sums[p][t] = s.fma(s.to_float(ints[p][t]), scale, sub_sums[p][t]);
                    }
                }
            }
            add_supers(s, &sub_sums, part, first, x_scales, sums);
            for p in 0..P {
                let mins = min_products(s, &part.panels[p], first, x_scales);
                let min = s.load_f16(&part.panels[p].mins[first / SUPER].0);
                for t in 0..T {
                    let scale = s.mul(min, s.splat(-x_scales[t].scale));
                    sums[p][t] = s.fma(s.to_float(mins[t]), scale, sums[p][t]);
                }
            }
        }
    }
}

impl CodeFormat for Q6K {
    type Packing = SixBits;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for first in (part.first..part.end).step_by(SUPER) {
            let x_scales = &x.super_scales[first / SUPER];
            let mut sub_sums = [[s.splat(0.0); T]; P];
            for group in first..part.end.min(first + SUPER) {
                let lines = part.lines::<W>(group);
                W::prefetch(s, lines);
                let (quads, index) = (&x.quads[group], group - first);
                let ints = six_bits::<S, W, 0, P, T>(s, lines, quads, x_scales, index);
                add_halves::<S, 0, P, T>(s, &ints, part, group, &mut sub_sums);
                let ints = six_bits::<S, W, 1, P, T>(s, lines, quads, x_scales, index);
                add_halves::<S, 1, P, T>(s, &ints, part, group, &mut sub_sums);
            }
            add_supers(s, &sub_sums, part, first, x_scales, sums);
        }
    }
}

/// Inputs `4 quad..` and `16 + 4 quad..` of each panel.
#[inline(always)]
fn pairs<S: Simd, W: Source, const P: usize>(
    s: S,
    lines: [&[Line]; P],
    quad: usize,
) -> [(S::B, S::B); P] {
    let mut pairs = [W::pair(s, lines[0], quad); P];
    for p in 1..P {
        pairs[p] = W::pair(s, lines[p], quad);
    }
    pairs
}

/// Products with codes of four bits.
#[inline(always)]
fn four_bits<S: Simd, W: Source, const P: usize, const T: usize>(
    s: S,
    lines: [&[Line]; P],
    x: &[Quads; T],
    initial: [i32; T],
) -> [[S::I; T]; P] {
    W::prefetch(s, lines);
    let mut dots = [[s.begin_dot4(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            dots[p][t] = s.begin_dot4(initial[t]);
        }
    }
    for quad in 0..4 {
        let pairs = pairs::<S, W, P>(s, lines, quad);
        for t in 0..T {
            let x = s.quad(&x[t].0[quad]);
            for p in 0..P {
                dots[p][t] = s.dot4(dots[p][t], pairs[p].0, x);
            }
        }
        for t in 0..T {
            let x = s.quad(&x[t].0[quad + 4]);
            for p in 0..P {
                dots[p][t] = s.dot4(dots[p][t], pairs[p].1, x);
            }
        }
    }
    let mut sums = [[s.int(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            sums[p][t] = s.end_dot4(dots[p][t], initial[t]);
        }
    }
    sums
}

/// Products with codes of six bits, for a group's first or second 16 inputs (`H` of 0 or 1), which
/// have a scale of their own.
#[inline(always)]
fn six_bits<S: Simd, W: Source, const H: usize, const P: usize, const T: usize>(
    s: S,
    lines: [&[Line]; P],
    x: &[Quads; T],
    x_scales: &[SuperScale; T],
    group: usize,
) -> [[S::I; T]; P] {
    let mut ints = [[s.int(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            ints[p][t] = s.int(x_scales[t].initial6[group][H]);
        }
    }
    for quad in 0..4 {
        let pairs = pairs::<S, W, P>(s, lines, quad);
        for t in 0..T {
            let x = s.quad(&x[t].0[quad + 4 * H]);
            for p in 0..P {
                let w = if H == 0 { pairs[p].0 } else { pairs[p].1 };
                ints[p][t] = s.dot7(ints[p][t], w, x);
            }
        }
    }
    ints
}

/// Adds integer products of a group's first or second 16 inputs, times their scale within the
/// super-block.
#[inline(always)]
fn add_halves<S: Simd, const H: usize, const P: usize, const T: usize>(
    s: S,
    ints: &[[S::I; T]; P],
    part: &Part<'_, P>,
    group: usize,
    sub_sums: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let scale = s.load_i8(&part.panels[p].bytes[group][H]);
        for t in 0..T {
            sub_sums[p][t] = s.fma(s.to_float(ints[p][t]), scale, sub_sums[p][t]);
        }
    }
}

/// Adds integer products of a group, times the scales of weights and activations.
#[inline(always)]
fn add_groups<S: Simd, const P: usize, const T: usize>(
    s: S,
    ints: &[[S::I; T]; P],
    part: &Part<'_, P>,
    group: usize,
    x_scales: &[GroupScale; T],
    sums: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let scale = s.load_f16(&part.panels[p].scales[group].0);
        for t in 0..T {
            let scale = s.mul(scale, s.splat(x_scales[t].scale));
            sums[p][t] = s.fma(s.to_float(ints[p][t]), scale, sums[p][t]);
        }
    }
}

/// Adds the sums of a super-block, times the scales of weights and activations. As one function with
/// [`add_groups`], which took floats, it made single streams 4 to 7 % slower (Q8, Q4K).
#[inline(always)]
fn add_supers<S: Simd, const P: usize, const T: usize>(
    s: S,
    sub_sums: &[[S::F; T]; P],
    part: &Part<'_, P>,
    first: usize,
    x_scales: &[SuperScale; T],
    sums: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let scale = s.load_f16(&part.panels[p].scales[first / SUPER].0);
        for t in 0..T {
            let scale = s.mul(scale, s.splat(x_scales[t].scale));
            sums[p][t] = s.fma(sub_sums[p][t], scale, sums[p][t]);
        }
    }
}

/// Products of a super-block's minimums with the sums of the activations, two groups at a time. A row
/// may end within the super-block.
#[inline(always)]
fn min_products<S: Simd, const T: usize>(
    s: S,
    panel: &Panel<'_>,
    first: usize,
    x_scales: &[SuperScale; T],
) -> [S::I; T] {
    const ZEROS: Bytes = Bytes([0; 16]);
    let mut ints = [s.int(0); T];
    for pair in 0..SUPER / 2 {
        let Some([_, even]) = panel.bytes.get(first + 2 * pair) else { break };
        let odd = match panel.bytes.get(first + 2 * pair + 1) {
            Some([_, odd]) => odd,
            None => &ZEROS,
        };
        let mins = s.byte_pairs(even, odd);
        for t in 0..T {
            ints[t] = s.dot_pairs(ints[t], mins, &x_scales[t].sums[pair]);
        }
    }
    ints
}
