//! Weights, packed once for the products: panels of sixteen rows, interleaved so that four inputs of
//! all sixteen are one cache line.

mod pack;

use half::f16;

pub use pack::{Block, SuperBlock};

use crate::simd::{Bytes, Floats, Halves, Line};

/// Rows of a panel.
pub(crate) const ROWS: usize = 16;
/// Inputs that share a scale.
pub(crate) const GROUP: usize = 32;
/// Groups of a super-block, whose scales share a scale in turn.
pub(crate) const SUPER: usize = 8;

/// How a weight is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// 32 bits a weight, as it is.
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

/// What a format of codes needs for a group of a panel.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    /// Cache lines of codes.
    pub(crate) lines: usize,
    /// It has minimums.
    pub(crate) min: bool,
    /// Scales and minimums are of super-blocks, and groups have bytes.
    pub(crate) supers: bool,
}

impl Format {
    /// Nothing for formats of floats.
    pub(crate) fn parts(self) -> Option<Parts> {
        let (lines, min, supers) = match self {
            Self::F32 | Self::Bf16 | Self::F16 => return None,
            Self::Q8 => (8, false, false),
            Self::Q4 => (4, false, false),
            Self::Q4Min => (4, true, false),
            Self::Q4K => (4, true, true),
            Self::Q6K => (6, false, true),
        };
        Some(Parts { lines, min, supers })
    }
}

/// A matrix of `[rows (outputs), cols (inputs)]`, packed. Made by [`Matrix::pack`] or
/// [`Matrix::pack_blocks`], read by [`crate::linear`].
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
    /// Q8: 8 lines, line `i` holds inputs `4 i..`, 128 added. The others: 4 lines, line `i` holds
    /// inputs `4 i..` in the low nibbles, `16 + 4 i..` in the high ones. Q6K, whose codes have 32
    /// added: 2 more for bits 4 and 5; bits `2 i..` of the first are those of inputs `4 i..`, of the
    /// second those of `16 + 4 i..`.
    pub(crate) lines: Vec<Line>,
    /// Of a group, or of a super-block.
    pub(crate) scales: Vec<Halves>,
    pub(crate) mins: Vec<Halves>,
    /// Q4K: a group's scales and minimums. Q6K: scales of its first and second 16 inputs.
    pub(crate) bytes: Vec<[Bytes; 2]>,
}

impl Matrix {
    /// Outputs.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Inputs.
    pub fn cols(&self) -> usize {
        self.cols
    }

    /// How its weights are kept.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What it takes in memory, and what a product has to read.
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

    /// Writes row `row` as floats: the embedding of a token. `out` is cut or left at its end where
    /// it is not `cols` long; a row that is not there is all zeros.
    pub fn row(&self, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        if row >= self.rows {
            return;
        }
        let (panel, lane) = (row / ROWS, row % ROWS);
        let first = panel * self.cols;
        match &self.store {
            Store::Floats(values) => {
                for (out, value) in out.iter_mut().zip(values.iter().skip(first).take(self.cols)) {
                    *out = at(&value.0, lane);
                }
            }
            Store::Halves(values) => {
                let wide = match self.format {
                    Format::Bf16 => |bits| half::bf16::from_bits(bits).to_f32(),
                    _ => |bits| f16::from_bits(bits).to_f32(),
                };
                for (out, value) in out.iter_mut().zip(values.iter().skip(first).take(self.cols)) {
                    *out = wide(at(&value.0, lane));
                }
            }
            Store::Codes(codes) => {
                let len = out.len().min(self.cols);
                let out = out.get_mut(..len).unwrap_or_default();
                for (group, out) in out.chunks_mut(GROUP).enumerate() {
                    let values = self.group(codes, panel, group, lane);
                    out.copy_from_slice(values.get(..out.len()).unwrap_or_default());
                }
            }
        }
    }

    /// 32 weights of a row.
    fn group(&self, codes: &Codes, panel: usize, group: usize, lane: usize) -> [f32; GROUP] {
        let mut out = [0.0; GROUP];
        let Some(parts) = self.format.parts() else { return out };
        let place = panel * self.groups() + group;
        let coarse = if parts.supers { panel * self.supers() + group / SUPER } else { place };
        let half = |from: &[Halves]| from.get(coarse).map_or(0.0, |h| wide(at(&h.0, lane)));
        let (scale, min) = (half(&codes.scales), half(&codes.mins));
        let bytes =
            codes.bytes.get(place).map_or([0; 2], |b| [at(&b[0].0, lane), at(&b[1].0, lane)]);
        for (input, out) in out.iter_mut().enumerate() {
            let code = f32::from(self.code(&codes.lines, place * parts.lines, lane, input));
            *out = match self.format {
                Format::Q4K => scale * f32::from(bytes[0]) * code - min * f32::from(bytes[1]),
                Format::Q6K => scale * f32::from(bytes[input / 16].cast_signed()) * code,
                _ => scale * code + min,
            };
        }
        out
    }

    /// The code of one weight of the group that begins at line `first`, its offset taken off.
    fn code(&self, lines: &[Line], first: usize, lane: usize, input: usize) -> i16 {
        let byte = |line: usize| {
            i16::from(lines.get(first + line).map_or(0, |l| at(&l.0, lane * 4 + input % 4)))
        };
        if self.format == Format::Q8 {
            return byte(input / 4) - 128;
        }
        let quad = input / 4 % 4;
        let low = if input < 16 { byte(quad) & 15 } else { byte(quad) >> 4 };
        match self.format {
            Format::Q4 => low - 8,
            Format::Q6K => (low | ((byte(4 + input / 16) >> (2 * quad)) & 3) << 4) - 32,
            _ => low,
        }
    }
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix {:?} {} x {}", self.format, self.rows, self.cols)
    }
}

fn wide(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// The element, or nothing's value: callers stay inside.
fn at<T: Copy + Default>(values: &[T], index: usize) -> T {
    values.get(index).copied().unwrap_or_default()
}
