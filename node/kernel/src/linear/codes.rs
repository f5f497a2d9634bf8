//! What a group of codes adds to the sums of a tile, format by format.
//!
//! Everywhere: integer products of the group first, begun at what takes the codes' offset off again,
//! then once the scales of weights and activations.

use crate::{
    matrix::{self, SUPER},
    quantised::Quads,
    simd::{Bytes, Halves, Line, Simd},
};

/// One panel's codes and scales.
#[derive(Clone, Copy)]
pub(super) struct Panel<'a> {
    lines: &'a [Line],
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

    #[inline(always)]
    pub(super) fn prefetch<S: Simd>(&self, s: S, lines: usize, group: usize) {
        /// Lines ahead: what arrives in the time that memory takes to answer.
        const AHEAD: usize = 64;
        for line in &self.lines[group * lines..][..lines] {
            s.prefetch(line, AHEAD);
        }
    }
}

/// A format's arithmetic.
pub(super) trait Codes {
    /// Cache lines of a group.
    const LINES: usize;

    /// Adds one group of `P` panels times `T` tokens to `sums`.
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    );
}

pub(super) struct Q8;
pub(super) struct Q4;
pub(super) struct Q4Min;
pub(super) struct Q4K;
pub(super) struct Q6K;

impl Codes for Q8 {
    const LINES: usize = 8;

    #[inline(always)]
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    ) {
        let mut ints = [[s.int(0); T]; P];
        for t in 0..T {
            let from = s.int(x[t].from8);
            for p in 0..P {
                ints[p][t] = from;
            }
        }
        let lines = lines::<8, P>(panels, group);
        for line in 0..8 {
            let mut w = [s.bytes(&lines[0][line]); P];
            for p in 1..P {
                w[p] = s.bytes(&lines[p][line]);
            }
            for t in 0..T {
                let quad = s.quad(&x[t].q[line]);
                for p in 0..P {
                    ints[p][t] = s.dot8(ints[p][t], w[p], quad);
                }
            }
        }
        for p in 0..P {
            let scale = s.load_f16(&panels[p].scales[group].0);
            scaled(s, &ints[p], scale, x, &mut sums[p]);
        }
    }
}

impl Codes for Q4 {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    ) {
        let mut from = [0; T];
        for t in 0..T {
            from[t] = x[t].from4;
        }
        let ints = nibbles(s, &lines::<4, P>(panels, group), x, from);
        for p in 0..P {
            let scale = s.load_f16(&panels[p].scales[group].0);
            scaled(s, &ints[p], scale, x, &mut sums[p]);
        }
    }
}

impl Codes for Q4Min {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    ) {
        let ints = nibbles(s, &lines::<4, P>(panels, group), x, [0; T]);
        for p in 0..P {
            let scale = s.load_f16(&panels[p].scales[group].0);
            scaled(s, &ints[p], scale, x, &mut sums[p]);
            let min = s.load_f16(&panels[p].mins[group].0);
            for t in 0..T {
                sums[p][t] = s.fma(min, s.splat(x[t].sum), sums[p][t]);
            }
        }
    }
}

impl Codes for Q4K {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    ) {
        let ints = nibbles(s, &lines::<4, P>(panels, group), x, [0; T]);
        for p in 0..P {
            let [fine, fine_min] = &panels[p].bytes[group];
            let coarse = s.load_f16(&panels[p].scales[group / SUPER].0);
            scaled(s, &ints[p], s.mul(coarse, s.load_u8(fine)), x, &mut sums[p]);
            let coarse = s.load_f16(&panels[p].mins[group / SUPER].0);
            let min = s.mul(coarse, s.load_u8(fine_min));
            for t in 0..T {
                sums[p][t] = s.fma(min, s.splat(-x[t].sum), sums[p][t]);
            }
        }
    }
}

impl Codes for Q6K {
    const LINES: usize = 6;

    #[inline(always)]
    fn add<S: Simd, const P: usize, const T: usize>(
        s: S,
        panels: &[Panel<'_>; P],
        group: usize,
        x: &[Quads; T],
        sums: &mut [[S::F; T]; P],
    ) {
        let lines = lines::<6, P>(panels, group);
        // The two halves of the group, which have scales of their own.
        let mut ints = [[[s.int(0); T]; 2]; P];
        for t in 0..T {
            for half in 0..2 {
                let from = s.int(x[t].from6[half]);
                for p in 0..P {
                    ints[p][half][t] = from;
                }
            }
        }
        for quad in 0..4 {
            for p in 0..P {
                let (low, high) = s.nibbles(&lines[p][quad]);
                let low = s.with_bits(low, &lines[p][4], quad);
                let high = s.with_bits(high, &lines[p][5], quad);
                for t in 0..T {
                    ints[p][0][t] = s.dot7(ints[p][0][t], low, s.quad(&x[t].q[quad]));
                }
                for t in 0..T {
                    ints[p][1][t] = s.dot7(ints[p][1][t], high, s.quad(&x[t].q[quad + 4]));
                }
            }
        }
        for p in 0..P {
            let coarse = s.load_f16(&panels[p].scales[group / SUPER].0);
            let [first, second] = &panels[p].bytes[group];
            let first = s.mul(coarse, s.load_i8(first));
            let second = s.mul(coarse, s.load_i8(second));
            for t in 0..T {
                let part = s.mul(s.to_float(ints[p][0][t]), first);
                let part = s.fma(s.to_float(ints[p][1][t]), second, part);
                sums[p][t] = s.fma(part, s.splat(x[t].scale), sums[p][t]);
            }
        }
    }
}

/// A group's lines of each panel.
#[inline(always)]
fn lines<'a, const L: usize, const P: usize>(
    panels: &[Panel<'a>; P],
    group: usize,
) -> [&'a [Line]; P] {
    let mut lines: [&[Line]; P] = [&[]; P];
    for p in 0..P {
        lines[p] = &panels[p].lines[group * L..][..L];
    }
    lines
}

/// Products with codes of four bits.
#[inline(always)]
fn nibbles<S: Simd, const P: usize, const T: usize>(
    s: S,
    lines: &[&[Line]; P],
    x: &[Quads; T],
    from: [i32; T],
) -> [[S::I; T]; P] {
    let mut parts = [[s.begin4(0); T]; P];
    for t in 0..T {
        let begin = s.begin4(from[t]);
        for p in 0..P {
            parts[p][t] = begin;
        }
    }
    for line in 0..4 {
        let mut w = [s.nibbles(&lines[0][line]); P];
        for p in 1..P {
            w[p] = s.nibbles(&lines[p][line]);
        }
        for t in 0..T {
            let quad = s.quad(&x[t].q[line]);
            for p in 0..P {
                parts[p][t] = s.dot4(parts[p][t], w[p].0, quad);
            }
        }
        for t in 0..T {
            let quad = s.quad(&x[t].q[line + 4]);
            for p in 0..P {
                parts[p][t] = s.dot4(parts[p][t], w[p].1, quad);
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

/// Adds integer products times the scales of weights and activations.
#[inline(always)]
fn scaled<S: Simd, const T: usize>(
    s: S,
    ints: &[S::I; T],
    scale: S::F,
    x: &[Quads; T],
    sums: &mut [S::F; T],
) {
    for t in 0..T {
        let scale = s.mul(scale, s.splat(x[t].scale));
        sums[t] = s.fma(s.to_float(ints[t]), scale, sums[t]);
    }
}
