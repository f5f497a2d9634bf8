//! Blocks of 32 weights with one scale: `d * q`, or `d * q + m`.
#![expect(clippy::indexing_slicing, reason = "every index is within a block's fixed size")]

use half::f16;
use shoal_kernel::Block;

/// The f16 at byte `start`.
pub(super) fn half(block: &[u8], start: usize) -> f16 {
    f16::from_le_bytes([block[start], block[start + 1]])
}

/// 32 codes of four bits: the low halves of 16 bytes, then their high halves.
fn nibbles(bytes: &[u8]) -> [u8; 32] {
    std::array::from_fn(|i| if i < 16 { bytes[i] & 15 } else { bytes[i - 16] >> 4 })
}

/// Four-bit codes with a fifth bit; four bytes hold the fifth bits of all 32.
fn fifths(high: &[u8], low: &[u8]) -> [u8; 32] {
    let low = nibbles(low);
    std::array::from_fn(|i| low[i] | (high[i / 8] >> (i % 8) & 1) << 4)
}

fn spread(out: &mut [f32; 32], codes: [i8; 32], scale: f16) {
    let scale = scale.to_f32();
    for (out, code) in out.iter_mut().zip(codes) {
        *out = scale * f32::from(code);
    }
}

fn spread_above(out: &mut [f32; 32], codes: [u8; 32], scale: f16, min: f16) {
    let (scale, min) = (scale.to_f32(), min.to_f32());
    for (out, code) in out.iter_mut().zip(codes) {
        *out = scale * f32::from(code) + min;
    }
}

pub(super) fn q8_0(block: &[u8; 34], out: &mut [f32; 32]) {
    let Block { codes, scale, .. } = q8_0_codes(block);
    spread(out, codes, scale);
}

pub(super) fn q8_0_codes(block: &[u8; 34]) -> Block {
    let codes = std::array::from_fn(|i| block[2 + i].cast_signed());
    Block { codes, scale: half(block, 0), min: f16::ZERO }
}

pub(super) fn q4_0(block: &[u8; 18], out: &mut [f32; 32]) {
    let Block { codes, scale, .. } = q4_0_codes(block);
    spread(out, codes.map(|code| code - 8), scale);
}

/// Codes of 0 to 15, where 8 is zero.
pub(super) fn q4_0_codes(block: &[u8; 18]) -> Block {
    let codes = nibbles(&block[2..]).map(u8::cast_signed);
    Block { codes, scale: half(block, 0), min: f16::ZERO }
}

pub(super) fn q4_1(block: &[u8; 20], out: &mut [f32; 32]) {
    spread_above(out, nibbles(&block[4..]), half(block, 0), half(block, 2));
}

pub(super) fn q4_1_codes(block: &[u8; 20]) -> Block {
    let codes = nibbles(&block[4..]).map(u8::cast_signed);
    Block { codes, scale: half(block, 0), min: half(block, 2) }
}

pub(super) fn q5_0(block: &[u8; 22], out: &mut [f32; 32]) {
    let Block { codes, scale, .. } = q5_0_codes(block);
    spread(out, codes, scale);
}

/// Codes of -16 to 15.
pub(super) fn q5_0_codes(block: &[u8; 22]) -> Block {
    let codes = fifths(&block[2..6], &block[6..]).map(|code| code.cast_signed() - 16);
    Block { codes, scale: half(block, 0), min: f16::ZERO }
}

pub(super) fn q5_1(block: &[u8; 24], out: &mut [f32; 32]) {
    spread_above(out, fifths(&block[4..8], &block[8..]), half(block, 0), half(block, 2));
}
