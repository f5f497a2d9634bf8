//! Every instruction set that this machine has, against plain sums in double precision.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests, and what they share")]

mod attention;
mod elementwise;
mod product;
mod same_bits;
mod threads;

use shoal_kernel::{Isa, Pool};

/// Numbers of -1..1 that a seed decides.
pub(crate) fn numbers(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// A pool for each instruction set, some with two threads.
pub(crate) fn pools() -> Vec<Pool> {
    Isa::available().flat_map(|isa| [1, 2].map(|threads| Pool::with_isa(threads, isa))).collect()
}

/// Fails where the two differ by more than `tolerance` of the largest element.
pub(crate) fn close(what: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(got.len(), want.len(), "{what}");
    let size = want.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        let apart = (got - want).abs();
        assert!(apart <= tolerance * size, "{what}: {got} is not {want} at {at} (of {size})");
    }
}

/// Tests run on what the processor has: whoever wants to be sure of an instruction set names it.
#[test]
fn the_instruction_sets_that_were_asked_for_are_here() {
    let wanted = std::env::var("SHOAL_TEST_ISA").unwrap_or_default();
    let here: Vec<&str> = Isa::available().map(Isa::name).collect();
    let standard = if cfg!(target_arch = "aarch64") { "scalar neon" } else { "scalar" };
    for name in standard.split(' ').chain(wanted.split_whitespace()) {
        assert!(here.contains(&name), "no {name} here, only {here:?}");
    }
}
