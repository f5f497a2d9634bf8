//! Filling a [`Matrix`].

use half::{bf16, f16};

use super::{Codes, Format, GROUP, Matrix, ROWS, SUPER, Store};
use crate::{
    memory,
    simd::{Bytes, Floats, Halves},
};

/// 32 weights of a row as a file holds them.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    /// Q8: -128..=127. Q4 and Q4Min: 0..=15 (only the low four bits count).
    pub codes: [i8; 32],
    pub scale: f16,
    /// Q4Min only: what a code of 0 stands for.
    pub min: f16,
}

/// 256 weights of a row as a file holds them.
#[derive(Clone, Copy, Debug)]
pub struct SuperBlock {
    /// Q4K: 0..=15. Q6K: -32..=31.
    pub codes: [i8; 256],
    /// Q4K: of each 32 weights, 0..=63, the first eight. Q6K: of each 16.
    pub scales: [i8; 16],
    /// Q4K: of each 32 weights, 0..=63.
    pub mins: [u8; 8],
    pub scale: f16,
    /// Q4K.
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

    /// Packs blocks without a change: `block(row, group)` gives the 32 weights of each group of
    /// inputs. With a format that is not of such blocks their values are rounded to it. Codes past
    /// `cols` do not count.
    ///
    /// # Errors
    /// The first one of `block`.
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

    /// Packs super-blocks without a change, as [`Matrix::pack_blocks`] does blocks: `block(row, i)`
    /// gives the weights of inputs `256 i..`, for [`Format::Q4K`] or [`Format::Q6K`]; for any other
    /// format, which has no super-blocks, they are taken for those of Q6K and rounded to it.
    ///
    /// # Errors
    /// The first one of `block`.
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
                    for (at, (value, code)) in values.iter_mut().zip(block.codes).enumerate() {
                        let fine = block.scales.get(at / 16).copied().unwrap_or_default();
                        *value = block.scale.to_f32() * f32::from(fine) * f32::from(code);
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
        let store = match (format, format.parts()) {
            (_, Some(parts)) => {
                let scales = panels * if parts.supers { groups.div_ceil(SUPER) } else { groups };
                Store::Codes(Codes {
                    lines: memory::lines(panels * groups * parts.lines),
                    scales: vec![Halves::default(); scales],
                    mins: vec![Halves::default(); if parts.min { scales } else { 0 }],
                    bytes: vec![
                        [Bytes::default(); 2];
                        if parts.supers { panels * groups } else { 0 }
                    ],
                })
            }
            (Format::F32, None) => Store::Floats(vec![Floats::default(); panels * cols]),
            (_, None) => Store::Halves(vec![Halves::default(); panels * cols]),
        };
        Self { rows, cols, format, store }
    }

    fn put_block(&mut self, row: usize, group: usize, block: &Block) {
        let place = (row / ROWS) * self.groups() + group;
        self.put_codes(row, group, &block.codes);
        let Store::Codes(codes) = &mut self.store else { return };
        if let Some(scale) = codes.scales.get_mut(place) {
            put(&mut scale.0, row % ROWS, block.scale.to_bits());
        }
        if let Some(min) = codes.mins.get_mut(place) {
            put(&mut min.0, row % ROWS, block.min.to_bits());
        }
    }

    fn put_super(&mut self, row: usize, index: usize, block: &SuperBlock) {
        let (groups, supers, format) = (self.groups(), self.supers(), self.format);
        let (panel, lane) = (row / ROWS, row % ROWS);
        for (at, codes) in block.codes.as_chunks::<GROUP>().0.iter().enumerate() {
            let group = index * SUPER + at;
            if group >= groups {
                break;
            }
            self.put_codes(row, group, codes);
            let Store::Codes(store) = &mut self.store else { return };
            let byte = |at: usize| block.scales.get(at).map_or(0, |s| s.cast_unsigned());
            let fine = match format {
                Format::Q4K => [byte(at), block.mins.get(at).copied().unwrap_or_default()],
                _ => [byte(at * 2), byte(at * 2 + 1)],
            };
            if let Some([first, second]) = store.bytes.get_mut(panel * groups + group) {
                put(&mut first.0, lane, fine[0]);
                put(&mut second.0, lane, fine[1]);
            }
        }
        let Store::Codes(codes) = &mut self.store else { return };
        if let Some(scale) = codes.scales.get_mut(panel * supers + index) {
            put(&mut scale.0, lane, block.scale.to_bits());
        }
        if let Some(min) = codes.mins.get_mut(panel * supers + index) {
            put(&mut min.0, lane, block.min.to_bits());
        }
    }

    /// Writes a group's codes; what lies past the last input does not count.
    fn put_codes(&mut self, row: usize, group: usize, from: &[i8; GROUP]) {
        let (inside, format) = (self.cols.saturating_sub(group * GROUP), self.format);
        let place = (row / ROWS) * self.groups() + group;
        let Some(parts) = format.parts() else { return };
        let Store::Codes(store) = &mut self.store else { return };
        let lines = store.lines.iter_mut().skip(place * parts.lines).take(parts.lines);
        // Of each line, the four bytes of this row.
        let mut lines = lines.filter_map(|line| line.0.as_chunks_mut::<4>().0.get_mut(row % ROWS));
        let mut codes = from.map(i8::cast_unsigned);
        codes.iter_mut().skip(inside).for_each(|code| *code = 0);
        if format == Format::Q6K {
            codes = codes.map(|code| code.wrapping_add(32));
        }
        let (fours, _) = codes.as_chunks::<4>();
        if format == Format::Q8 {
            lines.zip(fours).for_each(|(line, four)| *line = four.map(|code| code ^ 0x80));
            return;
        }
        let (low, high) = fours.split_at(fours.len() / 2);
        for ((low, high), line) in low.iter().zip(high).zip(&mut lines) {
            for ((byte, low), high) in line.iter_mut().zip(low).zip(high) {
                *byte = (low & 15) | (high << 4);
            }
        }
        if format == Format::Q6K {
            for (half, line) in [low, high].into_iter().zip(lines) {
                *line = [0; 4];
                for (quad, four) in half.iter().enumerate() {
                    for (byte, code) in line.iter_mut().zip(four) {
                        *byte |= ((code >> 4) & 3) << (2 * quad);
                    }
                }
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

/// Up to 256 values as codes. Plain rounding: files come with better ones.
fn quantise_super(format: Format, values: &[f32]) -> SuperBlock {
    let mut block = SuperBlock {
        codes: [0; 256],
        scales: [0; 16],
        mins: [0; 8],
        scale: f16::ZERO,
        min: f16::ZERO,
    };
    let (size, steps) = if format == Format::Q4K { (32, 15.0) } else { (16, 31.0) };
    // What a step of each sub-block should be, and where it should begin.
    let mut wanted = [(0.0f32, 0.0f32); 16];
    for (wanted, values) in wanted.iter_mut().zip(values.chunks(size)) {
        let least = values.iter().copied().fold(0.0, f32::min);
        let most = values.iter().copied().fold(0.0, f32::max);
        *wanted = match format {
            Format::Q4K => ((most - least) / steps, -least),
            _ => (most.max(-least) / steps, 0.0),
        };
    }
    let top = |of: fn(&(f32, f32)) -> f32| wanted.iter().map(of).fold(0.0, f32::max);
    let most = if format == Format::Q4K { 63.0 } else { 127.0 };
    block.scale = f16::from_f32(top(|w| w.0) / most);
    block.min = f16::from_f32(top(|w| w.1) / most);
    let ratio = |value: f32, by: f32| if by > 0.0 { value / by } else { 0.0 };
    let (scale, min) = (block.scale.to_f32(), block.min.to_f32());
    let chunks = values.chunks(size).zip(block.codes.chunks_mut(size));
    for (index, ((values, codes), wanted)) in chunks.zip(wanted).enumerate() {
        let fine = whole(ratio(wanted.0, scale), 0.0, most);
        let fine_min = whole(ratio(wanted.1, min), 0.0, most);
        put(&mut block.scales, index, fine);
        put(&mut block.mins, index, fine_min.cast_unsigned());
        let (step, begin) = (scale * f32::from(fine), min * f32::from(fine_min));
        for (code, value) in codes.iter_mut().zip(values) {
            *code = match format {
                Format::Q4K => whole(ratio(value + begin, step), 0.0, 15.0),
                _ => whole(ratio(*value, step), -32.0, 31.0),
            };
        }
    }
    block
}
