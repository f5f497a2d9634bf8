//! Blocks of 256 weights: parts of 16 or 32 weights with scales of a few bits, and two f16 numbers that
//! scale these.
#![expect(clippy::indexing_slicing, reason = "every index is within a block's fixed size")]

use half::f16;
use shoal_kernel::SuperBlock;

use super::simple::half;

/// Scale and minimum of one of eight parts, six bits each. Those of the first four parts are in the low
/// bits of bytes 0 to 7, those of the last four in bytes 8 to 11 and the high bits of bytes 0 to 7.
fn scale_and_min(packed: &[u8], part: usize) -> (u8, u8) {
    if part < 4 {
        return (packed[part] & 63, packed[part + 4] & 63);
    }
    let (low, i) = (packed[part + 4], part - 4);
    (low & 15 | packed[i] >> 6 << 4, low >> 4 | packed[i + 4] >> 6 << 4)
}

/// Scale and minimum of a part of Q4_K or Q5_K, as floats.
fn float_scale_and_min(block: &[u8], part: usize) -> (f32, f32) {
    let (scale, min) = scale_and_min(&block[4..16], part);
    (half(block, 0).to_f32() * f32::from(scale), half(block, 2).to_f32() * f32::from(min))
}

/// The four-bit code of weight `l` of a part: two parts share 32 bytes.
fn nibble(bytes: &[u8], part: usize, l: usize) -> u8 {
    bytes[part / 2 * 32 + l] >> (part % 2 * 4) & 15
}

pub(super) fn q4_k(block: &[u8; 144], out: &mut [f32; 256]) {
    for part in 0..8 {
        let (scale, min) = float_scale_and_min(block, part);
        for l in 0..32 {
            out[part * 32 + l] = scale * f32::from(nibble(&block[16..], part, l)) - min;
        }
    }
}

pub(super) fn q4_k_codes(block: &[u8; 144]) -> SuperBlock {
    let mut scales = [0; 16];
    for (part, scale) in scales.iter_mut().take(8).enumerate() {
        *scale = scale_and_min(&block[4..16], part).0.cast_signed();
    }
    SuperBlock {
        codes: std::array::from_fn(|i| nibble(&block[16..], i / 32, i % 32).cast_signed()),
        scales,
        mins: std::array::from_fn(|part| scale_and_min(&block[4..16], part).1),
        scale: half(block, 0),
        min: half(block, 2),
    }
}

pub(super) fn q5_k(block: &[u8; 176], out: &mut [f32; 256]) {
    let (high, low) = block[16..].split_at(32);
    for part in 0..8 {
        let (scale, min) = float_scale_and_min(block, part);
        for l in 0..32 {
            let code = nibble(low, part, l) | (high[l] >> part & 1) << 4;
            out[part * 32 + l] = scale * f32::from(code) - min;
        }
    }
}

pub(super) fn q6_k(block: &[u8; 210], out: &mut [f32; 256]) {
    let scale = half(block, 208).to_f32();
    for (part, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = scale * f32::from(block[192 + part].cast_signed());
        for (l, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(six_bits(block, part, l));
        }
    }
}

pub(super) fn q6_k_codes(block: &[u8; 210]) -> SuperBlock {
    SuperBlock {
        codes: std::array::from_fn(|i| six_bits(block, i / 16, i % 16)),
        scales: std::array::from_fn(|part| block[192 + part].cast_signed()),
        mins: [0; 8],
        scale: half(block, 208),
        min: f16::ZERO,
    }
}

/// The code of weight `l` of one of sixteen parts: 128 weights have 64 bytes of low bits and 32 bytes of
/// high bits.
fn six_bits(block: &[u8; 210], part: usize, l: usize) -> i8 {
    let (low, high) = block[..192].split_at(128);
    let (side, quarter, l) = (part / 8, part % 8 / 2, part % 2 * 16 + l);
    let low = low[side * 64 + quarter % 2 * 32 + l] >> (quarter / 2 * 4) & 15;
    let high = high[side * 32 + l] >> (quarter * 2) & 3;
    (low | high << 4).cast_signed() - 32
}

pub(super) fn q2_k(block: &[u8; 84], out: &mut [f32; 256]) {
    let (scales, codes) = (&block[..16], &block[16..80]);
    let (scale, min) = (half(block, 80).to_f32(), half(block, 82).to_f32());
    for (part, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let scale = scale * f32::from(scales[part] & 15);
        let min = min * f32::from(scales[part] >> 4);
        for (l, out) in out.iter_mut().enumerate() {
            *out = scale * f32::from(two_bits(codes, part, l)) - min;
        }
    }
}

pub(super) fn q3_k(block: &[u8; 110], out: &mut [f32; 256]) {
    let (high, codes, scales) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half(block, 108).to_f32();
    for (part, out) in out.as_chunks_mut::<16>().0.iter_mut().enumerate() {
        let low = scales[part % 8] >> (part / 8 * 4) & 15;
        let top = scales[8 + part % 4] >> (part / 4 * 2) & 3;
        let scale = scale * f32::from((low | top << 4).cast_signed() - 32);
        for (l, out) in out.iter_mut().enumerate() {
            // A clear bit subtracts 4.
            let off = if high[part % 2 * 16 + l] >> (part / 2) & 1 == 1 { 0 } else { 4 };
            *out = scale * f32::from(two_bits(codes, part, l).cast_signed() - off);
        }
    }
}

/// The two-bit code of weight `l` of one of sixteen parts: 128 weights share 32 bytes.
fn two_bits(codes: &[u8], part: usize, l: usize) -> u8 {
    codes[part / 8 * 32 + part % 2 * 16 + l] >> (part % 8 / 2 * 2) & 3
}
