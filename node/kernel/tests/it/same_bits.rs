//! A row's result must not depend on the rest of the call, or on the processor.

use proptest::prelude::*;
use shoal_kernel::{
    Activation, AttentionShape, Isa, KvFormat, KvPool, Pool, Rope, gated, rms_norm, rope,
};

use crate::{
    attention::{in_steps, sequence, shape},
    numbers,
    product::{FORMATS, matrix, product},
};

#[test]
fn a_row_of_a_product_is_the_same_in_any_company() {
    for isa in Isa::available() {
        let pools = [1, 2, 3].map(|threads| Pool::with_isa(threads, isa));
        for format in FORMATS {
            let matrix = matrix(format, 150, 200, 1);
            let x = numbers(2, 20 * 200);
            let alone: Vec<f32> =
                x.chunks(200).flat_map(|x| product(&pools[0], &matrix, x, 1)).collect();
            for pool in &pools {
                for tokens in 2..=20 {
                    let actual = product(pool, &matrix, &x[..tokens * 200], tokens);
                    assert_eq!(actual, alone[..tokens * 150], "{format:?} {pool:?} {tokens}");
                }
            }
        }
    }
}

#[test]
fn many_tokens_and_inputs_are_cut_without_a_trace() {
    let (rows, cols) = (70, 1_300);
    for isa in Isa::available() {
        let pool = Pool::with_isa(2, isa);
        for format in FORMATS {
            let matrix = matrix(format, rows, cols, 5);
            let x = numbers(6, 300 * cols);
            let product_of_all = product(&pool, &matrix, &x, 300);
            for token in [0, 5, 6, 149, 150, 256, 299] {
                let alone = product(&pool, &matrix, &x[token * cols..][..cols], 1);
                let start = token * rows;
                assert_eq!(
                    product_of_all[start..start + rows],
                    alone,
                    "{format:?} {pool:?} {token}"
                );
            }
        }
    }
}

#[test]
fn a_prompt_may_be_cut_anywhere() {
    for isa in Isa::available() {
        for (heads, kv_heads, dim, window) in
            [(9, 3, 64, None), (12, 2, 80, None), (4, 4, 32, Some(100)), (8, 1, 24, Some(7))]
        {
            let shape = shoal_kernel::AttentionShape { window, ..shape(heads, kv_heads, dim) };
            let sequence = sequence(&shape, 300, 4);
            let attend_in = |threads: usize, steps: &[usize]| {
                let mut kv = KvPool::new(2, kv_heads, dim, KvFormat::F16);
                in_steps(&Pool::with_isa(threads, isa), shape, &sequence, &mut kv, steps)
            };
            let whole = attend_in(1, &[300]);
            assert_eq!(attend_in(2, &[300]), whole, "{isa:?}");
            assert_eq!(attend_in(2, &[1; 300]), whole, "{isa:?}");
            assert_eq!(attend_in(1, &[37, 219, 1, 1, 42]), whole, "{isa:?}");
        }
    }
}

/// Fails unless every instruction set gives the bits of plain Rust.
fn assert_same_bits(case: &str, run: impl Fn(&Pool) -> Vec<f32>) {
    let scalar = bits(&run(&Pool::with_isa(1, Isa::Scalar)));
    for isa in Isa::available() {
        assert_eq!(bits(&run(&Pool::with_isa(2, isa))), scalar, "{case} {isa:?}");
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_instruction_set_multiplies_to_the_same_bits(
        format in proptest::sample::select(FORMATS.to_vec()),
        rows in 1usize..90, cols in 1usize..900, tokens in 1usize..=20, seed in 0u64..1 << 40,
    ) {
        let matrix = matrix(format, rows, cols, seed);
        let x = numbers(seed + 1, tokens * cols);
        assert_same_bits(&format!("{format:?} {rows}x{cols}x{tokens}"), |pool| product(pool, &matrix, &x, tokens));
    }

    #[test]
    fn every_instruction_set_attends_to_the_same_bits(
        group in 1usize..5, kv_heads in 1usize..4, dim in 1usize..100, len in 1usize..300,
        window in proptest::option::of(1usize..300), softcap in proptest::option::of(1.0f32..40.0),
        half in any::<bool>(), seed in 0u64..1 << 40,
    ) {
        let shape = AttentionShape { window, softcap, ..shape(group * kv_heads, kv_heads, dim) };
        let sequence = sequence(&shape, len, seed);
        let format = if half { KvFormat::F16 } else { KvFormat::F32 };
        assert_same_bits(&format!("{shape:?} {len}"), |pool| {
            in_steps(pool, shape, &sequence, &mut KvPool::new(2, kv_heads, dim, format), &[len])
        });
    }

    #[test]
    fn every_instruction_set_does_the_rest_to_the_same_bits(
        rows in 1usize..6, half in 1usize..200, size in 0.1f32..200.0, seed in 0u64..1 << 40,
    ) {
        let width = 2 * half;
        let x: Vec<f32> = numbers(seed, rows * width).iter().map(|v| v * size).collect();
        let (gamma, up) = (numbers(seed + 1, width), numbers(seed + 2, rows * width));
        assert_same_bits("norm", |pool| {
            let mut out = vec![0.0; x.len()];
            rms_norm(pool, &x, &gamma, 1e-6, &mut out).unwrap();
            out
        });
        for activation in [Activation::Silu, Activation::GeluTanh] {
            assert_same_bits("gate", |pool| {
                let mut out = x.clone();
                gated(pool, activation, &mut out, &up).unwrap();
                out
            });
        }
        let (cos, sin) = (numbers(seed + 3, rows * half), numbers(seed + 4, rows * half));
        let angles = Rope::new(cos, sin, half).unwrap();
        let positions: Vec<u32> = (0..rows as u32).collect();
        assert_same_bits("rotation", |pool| {
            let mut out = x.clone();
            rope(pool, &mut out, 1, width, &angles, &positions).unwrap();
            out
        });
    }
}
