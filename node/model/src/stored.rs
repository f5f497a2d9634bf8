//! A tensor in a mapped file, and how it is packed.

use std::ops::Range;

use shoal_kernel::{Format, Matrix};

use super::{
    bytes::Bytes,
    gguf::{Fault, Kind},
    tensors::Quant,
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

/// How a packed format holds a file's integers.
enum Whole {
    /// Not at all: they become floats and are rounded anew.
    No,
    /// In blocks of 32.
    Blocks,
    /// In blocks of 256.
    Supers,
}

/// Bytes that are read before their pages are given back: few calls, little memory.
const KEPT: usize = 1 << 20;

impl Stored {
    /// How it is packed.
    pub(crate) fn format(&self, quant: Quant) -> Format {
        let blocks = match self.kind {
            Kind::F32 => return floats(quant, Format::F32),
            Kind::F16 => return floats(quant, Format::F16),
            Kind::BF16 => return floats(quant, Format::Bf16),
            Kind::Q4_0 => Format::Q4,
            Kind::Q4_1 => Format::Q4Min,
            Kind::Q4_K => Format::Q4K,
            Kind::Q6_K => Format::Q6K,
            _ => Format::Q8,
        };
        match quant {
            Quant::None => Format::F32,
            Quant::AsIs | Quant::Q8 => blocks,
            Quant::Q4 if matches!(blocks, Format::Q8 | Format::Q6K) => Format::Q4,
            Quant::Q4 => blocks,
        }
    }

    /// Some of the rows of a matrix, which has them.
    pub(crate) fn pack(&self, rows: Range<usize>, quant: Quant) -> Result<Matrix, Fault> {
        let format = self.format(quant);
        let cols = self.cols();
        let mut pages = Pages { stored: self, read: 0, given: 0 };
        let mut bytes = |row: usize| {
            pages.read(rows.start + row);
            self.row_bytes(rows.start + row)
        };
        let none = |row: usize, index: usize| format!("has no block {index} in row {row}");
        let matrix = match self.whole(format) {
            Whole::Blocks => Matrix::pack_blocks(format, rows.len(), cols, |row, index| {
                self.kind.block(bytes(row)?, index).ok_or_else(|| none(row, index))
            })?,
            Whole::Supers => Matrix::pack_supers(format, rows.len(), cols, |row, index| {
                self.kind.super_block(bytes(row)?, index).ok_or_else(|| none(row, index))
            })?,
            Whole::No => Matrix::pack(format, rows.len(), cols, |row, out| {
                pages.read(rows.start + row);
                self.row(rows.start + row, out)
            })?,
        };
        let (start, end) = (self.row_place(rows.start).start, self.row_place(rows.end).start);
        // The pages at its ends too: of hundreds of tensors they are many, and a neighbour that is
        // not packed yet reads its own again.
        self.bytes.forget(start.saturating_sub(Bytes::PAGE)..end.saturating_add(Bytes::PAGE));
        Ok(matrix)
    }

    /// Writes a row as floats.
    pub(crate) fn row(&self, row: usize, out: &mut [f32]) -> Result<(), Fault> {
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
        let bytes = self.bytes.get(self.place.clone()).ok_or("is cut off")?;
        self.kind.widen(bytes, &mut stored);
        for (row, out) in out.iter_mut().enumerate() {
            let found = stored.get(self.order.file_row(row)).copied();
            *out = found.ok_or_else(|| format!("has no place {row}"))?;
        }
        Ok(())
    }

    /// Whether the packed format holds the file's integers as they are.
    fn whole(&self, format: Format) -> Whole {
        match (self.kind, format) {
            _ if self.added != 0.0 => Whole::No,
            (Kind::Q8_0 | Kind::Q5_0, Format::Q8)
            | (Kind::Q4_0, Format::Q4)
            | (Kind::Q4_1, Format::Q4Min) => Whole::Blocks,
            (Kind::Q4_K, Format::Q4K) | (Kind::Q6_K, Format::Q6K) => Whole::Supers,
            _ => Whole::No,
        }
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
