//! The operations of an instruction set that kernels use. They work on sixteen lanes, which are one
//! register of AVX-512, two of AVX2, four of NEON, or an array.
//!
//! A value of a type that implements [`Simd`] proves that the processor has the instructions, so its
//! methods are safe. The methods and the kernels are `#[inline(always)]`: they are compiled into one
//! function for each instruction set, which enables its features (`isa::dispatch`). Kernels contain
//! no closures, because a closure would be compiled without the features.

/// Sixteen `f32` in memory, on a cache line of their own, so that no load spans two lines.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Floats(pub(crate) [f32; 16]);

/// Sixteen 16-bit floats. The owner knows whether they are half precision or bfloat16.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub(crate) struct Halves(pub(crate) [u16; 16]);

/// Four consecutive inputs of sixteen rows, a byte each (or eight, a nibble each).
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// A byte for each of sixteen rows.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(16))]
pub(crate) struct Bytes(pub(crate) [u8; 16]);

/// Sixteen lanes of arithmetic. **Every operation gives the same bits on every instruction set**,
/// so that a node's answers and its judgements do not depend on its processor.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// Tokens in a tile of the integer product, 4 or 8: as many as the registers hold.
    const TILE: usize;
    /// For calls with many tokens: tokens in a tile (at most 6), and panels that share each load of an
    /// activation (1 or 2).
    const BLOCK: (usize, usize) = (Self::TILE, 1);
    /// Queries of attention that share a load, at most 8: as many as the registers hold.
    const QUERIES: usize;
    /// What `load_offset_codes` adds to a Q8 weight: `dot8` takes unsigned bytes on some machines,
    /// signed bytes on others.
    const OFFSET8: i32;

    /// 16 x f32
    type F: Copy;
    /// 16 x i32
    type I: Copy;
    /// 64 weights, ready to be multiplied
    type B: Copy;
    /// Four activations, in every lane
    type X: Copy;
    /// 32 small weights of 16 bits, two a lane
    type W: Copy;
    /// 16 sums of up to 32 products with a weight of 0..=15
    type N: Copy;

    fn splat(self, v: f32) -> Self::F;
    fn load(self, from: &[f32; 16]) -> Self::F;
    fn store(self, v: Self::F, to: &mut [f32; 16]);
    fn load_f16(self, from: &[u16; 16]) -> Self::F;
    fn store_f16(self, v: Self::F, to: &mut [u16; 16]);
    fn load_bf16(self, from: &[u16; 16]) -> Self::F;
    fn load_u8(self, from: &Bytes) -> Self::F;
    /// As `load_u8`, for signed bytes.
    fn load_i8(self, from: &Bytes) -> Self::F;

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// To the nearest whole number, halves to the even number.
    fn round(self, v: Self::F) -> Self::F;
    /// `2^n` for whole `n` of -126..=127.
    fn pow2(self, n: Self::F) -> Self::F;
    /// `value` where `x > limit`, else 0.
    fn select_greater(self, x: Self::F, limit: Self::F, value: Self::F) -> Self::F;
    /// The lanes `from..to` of `v`, and `fallback` in the other lanes.
    fn select_lanes(self, v: Self::F, from: usize, to: usize, fallback: Self::F) -> Self::F;
    /// Sum over the lanes: lane `i` and `i + 8` first, then 4, 2 and 1 apart.
    fn reduce_sum(self, v: Self::F) -> f32;
    /// The greatest lane.
    fn reduce_max(self, v: Self::F) -> f32;

    /// The same number in every lane.
    fn int(self, v: i32) -> Self::I;
    fn to_float(self, v: Self::I) -> Self::F;
    /// Rounded as `round` does, and clamped to -128..=127.
    fn to_i8(self, v: Self::F, to: &mut [i8; 16]);

    /// Four activations to every lane.
    fn quad(self, x: &[i8; 4]) -> Self::X;
    /// 64 weights of a byte each, stored with 128 added.
    fn load_offset_codes(self, line: &Line) -> Self::B;
    /// 128 weights of a nibble each: the low nibbles, then the high nibbles.
    fn load_nibbles(self, line: &Line) -> (Self::B, Self::B);
    /// Stores 64 weights of a byte each, for `load_codes`.
    fn store_codes(self, w: Self::B, to: &mut Line);
    /// The weights that `store_codes` stored.
    fn load_codes(self, line: &Line) -> Self::B;
    /// `low` with bits `2 field..` of each byte of `high` as bits 4 and 5.
    fn insert_bits(self, low: Self::B, high: &Line, field: usize) -> Self::B;
    /// Adds to each lane the products of its four weights with the four activations.
    fn dot8(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I;
    /// As `dot8`, for weights of 0..=127.
    fn dot7(self, sum: Self::I, w: Self::B, x: Self::X) -> Self::I;
    /// A sum for `dot4` with the initial value `v`.
    fn begin_dot4(self, v: i32) -> Self::N;
    /// As `dot8`, for weights of 0..=15 and up to 8 turns.
    fn dot4(self, sum: Self::N, w: Self::B, x: Self::X) -> Self::N;
    /// The value of a sum that began at `v`.
    fn end_dot4(self, sum: Self::N, v: i32) -> Self::I;
    /// Two bytes of each row.
    fn byte_pairs(self, first: &Bytes, second: &Bytes) -> Self::W;
    /// Adds to each lane the products of its two bytes with the two numbers.
    fn dot_pairs(self, sum: Self::I, w: Self::W, x: &[i16; 2]) -> Self::I;

    /// Prefetches the memory `ahead` elements after `at`. The address need not be valid.
    fn prefetch<T>(self, at: &T, ahead: usize);
}

/// Two numbers in one, the first in the low half.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(crate) fn pack_pair(x: &[i16; 2]) -> i32 {
    i32::from(x[1]) << 16 | i32::from(x[0].cast_unsigned())
}
