//! Filling a [`Matrix`].

use half::{bf16, f16};

use super::{Format, GROUP, Matrix, ROWS, Store};
use crate::simd::{Floats, Halves, Line};

/// 32 weights of a row as a file holds them.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Q8: -128..=127. Q4 and Q4Min: 0..=15 (only the low four bits count).
    pub codes: [i8; 32],
    pub scale: f16,
    /// Q4Min only: what a code of 0 stands for.
    pub min: f16,
}

impl Matrix {
    /// Packs a matrix row by row: `fill(row, values)` writes its `cols` values (they are zeros
    /// before), which are rounded to the format. So `f32` never exists whole in memory.
    ///
    /// # Errors
    /// The first one of `fill`.
    pub fn pack<E>(
        format: Format,
        rows: usize,
        cols: usize,
        mut fill: impl FnMut(usize, &mut [f32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut matrix = Self::empty(format, rows, cols);
        let mut values = vec![0.0; cols];
        for row in 0..rows {
            values.fill(0.0);
            fill(row, &mut values)?;
            match &mut matrix.store {
                Store::Floats(store) => {
                    for (place, value) in column(store, row, cols).zip(&values) {
                        put(&mut place.0, row % ROWS, *value);
                    }
                }
                Store::Halves(store) => {
                    for (place, value) in column(store, row, cols).zip(&values) {
                        let bits = match format {
                            Format::Bf16 => bf16::from_f32(*value).to_bits(),
                            _ => f16::from_f32(*value).to_bits(),
                        };
                        put(&mut place.0, row % ROWS, bits);
                    }
                }
                Store::Codes { .. } => {
                    for (group, values) in values.chunks(GROUP).enumerate() {
                        matrix.put_block(row, group, &quantise(format, values));
                    }
                }
            }
        }
        Ok(matrix)
    }

    /// Packs blocks without a change: `block(row, group)` gives the 32 weights of each group of
    /// inputs. With a format of floats they are widened first. Codes past `cols` do not count.
    ///
    /// # Errors
    /// The first one of `block`.
    pub fn pack_blocks<E>(
        format: Format,
        rows: usize,
        cols: usize,
        mut block: impl FnMut(usize, usize) -> Result<Block, E>,
    ) -> Result<Self, E> {
        let mut matrix = Self::empty(format, rows, cols);
        if !matches!(matrix.store, Store::Codes { .. }) {
            return Self::pack(format, rows, cols, |row, values| {
                for (group, values) in values.chunks_mut(GROUP).enumerate() {
                    let block = block(row, group)?;
                    for (value, code) in values.iter_mut().zip(block.codes) {
                        *value = block.scale.to_f32() * f32::from(code) + block.min.to_f32();
                    }
                }
                Ok(())
            });
        }
        for row in 0..rows {
            for group in 0..matrix.groups() {
                let block = block(row, group)?;
                matrix.put_block(row, group, &block);
            }
        }
        Ok(matrix)
    }

    /// All zeros.
    fn empty(format: Format, rows: usize, cols: usize) -> Self {
        let panels = rows.div_ceil(ROWS);
        let groups = panels * cols.div_ceil(GROUP);
        let codes = |lines: usize, mins: usize| Store::Codes {
            lines: vec![Line([0; 64]); groups * lines],
            scales: vec![Halves::default(); groups],
            mins: vec![Halves::default(); groups * mins],
        };
        let store = match format {
            Format::F32 => Store::Floats(vec![Floats::default(); panels * cols]),
            Format::Bf16 | Format::F16 => Store::Halves(vec![Halves::default(); panels * cols]),
            Format::Q8 => codes(8, 0),
            Format::Q4 => codes(4, 0),
            Format::Q4Min => codes(4, 1),
        };
        Self { rows, cols, format, store }
    }

    fn put_block(&mut self, row: usize, group: usize, block: &Block) {
        let (cols, format) = (self.cols, self.format);
        let place = (row / ROWS) * self.groups() + group;
        let lane = row % ROWS;
        let Store::Codes { lines, scales, mins } = &mut self.store else { return };
        if let Some(scale) = scales.get_mut(place) {
            put(&mut scale.0, lane, block.scale.to_bits());
        }
        if let Some(min) = mins.get_mut(place) {
            put(&mut min.0, lane, block.min.to_bits());
        }
        let inside = cols.saturating_sub(group * GROUP);
        for (input, code) in block.codes.into_iter().enumerate().take(inside) {
            let (line, bits) = match format {
                Format::Q8 => (place * 8 + input / 4, code.cast_unsigned() ^ 0x80),
                _ if input < 16 => (place * 4 + input / 4, code.cast_unsigned() & 15),
                _ => (place * 4 + input / 4 - 4, code.cast_unsigned() << 4),
            };
            if let Some(byte) = lines.get_mut(line).and_then(|l| l.0.get_mut(lane * 4 + input % 4))
            {
                *byte |= bits;
            }
        }
    }
}

/// The places of a row's panel, input after input.
fn column<T>(store: &mut [T], row: usize, cols: usize) -> impl Iterator<Item = &mut T> {
    store.iter_mut().skip(row / ROWS * cols).take(cols)
}

fn put<T>(lanes: &mut [T], lane: usize, value: T) {
    if let Some(place) = lanes.get_mut(lane) {
        *place = value;
    }
}

/// Up to 32 values as codes, as llama.cpp rounds them for Q8_0, Q4_0 and Q4_1.
fn quantise(format: Format, values: &[f32]) -> Block {
    let mut block = Block { codes: [0; 32], scale: f16::ZERO, min: f16::ZERO };
    let inverse = |scale: f16| if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() };
    let greatest =
        values.iter().fold(0.0f32, |most, v| if v.abs() > most.abs() { *v } else { most });
    match format {
        Format::Q8 => {
            block.scale = f16::from_f32(greatest.abs() / 127.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = whole(value * inverse, -127.0, 127.0);
            }
        }
        Format::Q4Min => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            block.min = f16::from_f32(least);
            block.scale = f16::from_f32((most - least) / 15.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = whole((value - block.min.to_f32()) * inverse, 0.0, 15.0);
            }
        }
        // The value furthest from zero becomes -8, the one code that has no opposite.
        _ => {
            block.scale = f16::from_f32(greatest / -8.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = whole(value * inverse + 8.0, 0.0, 15.0);
            }
        }
    }
    block
}

#[expect(clippy::cast_possible_truncation, reason = "held to a byte before")]
fn whole(value: f32, least: f32, most: f32) -> i8 {
    value.round().clamp(least, most) as i8
}
