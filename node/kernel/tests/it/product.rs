use std::convert::Infallible;

use half::f16;
use proptest::prelude::*;
use shoal_kernel::{Block, Error, Format, Matrix, Output, Pool, SuperBlock, linear};

use crate::{assert_close, numbers, pools};

pub(crate) const FORMATS: [Format; 8] = [
    Format::F32,
    Format::Bf16,
    Format::F16,
    Format::Q8,
    Format::Q4,
    Format::Q4Min,
    Format::Q4K,
    Format::Q6K,
];

pub(crate) fn matrix(format: Format, rows: usize, cols: usize, seed: u64) -> Matrix {
    let values = numbers(seed, rows * cols);
    let packed = Matrix::pack::<Infallible>(format, rows, cols, |row, out| {
        out.copy_from_slice(&values[row * cols..][..cols]);
        Ok(())
    });
    packed.unwrap()
}

pub(crate) fn rows_of(matrix: &Matrix) -> Vec<f32> {
    let mut values = vec![0.0; matrix.rows() * matrix.cols()];
    for (row, out) in values.chunks_mut(matrix.cols()).enumerate() {
        matrix.row(row, out).unwrap();
    }
    assert_eq!(values, matrix.unpack());
    values
}

#[test]
fn a_row_that_does_not_exist_is_an_error() {
    let matrix = matrix(Format::Q8, 3, 32, 1);
    assert!(matrix.row(2, &mut [0.0; 32]).is_ok());
    assert!(matrix.row(3, &mut [0.0; 32]).is_err());
}

/// Activations as the formats of codes round them: `width` values of a row share a scale.
fn round_activations(x: &[f32], cols: usize, width: usize) -> Vec<f32> {
    let mut out = Vec::new();
    for row in x.chunks(cols) {
        for group in row.chunks(width) {
            let max = group.iter().fold(0.0f32, |max, v| max.max(v.abs()));
            if max == 0.0 {
                out.extend(group);
                continue;
            }
            out.extend(group.iter().map(|v| (v * (127.0 / max)).round_ties_even() * (max / 127.0)));
        }
    }
    out
}

/// The product by its definition.
fn reference(matrix: &Matrix, x: &[f32], tokens: usize) -> Vec<f32> {
    let (weights, cols) = (rows_of(matrix), matrix.cols());
    let x = match matrix.format() {
        Format::F32 | Format::Bf16 | Format::F16 => x.to_vec(),
        Format::Q8 | Format::Q4 | Format::Q4Min => round_activations(x, cols, 32),
        Format::Q4K | Format::Q6K => round_activations(x, cols, 256),
    };
    let mut out = Vec::new();
    for token in 0..tokens {
        for row in 0..matrix.rows() {
            let (w, x) = (&weights[row * cols..][..cols], &x[token * cols..][..cols]);
            out.push(
                w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() as f32
            );
        }
    }
    out
}

pub(crate) fn product(pool: &Pool, matrix: &Matrix, x: &[f32], tokens: usize) -> Vec<f32> {
    let mut out = vec![f32::NAN; tokens * matrix.rows()];
    let mut outs = [Output { matrix, out: &mut out, add: false, bias: None }];
    linear(pool, x, tokens, &mut outs).unwrap();
    out
}

fn check_product(format: Format, rows: usize, cols: usize, tokens: usize, seed: u64) {
    let matrix = matrix(format, rows, cols, seed);
    let x = numbers(seed + 1, tokens * cols);
    let expected = reference(&matrix, &x, tokens);
    for pool in pools() {
        let actual = product(&pool, &matrix, &x, tokens);
        assert_close(
            &format!("{format:?} {rows}x{cols}x{tokens} {pool:?}"),
            &actual,
            &expected,
            1e-5,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_instruction_set_multiplies_as_the_definition_says(
        format in proptest::sample::select(FORMATS.to_vec()),
        rows in 1usize..70, cols in 1usize..600, tokens in 1usize..=20, seed: u64,
    ) {
        check_product(format, rows, cols, tokens, seed >> 1);
    }

    #[test]
    fn blocks_of_a_file_are_kept_as_they_are(
        format in proptest::sample::select(vec![Format::Q8, Format::Q4, Format::Q4Min]),
        rows in 1usize..40, groups in 1usize..4, seed: u64,
    ) {
        let random = numbers(seed, rows * groups * 34);
        let block = |row: usize, group: usize| {
            let random = &random[(row * groups + group) * 34..][..34];
            let codes = std::array::from_fn(|i| match format {
                Format::Q8 => (random[i] * 128.0) as i8,
                _ => ((random[i] + 1.0) * 7.99) as i8,
            });
            Block { codes, scale: f16::from_f32(random[32]), min: f16::from_f32(random[33]) }
        };
        let packed = Matrix::pack_blocks::<Infallible>(format, rows, groups * 32, |row, group| Ok(block(row, group)));
        for (index, weight) in rows_of(&packed.unwrap()).iter().enumerate() {
            let block = block(index / (groups * 32), index % (groups * 32) / 32);
            let code = f32::from(block.codes[index % 32]);
            let expected = match format {
                Format::Q8 => block.scale.to_f32() * code,
                Format::Q4 => block.scale.to_f32() * (code - 8.0),
                _ => block.scale.to_f32() * code + block.min.to_f32(),
            };
            prop_assert_eq!(*weight, expected);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn super_blocks_of_a_file_are_kept_as_they_are(
        format in proptest::sample::select(vec![Format::Q4K, Format::Q6K]),
        rows in 1usize..40, supers in 1usize..3, seed in 0u64..1 << 40,
    ) {
        let four = format == Format::Q4K;
        let random = numbers(seed, rows * supers * 300);
        let block = |row: usize, index: usize| {
            let random = &random[(row * supers + index) * 300..][..300];
            let integer = |i: usize, half: f32, offset: f32| (random[i] * half + offset).floor() as i8;
            SuperBlock {
                codes: std::array::from_fn(|i| {
                    if four { integer(i, 8.0, 8.0) } else { integer(i, 32.0, 0.0) }
                }),
                scales: std::array::from_fn(|i| {
                    if four { integer(256 + i, 32.0, 32.0) } else { integer(256 + i, 128.0, 0.0) }
                }),
                mins: std::array::from_fn(|i| integer(272 + i, 32.0, 32.0).cast_unsigned()),
                scale: f16::from_f32(random[290]),
                min: f16::from_f32(random[291]),
            }
        };
        let packed = Matrix::pack_supers::<Infallible>(format, rows, supers * 256, |row, index| Ok(block(row, index)));
        for (index, weight) in rows_of(&packed.unwrap()).iter().enumerate() {
            let block = block(index / (supers * 256), index % (supers * 256) / 256);
            let input = index % 256;
            let (scale, code) = (block.scale.to_f32(), f32::from(block.codes[input]));
            let expected = if four {
                let min = block.min.to_f32() * f32::from(block.mins[input / 32]);
                scale * f32::from(block.scales[input / 32]) * code - min
            } else {
                scale * f32::from(block.scales[input / 16]) * code
            };
            prop_assert_eq!(*weight, expected);
        }
    }
}

#[test]
fn wide_matrices_are_cut_without_a_seam() {
    for format in FORMATS {
        check_product(format, 1000, 576, 3, 7);
        check_product(format, 40, 9000, 40, 8);
    }
}

#[test]
fn extreme_codes_do_not_saturate() {
    // The worst case of pairwise 16-bit sums: all weights and all activations at their extremes.
    for (format, codes) in
        [(Format::Q8, [-128i8; 32]), (Format::Q8, [127; 32]), (Format::Q4, [15; 32])]
    {
        let block = Block { codes, scale: f16::ONE, min: f16::ZERO };
        let matrix = Matrix::pack_blocks::<Infallible>(format, 16, 64, |_, _| Ok(block)).unwrap();
        for x in [1.0f32, -1.0] {
            let x = [x; 64];
            let expected = reference(&matrix, &x, 1);
            for pool in pools() {
                assert_close(
                    &format!("{format:?} {pool:?}"),
                    &product(&pool, &matrix, &x, 1),
                    &expected,
                    1e-6,
                );
            }
        }
    }
}

#[test]
fn zeros_and_tiny_numbers_give_no_nan() {
    for format in FORMATS {
        let zero = Matrix::pack::<Infallible>(format, 20, 40, |_, _| Ok(())).unwrap();
        let dense = matrix(format, 20, 40, 3);
        for pool in pools() {
            for (matrix, x) in [(&zero, 1.0f32), (&dense, 0.0), (&dense, 1e-38), (&dense, 1e-42)] {
                let out = product(&pool, matrix, &[x; 80], 2);
                assert!(out.iter().all(|v| v.abs() < 1e-30), "{format:?} {pool:?} {x}: {out:?}");
            }
        }
    }
}

#[test]
fn a_weight_survives_rounding_within_half_a_step() {
    for (format, step) in [
        (Format::F32, 0.0),
        (Format::Bf16, 1.0 / 256.0),
        (Format::F16, 1.0 / 2048.0),
        (Format::Q8, 1.0 / 127.0),
        (Format::Q4, 1.0 / 8.0),
        (Format::Q4Min, 2.0 / 15.0),
        (Format::Q4K, 2.1 / 15.0),
        (Format::Q6K, 1.05 / 31.0),
    ] {
        let (values, packed) = (numbers(5, 33 * 65), matrix(format, 33, 65, 5));
        // Half a step. Q4 clamps the end of its longer side, by up to a whole step.
        let tolerance = if format == Format::Q4 { step } else { step / 2.0 } + step * 0.02;
        for (value, weight) in values.iter().zip(rows_of(&packed)) {
            assert!((value - weight).abs() <= tolerance, "{format:?}: {value} became {weight}");
        }
    }
}

#[test]
fn several_products_with_bias_and_residual_are_those_products() {
    let x = numbers(1, 3 * 100);
    for pool in pools() {
        let matrices = [
            matrix(Format::Q8, 50, 100, 2),
            matrix(Format::F32, 7, 100, 3),
            matrix(Format::Q4Min, 16, 100, 4),
        ];
        let alone: Vec<_> = matrices.iter().map(|matrix| product(&pool, matrix, &x, 3)).collect();
        let bias = numbers(9, 50);
        let mut outs: Vec<_> = alone.iter().map(|out| vec![0.5; out.len()]).collect();
        let mut outputs: Vec<_> = matrices
            .iter()
            .zip(&mut outs)
            .map(|(matrix, out)| Output { matrix, out, add: true, bias: None })
            .collect();
        outputs[0].bias = Some(&bias);
        linear(&pool, &x, 3, &mut outputs).unwrap();
        for (index, (alone, out)) in alone.iter().zip(&outs).enumerate() {
            let rows = matrices[index].rows();
            let expected: Vec<f32> = alone
                .iter()
                .enumerate()
                .map(|(i, v)| v + 0.5 + if index == 0 { bias[i % rows] } else { 0.0 })
                .collect();
            assert_close("bias and residual", out, &expected, 1e-6);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let pool = Pool::new(1);
    let (a, b) = (matrix(Format::Q8, 8, 64, 1), matrix(Format::Q8, 8, 32, 1));
    let mut out = vec![0.0; 8];
    let mut outputs = [Output { matrix: &a, out: &mut out, add: false, bias: None }];
    let error = linear(&pool, &[0.0; 63], 1, &mut outputs).unwrap_err();
    assert_eq!(
        error,
        Error::Length { argument: "the input of a product", len: 63, required_len: 64 }
    );
    assert!(linear(&pool, &[0.0; 128], 2, &mut outputs).is_err());
    let mut second_out = vec![0.0; 8];
    let mut outputs = [
        Output { matrix: &a, out: &mut out, add: false, bias: None },
        Output { matrix: &b, out: &mut second_out, add: false, bias: None },
    ];
    assert!(linear(&pool, &[0.0; 64], 1, &mut outputs).is_err());
}
