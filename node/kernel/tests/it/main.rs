//! Compares every instruction set of this machine with plain sums in double precision.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests and their helpers")]

mod attention;
mod elementwise;
mod product;
mod same_bits;
mod threads;

use shoal_kernel::{Isa, Pool};

/// Numbers of -1..1 from a seed.
pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
        .collect()
}

/// A pool for each instruction set, some with two threads.
pub(crate) fn pools() -> Vec<Pool> {
    Isa::available().flat_map(|isa| [1, 2].map(|threads| Pool::with_isa(threads, isa))).collect()
}

/// Fails if an element differs by more than `tolerance` times the largest element.
pub(crate) fn assert_close(case: &str, actual: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(actual.len(), expected.len(), "{case}");
    let size = expected.iter().fold(1e-3f32, |max, v| max.max(v.abs()));
    for (index, (actual, expected)) in actual.iter().zip(expected).enumerate() {
        let difference = (actual - expected).abs();
        assert!(
            difference <= tolerance * size,
            "{case}: {actual} is not {expected} at {index} (of {size})"
        );
    }
}

/// Tests run on the instruction sets that the processor has. `SHOAL_TEST_ISA` names those that it
/// must have.
#[test]
fn the_required_instruction_sets_are_available() {
    let names = std::env::var("SHOAL_TEST_ISA").unwrap_or_default();
    let available: Vec<&str> = Isa::available().map(Isa::name).collect();
    let standard = if cfg!(target_arch = "aarch64") { "scalar neon" } else { "scalar" };
    for name in standard.split(' ').chain(names.split_whitespace()) {
        assert!(available.contains(&name), "no {name} here, only {available:?}");
    }
}
