//! A tensor in a mapped file, and how it is packed.

use std::ops::Range;

use shoal_kernel::{Block, Format, Matrix};

use super::Quant;
use crate::model::{
    bytes::Bytes,
    gguf::{Fault, Group, Kind},
};

/// Where a tensor lies, and what its file does otherwise than Hugging Face.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) bytes: Bytes,
    /// `[out, in]`.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// From the first of `bytes`.
    pub(crate) place: Range<usize>,
    pub(crate) order: Order,
    /// What the file has added to each weight.
    pub(crate) added: f32,
}

/// Which of a file's rows is a row of the tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Same,
    /// llama.cpp rotates neighbouring rows of each head of `dim` rows against each other, Hugging
    /// Face those of its two halves: row `half * dim / 2 + i` is the file's row `2 * i + half`.
    Pairs {
        dim: usize,
    },
}

impl Order {
    fn file_row(self, row: usize) -> usize {
        match self {
            Self::Same => row,
            Self::Pairs { dim } => {
                let (head, within) = (row / dim, row % dim);
                let (half, i) = (within / (dim / 2), within % (dim / 2));
                head * dim + 2 * i + half
            }
        }
    }
}

/// Bytes that are read before their pages are given back: few calls, little memory.
const KEPT: usize = 8 << 20;

impl Stored {
    /// How it is packed.
    pub(super) fn format(&self, quant: Quant) -> Format {
        let blocks = match self.kind {
            Kind::F32 => return floats(quant, Format::F32),
            Kind::F16 => return floats(quant, Format::F16),
            Kind::BF16 => return floats(quant, Format::Bf16),
            Kind::Q4_0 => Format::Q4,
            Kind::Q4_1 | Kind::Q4_K => Format::Q4Min,
            _ => Format::Q8,
        };
        match quant {
            Quant::None => Format::F32,
            Quant::AsIs | Quant::Q8 => blocks,
            Quant::Q4 if blocks == Format::Q8 => Format::Q4,
            Quant::Q4 => blocks,
        }
    }

    /// Some of the rows of a matrix, which has them.
    pub(super) fn pack(&self, rows: Range<usize>, quant: Quant) -> Result<Matrix, Fault> {
        let format = self.format(quant);
        let cols = self.cols();
        let mut pages = Pages { stored: self, read: 0, given: 0 };
        let matrix = if self.packs_whole(format) {
            let block = |row: usize, index: usize| {
                let bytes = self.row_bytes(rows.start + row)?;
                if index == 0 {
                    pages.read(rows.start + row);
                }
                let group = self.kind.group(bytes, index);
                let Group { codes, scale, min } =
                    group.ok_or_else(|| format!("has no block {index} in row {row}"))?;
                Ok::<_, Fault>(Block { codes, scale, min })
            };
            Matrix::pack_blocks(format, rows.len(), cols, block)?
        } else {
            Matrix::pack(format, rows.len(), cols, |row, out| {
                pages.read(rows.start + row);
                self.row(rows.start + row, out)
            })?
        };
        self.bytes.forget(self.row_place(rows.start).start..self.row_place(rows.end).start);
        Ok(matrix)
    }

    /// Writes a row as floats.
    pub(super) fn row(&self, row: usize, out: &mut [f32]) -> Result<(), Fault> {
        let cols = self.cols();
        if out.len() != cols {
            return Err(format!("has rows of {cols}, not of {}", out.len()));
        }
        if self.shape.len() == 1 && self.order != Order::Same {
            self.bias(out)?;
        } else {
            self.kind.widen(self.row_bytes(row)?, out);
        }
        if self.added != 0.0 {
            out.iter_mut().for_each(|weight| *weight -= self.added);
        }
        Ok(())
    }

    /// A vector, one weight for each row of a matrix whose rows are in another order.
    fn bias(&self, out: &mut [f32]) -> Result<(), Fault> {
        let mut stored = vec![0.0; out.len()];
        self.kind.widen(self.bytes.get(self.place.clone()).unwrap_or_default(), &mut stored);
        for (row, out) in out.iter_mut().enumerate() {
            let found = stored.get(self.order.file_row(row)).copied();
            *out = found.ok_or_else(|| format!("has no place {row}"))?;
        }
        Ok(())
    }

    /// Whether the packed format holds the file's integers as they are.
    fn packs_whole(&self, format: Format) -> bool {
        let whole = matches!(
            (self.kind, format),
            (Kind::Q8_0 | Kind::Q5_0, Format::Q8)
                | (Kind::Q4_0, Format::Q4)
                | (Kind::Q4_1 | Kind::Q4_K, Format::Q4Min)
        );
        whole && self.added == 0.0
    }

    fn cols(&self) -> usize {
        self.shape.last().copied().unwrap_or_default()
    }

    fn row_bytes(&self, row: usize) -> Result<&[u8], Fault> {
        let place = self.row_place(self.order.file_row(row));
        let inside = place.end <= self.place.end;
        let bytes = self.bytes.get(place).filter(|_| inside);
        bytes.ok_or_else(|| format!("has no row {row}"))
    }

    /// Where the file's row `row` lies.
    fn row_place(&self, row: usize) -> Range<usize> {
        let len = self.kind.row(self.cols());
        let start = self.place.start.saturating_add(row.saturating_mul(len));
        start..start.saturating_add(len)
    }
}

fn floats(quant: Quant, kept: Format) -> Format {
    match quant {
        Quant::AsIs | Quant::None => kept,
        Quant::Q8 => Format::Q8,
        Quant::Q4 => Format::Q4,
    }
}

/// Gives the pages of rows back some rows later, in file order or nearly so.
struct Pages<'a> {
    stored: &'a Stored,
    read: usize,
    given: usize,
}

impl Pages<'_> {
    fn read(&mut self, row: usize) {
        self.read = self.read.max(self.stored.row_place(row).start);
        self.given = self.given.max(self.stored.place.start);
        // A head's rows may still be wanted: what was read last stays.
        let done = self.read.saturating_sub(KEPT);
        if done >= self.given.saturating_add(KEPT) {
            self.stored.bytes.forget(self.given..done);
            self.given = done;
        }
    }
}
