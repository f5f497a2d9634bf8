//! Weights, packed once for the products: panels of sixteen rows, interleaved so that four inputs of
//! all sixteen are one cache line.

mod pack;

use half::f16;

pub use pack::Block;

use crate::simd::{Floats, Halves, Line};

/// Rows of a panel.
pub(crate) const ROWS: usize = 16;
/// Inputs that share a scale.
pub(crate) const GROUP: usize = 32;

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
    /// For each group of a panel: 8 lines (Q8, codes + 128) or 4 lines (Q4: line `i` holds inputs
    /// `4 i..` in the low nibbles, `16 + 4 i..` in the high ones), and its sixteen scales.
    Codes {
        lines: Vec<Line>,
        scales: Vec<Halves>,
        mins: Vec<Halves>,
    },
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
            Store::Codes { lines, scales, mins } => {
                size_of_val(lines.as_slice())
                    + size_of_val(scales.as_slice())
                    + size_of_val(mins.as_slice())
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
            Store::Codes { lines, scales, mins } => {
                let len = out.len().min(self.cols);
                let out = out.get_mut(..len).unwrap_or_default();
                for (group, out) in out.chunks_mut(GROUP).enumerate() {
                    let group = panel * self.groups() + group;
                    let scale = scales.get(group).map_or(0.0, |s| wide(at(&s.0, lane)));
                    let min = mins.get(group).map_or(0.0, |m| wide(at(&m.0, lane)));
                    for (input, out) in out.iter_mut().enumerate() {
                        let code = self.code(lines, group, lane, input);
                        *out = scale * f32::from(code) + min;
                    }
                }
            }
        }
    }

    /// The code of one weight, its offset taken off.
    fn code(&self, lines: &[Line], group: usize, lane: usize, input: usize) -> i16 {
        let byte =
            |line: usize| lines.get(line).map_or(0, |line| at(&line.0, lane * 4 + input % 4));
        if self.format == Format::Q8 {
            return i16::from(byte(group * 8 + input / 4)) - 128;
        }
        let both = byte(group * 4 + input / 4 % 4);
        let code = i16::from(if input < 16 { both & 15 } else { both >> 4 });
        if self.format == Format::Q4 { code - 8 } else { code }
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
