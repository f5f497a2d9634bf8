//! Weights, packed once for the products: panels of sixteen rows, interleaved so that four inputs of
//! all sixteen rows are one cache line.
#![expect(clippy::indexing_slicing, reason = "positions follow from the matrix's own shape")]

mod pack;

use half::{bf16, f16};

pub use pack::{Block, SuperBlock};

use crate::{
    error::Error,
    simd::{Bytes, Floats, Halves, Line},
};

/// Rows of a panel.
pub(crate) const ROWS: usize = 16;
/// Inputs that share a scale.
pub(crate) const GROUP: usize = 32;
/// Groups of a super-block. Their scales share a scale in turn.
pub(crate) const SUPER: usize = 8;

/// How a weight is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32 bits a weight, without rounding.
    F32,
    /// 16 bits a weight, rounded to bfloat16.
    Bf16,
    /// 16 bits a weight, rounded to half precision.
    F16,
    /// 8.5 bits a weight: `scale * q`, q of -128..=127, one f16 scale for 32 inputs (GGUF's Q8_0).
    Q8,
    /// 4.5 bits a weight: `scale * (q - 8)`, q of 0..=15, one f16 scale for 32 inputs (Q4_0).
    Q4,
    /// 5 bits a weight: `scale * q + min`, q of 0..=15, f16 scale and minimum for 32 inputs (Q4_1).
    Q4Min,
    /// 4.6 bits a weight: `scale * s * q - min * m`, q of 0..=15, one f16 scale and minimum for 256
    /// inputs, bytes s and m for each 32 of them (Q4_K).
    Q4K,
    /// 6.6 bits a weight: `scale * s * q`, q of -32..=31, one f16 scale for 256 inputs, a byte s for
    /// each 16 of them (Q6_K).
    Q6K,
}

/// What a format of codes stores for each group of a panel.
#[derive(Clone, Copy)]
pub(crate) struct GroupLayout {
    /// Cache lines of codes.
    pub(crate) lines: usize,
    /// Whether there are minimums.
    pub(crate) has_mins: bool,
    /// Whether scales and minimums belong to super-blocks, and groups have bytes.
    pub(crate) has_supers: bool,
}

impl Format {
    /// The layout of a group; `None` for formats of floats.
    pub(crate) fn group_layout(self) -> Option<GroupLayout> {
        let (lines, has_mins, has_supers) = match self {
            Self::F32 | Self::Bf16 | Self::F16 => return None,
            Self::Q8 => (8, false, false),
            Self::Q4 => (4, false, false),
            Self::Q4Min => (4, true, false),
            Self::Q4K => (4, true, true),
            Self::Q6K => (6, false, true),
        };
        Some(GroupLayout { lines, has_mins, has_supers })
    }
}

/// A packed matrix of `[rows (outputs), cols (inputs)]`. [`Matrix::pack`], [`Matrix::pack_blocks`]
/// and [`Matrix::pack_supers`] make it, [`crate::linear`] reads it.
pub struct Matrix {
    rows: usize,
    cols: usize,
    format: Format,
    pub(crate) store: Store,
}

/// The panels one after another. Rows and inputs past the end are zeros.
pub(crate) enum Store {
    /// For each input of a panel: its sixteen rows.
    Floats(Vec<Floats>),
    Halves(Vec<Halves>),
    Codes(Codes),
}

/// Codes and scales, group after group of each panel.
#[derive(Default)]
pub(crate) struct Codes {
    /// Q8: 8 lines; line `i` holds inputs `4 i..`, with 128 added. The other formats: 4 lines; line `i`
    /// holds inputs `4 i..` in the low nibbles and `16 + 4 i..` in the high nibbles. Q6K, whose codes
    /// have 32 added: 2 more lines for bits 4 and 5; bits `2 i..` of the first line belong to inputs
    /// `4 i..`, those of the second to `16 + 4 i..`.
    pub(crate) lines: Vec<Line>,
    /// Of a group, or of a super-block.
    pub(crate) scales: Vec<Halves>,
    /// As `scales`; empty for formats without minimums.
    pub(crate) mins: Vec<Halves>,
    /// Q4K: a group's scales and minimums. Q6K: scales of its first and second 16 inputs.
    pub(crate) bytes: Vec<[Bytes; 2]>,
}

impl Matrix {
    /// The number of outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How its weights are stored.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Its size in memory in bytes, which is what a product has to read.
    pub fn bytes(&self) -> usize {
        match &self.store {
            Store::Floats(values) => size_of_val(values.as_slice()),
            Store::Halves(values) => size_of_val(values.as_slice()),
            Store::Codes(codes) => {
                size_of_val(codes.lines.as_slice())
                    + size_of_val(codes.scales.as_slice())
                    + size_of_val(codes.mins.as_slice())
                    + size_of_val(codes.bytes.as_slice())
            }
        }
    }

    /// Panels of sixteen rows.
    pub(crate) fn panels(&self) -> usize {
        self.rows.div_ceil(ROWS)
    }

    /// Groups of 32 inputs.
    pub(crate) fn groups(&self) -> usize {
        self.cols.div_ceil(GROUP)
    }

    /// Super-blocks of 256 inputs.
    pub(crate) fn supers(&self) -> usize {
        self.groups().div_ceil(SUPER)
    }

    /// Writes row `row` as floats: the embedding of a token. A shorter `out` gets the row's beginning,
    /// a longer one zeros after its end.
    ///
    /// # Errors
    /// When there is no such row.
    pub fn row(&self, row: usize, out: &mut [f32]) -> Result<(), Error> {
        if row >= self.rows {
            let requirement = "below the number of rows";
            return Err(Error::Range { argument: "row", value: row, requirement });
        }
        self.write_row(row, out);
        Ok(())
    }

    /// All rows as floats.
    pub fn unpack(&self) -> Vec<f32> {
        let mut floats = vec![0.0; self.rows * self.cols];
        for (row, out) in floats.chunks_exact_mut(self.cols.max(1)).enumerate() {
            self.write_row(row, out);
        }
        floats
    }

    /// As [`Self::row`], for a row that exists.
    fn write_row(&self, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        let (panel, lane) = (row / ROWS, row % ROWS);
        let inputs = panel * self.cols..(panel + 1) * self.cols;
        match &self.store {
            Store::Floats(values) => {
                for (out, value) in out.iter_mut().zip(&values[inputs]) {
                    *out = value.0[lane];
                }
            }
            Store::Halves(values) => {
                for (out, value) in out.iter_mut().zip(&values[inputs]) {
                    *out = match self.format {
                        Format::Bf16 => bf16::from_bits(value.0[lane]).to_f32(),
                        _ => f16::from_bits(value.0[lane]).to_f32(),
                    };
                }
            }
            Store::Codes(codes) => {
                let len = out.len().min(self.cols);
                for (group, out) in out[..len].chunks_mut(GROUP).enumerate() {
                    let values = self.group(codes, panel, group, lane);
                    out.copy_from_slice(&values[..out.len()]);
                }
            }
        }
    }

    /// 32 weights of a row.
    fn group(&self, codes: &Codes, panel: usize, group: usize, lane: usize) -> [f32; GROUP] {
        let mut out = [0.0; GROUP];
        // Formats of floats have no groups; `write_row` does not ask for one.
        let Some(layout) = self.format.group_layout() else { return out };
        let index = panel * self.groups() + group;
        let scale_index =
            if layout.has_supers { panel * self.supers() + group / SUPER } else { index };
        let scale = f16::from_bits(codes.scales[scale_index].0[lane]).to_f32();
        let min = if layout.has_mins {
            f16::from_bits(codes.mins[scale_index].0[lane]).to_f32()
        } else {
            0.0
        };
        let bytes =
            if layout.has_supers { codes.bytes[index].map(|bytes| bytes.0[lane]) } else { [0; 2] };
        let lines = &codes.lines[index * layout.lines..][..layout.lines];
        for (input, out) in out.iter_mut().enumerate() {
            let code = f32::from(self.code(lines, lane, input));
            *out = match self.format {
                Format::Q4K => scale * f32::from(bytes[0]) * code - min * f32::from(bytes[1]),
                Format::Q6K => scale * f32::from(bytes[input / 16].cast_signed()) * code,
                _ => scale * code + min,
            };
        }
        out
    }

    /// The code of one weight of the group that these lines hold, without its offset.
    fn code(&self, lines: &[Line], lane: usize, input: usize) -> i16 {
        let column = lane * 4 + input % 4;
        if self.format == Format::Q8 {
            return i16::from(lines[input / 4].0[column]) - 128;
        }
        let quad = input / 4 % 4;
        let nibbles = i16::from(lines[quad].0[column]);
        let low = if input < 16 { nibbles & 15 } else { nibbles >> 4 };
        match self.format {
            Format::Q4 => low - 8,
            Format::Q6K => {
                let high = i16::from(lines[4 + input / 16].0[column]);
                (low | ((high >> (2 * quad)) & 3) << 4) - 32
            }
            _ => low,
        }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix {:?} {} x {}", self.format, self.rows, self.cols)
    }
}
