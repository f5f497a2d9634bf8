//! What a row becomes must not depend on what else is in the call.

use shoal_kernel::{Isa, KvFormat, KvPool, Pool};

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
                    let got = product(pool, &matrix, &x[..tokens * 200], tokens);
                    assert_eq!(got, alone[..tokens * 150], "{format:?} {pool:?} {tokens}");
                }
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
            let of = sequence(&shape, 300, 4);
            let run = |threads: usize, steps: &[usize]| {
                let mut kv = KvPool::new(2, kv_heads, dim, KvFormat::F16);
                in_steps(&Pool::with_isa(threads, isa), shape, &of, &mut kv, steps)
            };
            let whole = run(1, &[300]);
            assert_eq!(run(2, &[300]), whole, "{isa:?}");
            assert_eq!(run(2, &[1; 300]), whole, "{isa:?}");
            assert_eq!(run(1, &[37, 219, 1, 1, 42]), whole, "{isa:?}");
        }
    }
}
