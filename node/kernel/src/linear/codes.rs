//! What some groups of codes add to the sums of a tile, format by format.
//!
//! Everywhere: integer products of a group first, begun at what takes the codes' offset off again,
//! then the scales. With scales of super-blocks the products of a super-block are summed before the
//! scale of the activations comes to them, and its minimums stay integers until then.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

use super::source::{Eights, Fours, Sixes, Source};
use crate::{
    matrix::{self, SUPER},
    quantised::{Coarse, Fine, Quads},
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
    pub(super) fn of(
        codes: &'a matrix::Codes,
        parts: matrix::Parts,
        at: usize,
        groups: usize,
    ) -> Self {
        let coarse = if parts.supers { groups.div_ceil(SUPER) } else { groups };
        Self {
            lines: &codes.lines[at * groups * parts.lines..][..groups * parts.lines],
            scales: &codes.scales[at * coarse..][..coarse],
            mins: if parts.min { &codes.mins[at * coarse..][..coarse] } else { &[] },
            bytes: if parts.supers { &codes.bytes[at * groups..][..groups] } else { &[] },
        }
    }
}

/// Some groups of `P` panels.
#[derive(Clone, Copy)]
pub(super) struct Part<'a, const P: usize> {
    pub(super) panels: [Panel<'a>; P],
    /// The codes of these groups alone, as their source keeps them.
    pub(super) lines: [&'a [Line]; P],
    pub(super) first: usize,
    pub(super) end: usize,
}

impl<'a, const P: usize> Part<'a, P> {
    /// Each panel's lines of one group.
    #[inline(always)]
    fn lines<W: Source>(&self, group: usize) -> [&'a [Line]; P] {
        let mut all = self.lines;
        for lines in &mut all {
            *lines = &lines[(group - self.first) * W::LINES..][..W::LINES];
        }
        all
    }
}

/// `T` tokens, all groups of each.
#[derive(Clone, Copy)]
pub(super) struct Tile<'a, const T: usize> {
    pub(super) quads: &'a [[Quads; T]],
    /// Of each group, or nothing.
    pub(super) fine: &'a [[Fine; T]],
    /// Of each super-block, or nothing.
    pub(super) coarse: &'a [[Coarse; T]],
}

/// A format's arithmetic.
pub(super) trait Codes {
    /// How its codes lie in memory.
    type Packed: Source;

    /// Adds these groups of `P` panels, times `T` tokens, to `sums`. Where scales are of
    /// super-blocks, the first group begins one.
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

impl Codes for Q8 {
    type Packed = Eights;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let (quads, fine) = (&x.quads[group], &x.fine[group]);
            let lines = part.lines::<W>(group);
            W::ahead(s, lines);
            let mut ints = [[s.int(0); T]; P];
            for p in 0..P {
                for t in 0..T {
                    ints[p][t] = s.int(fine[t].from8);
                }
            }
            for at in 0..4 {
                let pairs = pairs::<S, W, P>(s, lines, at);
                for t in 0..T {
                    let x = s.quad(&quads[t].0[at]);
                    for p in 0..P {
                        ints[p][t] = s.dot8(ints[p][t], pairs[p].0, x);
                    }
                }
                for t in 0..T {
                    let x = s.quad(&quads[t].0[at + 4]);
                    for p in 0..P {
                        ints[p][t] = s.dot8(ints[p][t], pairs[p].1, x);
                    }
                }
            }
            scaled(s, &ints, part, group, fine, sums);
        }
    }
}

impl Codes for Q4 {
    type Packed = Fours;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let fine = &x.fine[group];
            let mut from = [0; T];
            for t in 0..T {
                from[t] = fine[t].from4;
            }
            let ints = nibbles::<S, W, P, T>(s, part.lines::<W>(group), &x.quads[group], from);
            scaled(s, &ints, part, group, fine, sums);
        }
    }
}

impl Codes for Q4Min {
    type Packed = Fours;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for group in part.first..part.end {
            let fine = &x.fine[group];
            let ints = nibbles::<S, W, P, T>(s, part.lines::<W>(group), &x.quads[group], [0; T]);
            scaled(s, &ints, part, group, fine, sums);
            for p in 0..P {
                let min = s.load_f16(&part.panels[p].mins[group].0);
                for t in 0..T {
                    sums[p][t] = s.fma(min, s.splat(fine[t].sum), sums[p][t]);
                }
            }
        }
    }
}

impl Codes for Q4K {
    type Packed = Fours;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for first in (part.first..part.end).step_by(SUPER) {
            let coarse = &x.coarse[first / SUPER];
            let mut parts = [[s.splat(0.0); T]; P];
            for group in first..part.end.min(first + SUPER) {
                let lines = part.lines::<W>(group);
                let ints = nibbles::<S, W, P, T>(s, lines, &x.quads[group], [0; T]);
                for p in 0..P {
                    let fine = s.load_u8(&part.panels[p].bytes[group][0]);
                    for t in 0..T {
                        parts[p][t] = s.fma(s.to_float(ints[p][t]), fine, parts[p][t]);
                    }
                }
            }
            rescaled(s, &parts, part, first, coarse, sums);
            for p in 0..P {
                let mins = mins(s, &part.panels[p], first, coarse);
                let min = s.load_f16(&part.panels[p].mins[first / SUPER].0);
                for t in 0..T {
                    let scale = s.mul(min, s.splat(-coarse[t].scale));
                    sums[p][t] = s.fma(s.to_float(mins[t]), scale, sums[p][t]);
                }
            }
        }
    }
}

impl Codes for Q6K {
    type Packed = Sixes;

    #[inline(always)]
    fn add<S: Simd, W: Source, const P: usize, const T: usize>(
        s: S,
        part: &Part<'_, P>,
        x: &Tile<'_, T>,
        sums: &mut [[S::F; T]; P],
    ) {
        for first in (part.first..part.end).step_by(SUPER) {
            let coarse = &x.coarse[first / SUPER];
            let mut parts = [[s.splat(0.0); T]; P];
            for group in first..part.end.min(first + SUPER) {
                let lines = part.lines::<W>(group);
                W::ahead(s, lines);
                let at = group - first;
                let ints = sixes::<S, W, 0, P, T>(s, lines, &x.quads[group], coarse, at);
                weighed::<S, 0, P, T>(s, &ints, part, group, &mut parts);
                let ints = sixes::<S, W, 1, P, T>(s, lines, &x.quads[group], coarse, at);
                weighed::<S, 1, P, T>(s, &ints, part, group, &mut parts);
            }
            rescaled(s, &parts, part, first, coarse, sums);
        }
    }
}

/// Inputs `4 at..` and `16 + 4 at..` of each panel.
#[inline(always)]
fn pairs<S: Simd, W: Source, const P: usize>(
    s: S,
    lines: [&[Line]; P],
    at: usize,
) -> [(S::B, S::B); P] {
    let mut pairs = [W::pair(s, lines[0], at); P];
    for p in 1..P {
        pairs[p] = W::pair(s, lines[p], at);
    }
    pairs
}

/// Products with codes of four bits.
#[inline(always)]
fn nibbles<S: Simd, W: Source, const P: usize, const T: usize>(
    s: S,
    lines: [&[Line]; P],
    x: &[Quads; T],
    from: [i32; T],
) -> [[S::I; T]; P] {
    W::ahead(s, lines);
    let mut parts = [[s.begin4(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            parts[p][t] = s.begin4(from[t]);
        }
    }
    for at in 0..4 {
        let pairs = pairs::<S, W, P>(s, lines, at);
        for t in 0..T {
            let x = s.quad(&x[t].0[at]);
            for p in 0..P {
                parts[p][t] = s.dot4(parts[p][t], pairs[p].0, x);
            }
        }
        for t in 0..T {
            let x = s.quad(&x[t].0[at + 4]);
            for p in 0..P {
                parts[p][t] = s.dot4(parts[p][t], pairs[p].1, x);
            }
        }
    }
    let mut sums = [[s.int(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            sums[p][t] = s.end4(parts[p][t], from[t]);
        }
    }
    sums
}

/// Products with the codes of six bits of a group's first or second 16 inputs (`H` of 0 or 1), which
/// have a scale of their own.
#[inline(always)]
fn sixes<S: Simd, W: Source, const H: usize, const P: usize, const T: usize>(
    s: S,
    lines: [&[Line]; P],
    x: &[Quads; T],
    coarse: &[Coarse; T],
    group: usize,
) -> [[S::I; T]; P] {
    let mut ints = [[s.int(0); T]; P];
    for p in 0..P {
        for t in 0..T {
            ints[p][t] = s.int(coarse[t].from6[group][H]);
        }
    }
    for at in 0..4 {
        let pairs = pairs::<S, W, P>(s, lines, at);
        for t in 0..T {
            let x = s.quad(&x[t].0[at + 4 * H]);
            for p in 0..P {
                let w = if H == 0 { pairs[p].0 } else { pairs[p].1 };
                ints[p][t] = s.dot7(ints[p][t], w, x);
            }
        }
    }
    ints
}

/// Adds integer products times their scale within the super-block.
#[inline(always)]
fn weighed<S: Simd, const H: usize, const P: usize, const T: usize>(
    s: S,
    ints: &[[S::I; T]; P],
    part: &Part<'_, P>,
    group: usize,
    parts: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let fine = s.load_i8(&part.panels[p].bytes[group][H]);
        for t in 0..T {
            parts[p][t] = s.fma(s.to_float(ints[p][t]), fine, parts[p][t]);
        }
    }
}

/// Adds integer products times the scales of weights and activations.
#[inline(always)]
fn scaled<S: Simd, const P: usize, const T: usize>(
    s: S,
    ints: &[[S::I; T]; P],
    part: &Part<'_, P>,
    group: usize,
    fine: &[Fine; T],
    sums: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let scale = s.load_f16(&part.panels[p].scales[group].0);
        for t in 0..T {
            let scale = s.mul(scale, s.splat(fine[t].scale));
            sums[p][t] = s.fma(s.to_float(ints[p][t]), scale, sums[p][t]);
        }
    }
}

/// Adds what a super-block came to times its scale and that of the activations. One function with
/// [`scaled`], given floats, made single streams 4 to 7 % slower (Q8, Q4K).
#[inline(always)]
fn rescaled<S: Simd, const P: usize, const T: usize>(
    s: S,
    parts: &[[S::F; T]; P],
    part: &Part<'_, P>,
    first: usize,
    coarse: &[Coarse; T],
    sums: &mut [[S::F; T]; P],
) {
    for p in 0..P {
        let scale = s.load_f16(&part.panels[p].scales[first / SUPER].0);
        for t in 0..T {
            let scale = s.mul(scale, s.splat(coarse[t].scale));
            sums[p][t] = s.fma(parts[p][t], scale, sums[p][t]);
        }
    }
}

/// Products of a super-block's minimums with the sums of the activations, two groups at a time.
#[inline(always)]
fn mins<S: Simd, const T: usize>(
    s: S,
    panel: &Panel<'_>,
    first: usize,
    coarse: &[Coarse; T],
) -> [S::I; T] {
    const NONE: Bytes = Bytes([0; 16]);
    let mut ints = [s.int(0); T];
    for pair in 0..SUPER / 2 {
        let Some([_, one]) = panel.bytes.get(first + 2 * pair) else { break };
        let two = match panel.bytes.get(first + 2 * pair + 1) {
            Some([_, two]) => two,
            None => &NONE,
        };
        let both = s.twos(one, two);
        for t in 0..T {
            ints[t] = s.dot_twos(ints[t], both, &coarse[t].sums[pair]);
        }
    }
    ints
}
