//! Packs weights into a [`Matrix`].

use half::{bf16, f16};

use super::{Codes, Format, GROUP, Matrix, ROWS, SUPER, Store};
use crate::{
    memory,
    simd::{Bytes, Floats, Halves},
};

/// 32 weights of a row as a file stores them.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Q8: -128..=127. Q4 and Q4Min: 0..=15 (only the low four bits count).
    pub codes: [i8; 32],
    /// The step between two codes.
    pub scale: f16,
    /// Q4Min only: the value of code 0.
    pub min: f16,
}

/// 256 weights of a row as a file stores them.
#[derive(Clone, Copy, Debug)]
pub struct SuperBlock {
    /// Q4K: 0..=15. Q6K: -32..=31.
    pub codes: [i8; 256],
    /// Q4K: the first eight, one for each 32 weights, 0..=63. Q6K: one for each 16 weights.
    pub scales: [i8; 16],
    /// Q4K only: one for each 32 weights, 0..=63.
    pub mins: [u8; 8],
    /// The scale of `scales`.
    pub scale: f16,
    /// Q4K only: the scale of `mins`.
    pub min: f16,
}

impl Matrix {
    /// Packs a matrix row by row. `fill(row, values)` writes the row's `cols` values over zeros, and
    /// they are rounded to the format. So the whole matrix is never in memory as `f32`.
    ///
    /// # Errors
    /// The first error of `fill`.
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
                    for (lanes, value) in panel(store, row, cols).iter_mut().zip(&values) {
                        lanes.0[row % ROWS] = *value;
                    }
                }
                Store::Halves(store) => {
                    for (lanes, value) in panel(store, row, cols).iter_mut().zip(&values) {
                        lanes.0[row % ROWS] = match format {
                            Format::Bf16 => bf16::from_f32(*value).to_bits(),
                            _ => f16::from_f32(*value).to_bits(),
                        };
                    }
                }
                Store::Codes(_) if matches!(format, Format::Q4K | Format::Q6K) => {
                    for (index, values) in values.chunks(GROUP * SUPER).enumerate() {
                        matrix.put_super(row, index, &quantise_super(format, values));
                    }
                }
                Store::Codes(_) => {
                    for (group, values) in values.chunks(GROUP).enumerate() {
                        matrix.put_block(row, group, &quantise(format, values));
                    }
                }
            }
        }
        Ok(matrix)
    }

    /// Packs blocks without a change. `block(row, group)` gives the 32 weights of a group of inputs.
    /// For a format without such blocks, their values are rounded to it. Codes past `cols` are ignored.
    ///
    /// # Errors
    /// The first error of `block`.
    pub fn pack_blocks<E>(
        format: Format,
        rows: usize,
        cols: usize,
        mut block: impl FnMut(usize, usize) -> Result<Block, E>,
    ) -> Result<Self, E> {
        if !matches!(format, Format::Q8 | Format::Q4 | Format::Q4Min) {
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
        let mut matrix = Self::empty(format, rows, cols);
        for row in 0..rows {
            for group in 0..matrix.groups() {
                matrix.put_block(row, group, &block(row, group)?);
            }
        }
        Ok(matrix)
    }

    /// Packs super-blocks without a change. `block(row, i)` gives the weights of inputs `256 i..`, for
    /// [`Format::Q4K`] or [`Format::Q6K`]. For a format without super-blocks, they are read as those
    /// of Q6K, and their values are rounded to it.
    ///
    /// # Errors
    /// The first error of `block`.
    pub fn pack_supers<E>(
        format: Format,
        rows: usize,
        cols: usize,
        mut block: impl FnMut(usize, usize) -> Result<SuperBlock, E>,
    ) -> Result<Self, E> {
        if !matches!(format, Format::Q4K | Format::Q6K) {
            return Self::pack(format, rows, cols, |row, values| {
                for (index, values) in values.chunks_mut(GROUP * SUPER).enumerate() {
                    let block = block(row, index)?;
                    for (input, (value, code)) in values.iter_mut().zip(block.codes).enumerate() {
                        let scale = block.scale.to_f32() * f32::from(block.scales[input / 16]);
                        *value = scale * f32::from(code);
                    }
                }
                Ok(())
            });
        }
        let mut matrix = Self::empty(format, rows, cols);
        for row in 0..rows {
            for index in 0..matrix.supers() {
                matrix.put_super(row, index, &block(row, index)?);
            }
        }
        Ok(matrix)
    }

    /// All zeros.
    fn empty(format: Format, rows: usize, cols: usize) -> Self {
        let panels = rows.div_ceil(ROWS);
        let groups = cols.div_ceil(GROUP);
        let store = match (format, format.group_layout()) {
            (_, Some(layout)) => {
                let scales =
                    panels * if layout.has_supers { groups.div_ceil(SUPER) } else { groups };
                Store::Codes(Codes {
                    lines: memory::lines(panels * groups * layout.lines),
                    scales: vec![Halves::default(); scales],
                    mins: vec![Halves::default(); if layout.has_mins { scales } else { 0 }],
                    bytes: vec![
                        [Bytes::default(); 2];
                        if layout.has_supers { panels * groups } else { 0 }
                    ],
                })
            }
            (Format::F32, None) => Store::Floats(vec![Floats::default(); panels * cols]),
            (_, None) => Store::Halves(vec![Halves::default(); panels * cols]),
        };
        Self { rows, cols, format, store }
    }

    fn put_block(&mut self, row: usize, group: usize, block: &Block) {
        let (index, lane) = ((row / ROWS) * self.groups() + group, row % ROWS);
        self.put_codes(row, group, &block.codes);
        let Store::Codes(codes) = &mut self.store else { return };
        codes.scales[index].0[lane] = block.scale.to_bits();
        if self.format == Format::Q4Min {
            codes.mins[index].0[lane] = block.min.to_bits();
        }
    }

    fn put_super(&mut self, row: usize, index: usize, block: &SuperBlock) {
        let (groups, supers, format) = (self.groups(), self.supers(), self.format);
        let (panel, lane) = (row / ROWS, row % ROWS);
        for (part, codes) in block.codes.as_chunks::<GROUP>().0.iter().enumerate() {
            let group = index * SUPER + part;
            if group >= groups {
                break;
            }
            self.put_codes(row, group, codes);
            let Store::Codes(store) = &mut self.store else { return };
            let bytes = &mut store.bytes[panel * groups + group];
            let scales = block.scales.map(i8::cast_unsigned);
            [bytes[0].0[lane], bytes[1].0[lane]] = match format {
                Format::Q4K => [scales[part], block.mins[part]],
                _ => [scales[part * 2], scales[part * 2 + 1]],
            };
        }
        let Store::Codes(codes) = &mut self.store else { return };
        codes.scales[panel * supers + index].0[lane] = block.scale.to_bits();
        if format == Format::Q4K {
            codes.mins[panel * supers + index].0[lane] = block.min.to_bits();
        }
    }

    /// Writes a group's codes, with zeros for those past the last input.
    fn put_codes(&mut self, row: usize, group: usize, codes: &[i8; GROUP]) {
        let (len, format) = (self.cols.saturating_sub(group * GROUP), self.format);
        let index = (row / ROWS) * self.groups() + group;
        let Some(layout) = format.group_layout() else { return };
        let Store::Codes(store) = &mut self.store else { return };
        let lines = &mut store.lines[index * layout.lines..][..layout.lines];
        // The four bytes of this row in each line.
        let mut lines = lines.iter_mut().map(|line| &mut line.0.as_chunks_mut::<4>().0[row % ROWS]);
        let mut codes = codes.map(i8::cast_unsigned);
        codes.iter_mut().skip(len).for_each(|code| *code = 0);
        if format == Format::Q6K {
            codes = codes.map(|code| code.wrapping_add(32));
        }
        let (quads, _) = codes.as_chunks::<4>();
        if format == Format::Q8 {
            lines.zip(quads).for_each(|(line, quad)| *line = quad.map(|code| code ^ 0x80));
            return;
        }
        let (low, high) = quads.split_at(quads.len() / 2);
        for ((low, high), line) in low.iter().zip(high).zip(&mut lines) {
            for ((byte, low), high) in line.iter_mut().zip(low).zip(high) {
                *byte = (low & 15) | (high << 4);
            }
        }
        if format == Format::Q6K {
            for (half, line) in [low, high].into_iter().zip(lines) {
                *line = [0; 4];
                for (field, quad) in half.iter().enumerate() {
                    for (byte, code) in line.iter_mut().zip(quad) {
                        *byte |= ((code >> 4) & 3) << (2 * field);
                    }
                }
            }
        }
    }
}

/// The panel of a row, input after input.
fn panel<T>(store: &mut [T], row: usize, cols: usize) -> &mut [T] {
    &mut store[row / ROWS * cols..][..cols]
}

/// Up to 32 values as codes, rounded as llama.cpp does for Q8_0, Q4_0 and Q4_1.
fn quantise(format: Format, values: &[f32]) -> Block {
    let mut block = Block { codes: [0; 32], scale: f16::ZERO, min: f16::ZERO };
    let extreme = values.iter().fold(0.0f32, |max, v| if v.abs() > max.abs() { *v } else { max });
    match format {
        Format::Q8 => {
            block.scale = f16::from_f32(extreme.abs() / 127.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = round_to_code(value * inverse, -127.0, 127.0);
            }
        }
        Format::Q4Min => {
            let min = values.iter().copied().fold(f32::INFINITY, f32::min);
            let max = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            block.min = f16::from_f32(min);
            block.scale = f16::from_f32((max - min) / 15.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = round_to_code((value - block.min.to_f32()) * inverse, 0.0, 15.0);
            }
        }
        // The value furthest from zero becomes -8, the only code without an opposite.
        _ => {
            block.scale = f16::from_f32(extreme / -8.0);
            let inverse = inverse(block.scale);
            for (code, value) in block.codes.iter_mut().zip(values) {
                *code = round_to_code(value * inverse + 8.0, 0.0, 15.0);
            }
        }
    }
    block
}

/// `1 / scale`, or 0 for a group of equal values, whose scale is 0.
fn inverse(scale: f16) -> f32 {
    if scale == f16::ZERO { 0.0 } else { 1.0 / scale.to_f32() }
}

#[expect(clippy::cast_possible_truncation, reason = "clamped to a byte")]
fn round_to_code(value: f32, min: f32, max: f32) -> i8 {
    value.round().clamp(min, max) as i8
}

/// Up to 256 values as codes. Plain rounding: files contain better codes.
fn quantise_super(format: Format, values: &[f32]) -> SuperBlock {
    let mut block = SuperBlock {
        codes: [0; 256],
        scales: [0; 16],
        mins: [0; 8],
        scale: f16::ZERO,
        min: f16::ZERO,
    };
    let (size, steps) = if format == Format::Q4K { (32, 15.0) } else { (16, 31.0) };
    // The exact step of each sub-block, and its minimum with the sign turned.
    let mut sub_steps = [0.0f32; 16];
    let mut sub_mins = [0.0f32; 16];
    for (index, values) in values.chunks(size).enumerate() {
        let min = values.iter().copied().fold(0.0, f32::min);
        let max = values.iter().copied().fold(0.0, f32::max);
        (sub_steps[index], sub_mins[index]) = match format {
            Format::Q4K => ((max - min) / steps, -min),
            _ => (max.max(-min) / steps, 0.0),
        };
    }
    let max_code = if format == Format::Q4K { 63.0 } else { 127.0 };
    block.scale = f16::from_f32(sub_steps.into_iter().fold(0.0, f32::max) / max_code);
    block.min = f16::from_f32(sub_mins.into_iter().fold(0.0, f32::max) / max_code);
    let (scale, min) = (block.scale.to_f32(), block.min.to_f32());
    let chunks = values.chunks(size).zip(block.codes.chunks_mut(size));
    for (index, (values, codes)) in chunks.enumerate() {
        let sub_scale = round_to_code(ratio(sub_steps[index], scale), 0.0, max_code);
        let sub_min = round_to_code(ratio(sub_mins[index], min), 0.0, max_code);
        block.scales[index] = sub_scale;
        if format == Format::Q4K {
            block.mins[index] = sub_min.cast_unsigned();
        }
        let (step, begin) = (scale * f32::from(sub_scale), min * f32::from(sub_min));
        for (code, value) in codes.iter_mut().zip(values) {
            *code = match format {
                Format::Q4K => round_to_code(ratio(value + begin, step), 0.0, 15.0),
                _ => round_to_code(ratio(*value, step), -32.0, 31.0),
            };
        }
    }
    block
}

/// `value / divisor`, or 0 for a sub-block of zeros, whose divisor is 0.
fn ratio(value: f32, divisor: f32) -> f32 {
    if divisor > 0.0 { value / divisor } else { 0.0 }
}
