//! Where a group's 32 inputs of sixteen rows come from: as they are packed, or unpacked before.

use crate::simd::{Line, Simd};

/// How many cache lines ahead memory is asked for: 4 KiB. Measured, Q4_K at one and at eight tokens:
/// with 16 KiB it is 9 and 12 % slower, with 2 KiB 7 and 6. Probably what is asked for earlier is
/// pushed out again.
pub(crate) const AHEAD: usize = 64;

/// 32 inputs of sixteen rows, as inputs `4 at..` with `16 + 4 at..`.
pub(super) trait Source {
    /// Cache lines of a group.
    const LINES: usize;

    /// For `at` of 0..4.
    fn pair<S: Simd>(s: S, lines: &[Line], at: usize) -> (S::B, S::B);

    /// Asks for what will be read later.
    #[inline(always)]
    fn ahead<S: Simd, const P: usize>(s: S, lines: [&[Line]; P]) {
        for lines in lines {
            for line in lines {
                s.prefetch(line, AHEAD);
            }
        }
    }
}

/// Codes of eight bits.
pub(super) struct Eights;
/// Codes of four bits.
pub(super) struct Fours;
/// Codes of six bits.
pub(super) struct Sixes;
/// Codes that [`open`] has unpacked to a byte each, and that lie in the first-level cache.
pub(super) struct Opened;

impl Source for Eights {
    const LINES: usize = 8;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], at: usize) -> (S::B, S::B) {
        (s.bytes(&lines[at]), s.bytes(&lines[at + 4]))
    }
}

impl Source for Fours {
    const LINES: usize = 4;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], at: usize) -> (S::B, S::B) {
        s.nibbles(&lines[at])
    }
}

impl Source for Sixes {
    const LINES: usize = 6;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], at: usize) -> (S::B, S::B) {
        let (low, high) = s.nibbles(&lines[at]);
        (s.with_bits(low, &lines[4], at), s.with_bits(high, &lines[5], at))
    }
}

impl Source for Opened {
    const LINES: usize = 8;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], at: usize) -> (S::B, S::B) {
        (s.opened(&lines[at]), s.opened(&lines[at + 4]))
    }

    #[inline(always)]
    fn ahead<S: Simd, const P: usize>(_: S, _: [&[Line]; P]) {}
}

/// Unpacks the groups of `lines` into the beginning of `out`.
#[inline(always)]
pub(super) fn open<S: Simd, W: Source>(s: S, lines: &[Line], out: &mut [Line]) {
    for (lines, out) in lines.chunks_exact(W::LINES).zip(out.as_chunks_mut::<8>().0) {
        for at in 0..4 {
            let (low, high) = W::pair(s, lines, at);
            s.open(low, &mut out[at]);
            s.open(high, &mut out[at + 4]);
        }
    }
}
