use super::*;

/// Written by `tests/fixtures/gguf/make.py` from the gguf package's own dequantize.
const FIXTURE: &[u8] = include_bytes!("../../../tests/fixtures/gguf/blocks.bin");
const BLOCKS: usize = 2;
const ORDER: [Kind; 10] = [
    Kind::Q8_0,
    Kind::Q4_0,
    Kind::Q4_1,
    Kind::Q5_0,
    Kind::Q5_1,
    Kind::Q2_K,
    Kind::Q3_K,
    Kind::Q4_K,
    Kind::Q5_K,
    Kind::Q6_K,
];

/// Each kind with its blocks and the bits of their weights.
fn cases() -> impl Iterator<Item = (Kind, &'static [u8], Vec<u32>)> {
    let mut rest = FIXTURE;
    ORDER.into_iter().map(move |kind| {
        let Layout { weights, bytes } = kind.layout();
        let (blocks, after) = rest.split_at(BLOCKS * bytes);
        let (floats, after) = after.split_at(BLOCKS * weights * 4);
        rest = after;
        let bits = floats.as_chunks().0.iter().copied().map(u32::from_le_bytes).collect();
        (kind, blocks, bits)
    })
}

#[test]
fn every_kind_of_block_gives_the_bits_that_the_gguf_package_gives() {
    for (kind, blocks, reference) in cases() {
        let mut floats = vec![0.0_f32; reference.len()];
        kind.widen(blocks, &mut floats);
        let bits: Vec<u32> = floats.iter().map(|float| float.to_bits()).collect();
        assert_eq!(bits, reference, "{kind:?}");
    }
}

#[test]
fn the_fixture_ends_where_its_last_kind_does() {
    let used: usize = cases().map(|(_, blocks, bits)| blocks.len() + 4 * bits.len()).sum();
    assert_eq!(used, FIXTURE.len());
}

#[test]
fn integers_stand_for_the_same_bits() {
    for (kind, blocks, reference) in cases() {
        let offset = if kind == Kind::Q4_0 { 8 } else { 0 };
        for (index, reference) in reference.as_chunks::<32>().0.iter().enumerate() {
            let Some(block) = kind.block(blocks, index) else { continue };
            for (code, bits) in block.codes.iter().zip(reference) {
                let product = block.scale.to_f32() * f32::from(code - offset);
                let weight =
                    if kind == Kind::Q4_1 { product + block.min.to_f32() } else { product };
                assert_eq!(weight.to_bits(), *bits, "{kind:?}");
            }
        }
        for (index, reference) in reference.as_chunks::<256>().0.iter().enumerate() {
            let Some(block) = kind.super_block(blocks, index) else { continue };
            for (weight, (code, bits)) in block.codes.iter().zip(reference).enumerate() {
                let part = if kind == Kind::Q4_K { weight / 32 } else { weight / 16 };
                let fine = block.scale.to_f32() * f32::from(block.scales[part]);
                let product = fine * f32::from(*code);
                let min = block.min.to_f32() * f32::from(block.mins[weight / 32]);
                let value = if kind == Kind::Q4_K { product - min } else { product };
                assert_eq!(value.to_bits(), *bits, "{kind:?}");
            }
        }
        let simple = matches!(kind, Kind::Q8_0 | Kind::Q5_0 | Kind::Q4_0 | Kind::Q4_1);
        let supers = matches!(kind, Kind::Q4_K | Kind::Q6_K);
        assert_eq!(kind.block(blocks, 1).is_some(), simple, "{kind:?}");
        assert_eq!(kind.super_block(blocks, 1).is_some(), supers, "{kind:?}");
        assert!(kind.block(blocks, 2).is_none() && kind.super_block(blocks, 2).is_none());
    }
}

#[test]
fn floats_of_all_widths_are_read() {
    let mut out = [0.0; 2];
    Kind::F32.widen(&[0, 0, 192, 63, 0, 0, 0, 192], &mut out);
    assert_eq!(out, [1.5, -2.0]);
    Kind::F16.widen(&[0, 62, 0, 192], &mut out);
    assert_eq!(out, [1.5, -2.0]);
    Kind::BF16.widen(&[192, 63, 0, 192], &mut out);
    assert_eq!(out, [1.5, -2.0]);
}

#[test]
fn kinds_that_are_not_read_are_named() {
    let error = Kind::from_code(23).unwrap_err();
    assert_eq!(
        error,
        "weights as IQ4_XS are not read; these are: F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, \
         Q3_K, Q4_K, Q5_K, Q6_K, BF16"
    );
    assert_eq!(Kind::from_code(4).unwrap_err(), "weights of the unknown type 4");
}
