use proptest::prelude::*;
use shoal_kernel::{Activation, Rope, gated, rms_norm, rms_norm_in_place, rope};

use crate::{assert_close, numbers, pools};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_norm_is_the_root_of_the_mean_square(rows in 1usize..40, width in 1usize..700, seed in 0u64..1 << 40) {
        let (x, gamma) = (numbers(seed, rows * width), numbers(seed + 1, width));
        let mut expected = Vec::new();
        for row in x.chunks(width) {
            let mean = row.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / width as f64;
            let scale = 1.0 / (mean + 1e-6).sqrt();
            expected.extend(row.iter().zip(&gamma).map(|(v, g)| (f64::from(*v) * scale * f64::from(*g)) as f32));
        }
        for pool in pools() {
            let mut out = vec![f32::NAN; x.len()];
            rms_norm(&pool, &x, &gamma, 1e-6, &mut out).unwrap();
            assert_close(&format!("{pool:?}"), &out, &expected, 1e-5);
            let mut again = x.clone();
            rms_norm_in_place(&pool, &mut again, &gamma, 1e-6).unwrap();
            prop_assert_eq!(again, out);
        }
    }

    #[test]
    fn a_gate_is_its_activation_times_the_projection(len in 0usize..20_000, size in 0.1f32..200.0, seed in 0u64..1 << 40) {
        let gate: Vec<f32> = numbers(seed, len).iter().map(|v| v * size).collect();
        let up = numbers(seed + 1, len);
        for (activation, f) in [
            (Activation::Silu, (|x: f64| x / (1.0 + (-x).exp())) as fn(f64) -> f64),
            (Activation::GeluTanh, |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x * x * x)).tanh())),
        ] {
            let expected: Vec<f32> = gate.iter().zip(&up).map(|(g, u)| (f(f64::from(*g)) * f64::from(*u)) as f32).collect();
            for pool in pools() {
                let mut out = gate.clone();
                gated(&pool, activation, &mut out, &up).unwrap();
                assert_close(&format!("{activation:?} {pool:?}"), &out, &expected, 1e-5);
            }
        }
    }

    #[test]
    fn a_rotation_turns_pairs_and_leaves_the_rest(
        heads in 1usize..5, half in 1usize..65, rest in 0usize..20, rows in 1usize..30, seed in 0u64..1 << 40,
    ) {
        let dim = 2 * half + rest;
        let (cos, sin) = (numbers(seed, 50 * half), numbers(seed + 1, 50 * half));
        let x = numbers(seed + 2, rows * heads * dim);
        let positions: Vec<u32> = (0..rows as u32).map(|row| row * 7 % 50).collect();
        let mut expected = x.clone();
        for (index, head) in expected.chunks_mut(dim).enumerate() {
            let start = positions[index / heads] as usize * half;
            for i in 0..half {
                let (a, b, c, s) = (head[i], head[half + i], cos[start + i], sin[start + i]);
                (head[i], head[half + i]) = (a * c - b * s, b * c + a * s);
            }
        }
        let angles = Rope::new(cos, sin, half).unwrap();
        for pool in pools() {
            let mut out = x.clone();
            rope(&pool, &mut out, heads, dim, &angles, &positions).unwrap();
            assert_close(&format!("{pool:?}"), &out, &expected, 1e-6);
        }
    }
}

#[test]
fn a_position_past_the_tables_is_refused() {
    let pool = shoal_kernel::Pool::new(1);
    let angles = Rope::new(vec![1.0; 8], vec![0.0; 8], 2).unwrap();
    assert_eq!(angles.positions(), 4);
    assert!(rope(&pool, &mut [0.0; 4], 1, 4, &angles, &[3]).is_ok());
    assert!(rope(&pool, &mut [0.0; 4], 1, 4, &angles, &[4]).is_err());
    assert!(rope(&pool, &mut [0.0; 3], 1, 3, &angles, &[0]).is_err());
}
