//! How the codes of a group, 32 inputs of sixteen rows, lie in memory: packed in one of the formats,
//! or unpacked.

use crate::simd::{Line, Simd};

/// The distance of a prefetch in cache lines: 4 KiB. Measured with Q4_K at one and at eight tokens,
/// 16 KiB is 9 and 12 % slower, 2 KiB is 7 and 6 % slower. Earlier lines are probably evicted again.
pub(crate) const PREFETCH_LINES: usize = 64;

/// 32 inputs of sixteen rows, read as inputs `4 quad..` together with `16 + 4 quad..`.
pub(super) trait Source {
    /// Cache lines of a group.
    const LINES: usize;

    /// The two quads of inputs, for `quad` of 0..4.
    fn pair<S: Simd>(s: S, lines: &[Line], quad: usize) -> (S::B, S::B);

    /// Prefetches the lines that will be read later.
    #[inline(always)]
    fn prefetch<S: Simd, const P: usize>(s: S, lines: [&[Line]; P]) {
        for lines in lines {
            for line in lines {
                s.prefetch(line, PREFETCH_LINES);
            }
        }
    }
}

/// Packed codes of eight bits.
pub(super) struct EightBits;
/// Packed codes of four bits.
pub(super) struct FourBits;
/// Packed codes of six bits.
pub(super) struct SixBits;
/// Codes that [`unpack`] has written as bytes. They lie in the first-level cache.
pub(super) struct ByteCodes;

impl Source for EightBits {
    const LINES: usize = 8;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], quad: usize) -> (S::B, S::B) {
        (s.load_offset_codes(&lines[quad]), s.load_offset_codes(&lines[quad + 4]))
    }
}

impl Source for FourBits {
    const LINES: usize = 4;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], quad: usize) -> (S::B, S::B) {
        s.load_nibbles(&lines[quad])
    }
}

impl Source for SixBits {
    const LINES: usize = 6;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], quad: usize) -> (S::B, S::B) {
        let (low, high) = s.load_nibbles(&lines[quad]);
        (s.insert_bits(low, &lines[4], quad), s.insert_bits(high, &lines[5], quad))
    }
}

impl Source for ByteCodes {
    const LINES: usize = 8;

    #[inline(always)]
    fn pair<S: Simd>(s: S, lines: &[Line], quad: usize) -> (S::B, S::B) {
        (s.load_codes(&lines[quad]), s.load_codes(&lines[quad + 4]))
    }

    #[inline(always)]
    fn prefetch<S: Simd, const P: usize>(_: S, _: [&[Line]; P]) {}
}

/// Unpacks the groups of `lines` into the beginning of `out`.
#[inline(always)]
pub(super) fn unpack<S: Simd, W: Source>(s: S, lines: &[Line], out: &mut [Line]) {
    for (lines, out) in lines.chunks_exact(W::LINES).zip(out.as_chunks_mut::<8>().0) {
        for quad in 0..4 {
            let (low, high) = W::pair(s, lines, quad);
            s.store_codes(low, &mut out[quad]);
            s.store_codes(high, &mut out[quad + 4]);
        }
    }
}
