//! What a group of codes adds to the sums of a tile, format by format.
//!
//! Everywhere: integer products of the group first, begun at what takes the codes' offset off again,
//! then once the scales of weights and activations.
#![expect(clippy::needless_range_loop, reason = "tokens are counted over several arrays at once")]

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
        /// 16 KiB ahead: measured, with half and with twice as much it is slower.
        const AHEAD: usize = 256;
        for line in &self.lines[group * lines..][..lines] {
            s.prefetch(line, AHEAD);
        }
    }
}

/// A format's arithmetic.
pub(super) trait Codes {
    /// Cache lines of a group.
    const LINES: usize;

    /// Adds one group of a panel, times `T` tokens, to `sums`.
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
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
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
    ) {
        let lines = &panel.lines[group * 8..][..8];
        let mut ints = [s.int(0); T];
        for t in 0..T {
            ints[t] = s.int(x[t].from8);
        }
        for line in 0..8 {
            let w = s.bytes(&lines[line]);
            for t in 0..T {
                ints[t] = s.dot8(ints[t], w, s.quad(&x[t].q[line]));
            }
        }
        scaled(s, &ints, s.load_f16(&panel.scales[group].0), x, sums);
    }
}

impl Codes for Q4 {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
    ) {
        let mut from = [0; T];
        for t in 0..T {
            from[t] = x[t].from4;
        }
        let ints = nibbles(s, panel, group, x, from);
        scaled(s, &ints, s.load_f16(&panel.scales[group].0), x, sums);
    }
}

impl Codes for Q4Min {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
    ) {
        let ints = nibbles(s, panel, group, x, [0; T]);
        scaled(s, &ints, s.load_f16(&panel.scales[group].0), x, sums);
        let min = s.load_f16(&panel.mins[group].0);
        for t in 0..T {
            sums[t] = s.fma(min, s.splat(x[t].sum), sums[t]);
        }
    }
}

impl Codes for Q4K {
    const LINES: usize = 4;

    #[inline(always)]
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
    ) {
        let ints = nibbles(s, panel, group, x, [0; T]);
        let [fine, fine_min] = &panel.bytes[group];
        let coarse = s.load_f16(&panel.scales[group / SUPER].0);
        scaled(s, &ints, s.mul(coarse, s.load_u8(fine)), x, sums);
        let coarse = s.load_f16(&panel.mins[group / SUPER].0);
        let min = s.mul(coarse, s.load_u8(fine_min));
        for t in 0..T {
            sums[t] = s.fma(min, s.splat(-x[t].sum), sums[t]);
        }
    }
}

impl Codes for Q6K {
    const LINES: usize = 6;

    #[inline(always)]
    fn add<S: Simd, const T: usize>(
        s: S,
        panel: &Panel<'_>,
        group: usize,
        x: &[Quads; T],
        sums: &mut [S::F; T],
    ) {
        let lines = &panel.lines[group * 6..][..6];
        // The two halves of the group, which have scales of their own.
        let mut ints = [[s.int(0); T]; 2];
        for t in 0..T {
            ints[0][t] = s.int(x[t].from6[0]);
            ints[1][t] = s.int(x[t].from6[1]);
        }
        for quad in 0..4 {
            let (low, high) = s.nibbles(&lines[quad]);
            let low = s.with_bits(low, &lines[4], quad);
            let high = s.with_bits(high, &lines[5], quad);
            for t in 0..T {
                ints[0][t] = s.dot7(ints[0][t], low, s.quad(&x[t].q[quad]));
            }
            for t in 0..T {
                ints[1][t] = s.dot7(ints[1][t], high, s.quad(&x[t].q[quad + 4]));
            }
        }
        let coarse = s.load_f16(&panel.scales[group / SUPER].0);
        let [first, second] = &panel.bytes[group];
        let first = s.mul(coarse, s.load_i8(first));
        let second = s.mul(coarse, s.load_i8(second));
        for t in 0..T {
            let part = s.mul(s.to_float(ints[0][t]), first);
            let part = s.fma(s.to_float(ints[1][t]), second, part);
            sums[t] = s.fma(part, s.splat(x[t].scale), sums[t]);
        }
    }
}

/// Products with codes of four bits.
#[inline(always)]
fn nibbles<S: Simd, const T: usize>(
    s: S,
    panel: &Panel<'_>,
    group: usize,
    x: &[Quads; T],
    from: [i32; T],
) -> [S::I; T] {
    let lines = &panel.lines[group * 4..][..4];
    let mut parts = [s.begin4(0); T];
    for t in 0..T {
        parts[t] = s.begin4(from[t]);
    }
    for line in 0..4 {
        let (low, high) = s.nibbles(&lines[line]);
        for t in 0..T {
            parts[t] = s.dot4(parts[t], low, s.quad(&x[t].q[line]));
        }
        for t in 0..T {
            parts[t] = s.dot4(parts[t], high, s.quad(&x[t].q[line + 4]));
        }
    }
    let mut sums = [s.int(0); T];
    for t in 0..T {
        sums[t] = s.end4(parts[t], from[t]);
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
