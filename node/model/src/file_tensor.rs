//! A tensor in a mapped file, and how it is packed.

use std::ops::Range;

use shoal_kernel::{Format, Matrix};

use super::{
    bytes::Bytes,
    gguf::{Fault, Kind},
    tensors::Quant,
};

/// The position of a tensor in its file, and how the file's layout differs from Hugging Face's.
#[derive(Clone, Debug)]
pub(crate) struct FileTensor {
    pub(crate) bytes: Bytes,
    /// `[out, in]`.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// In bytes from the start of `bytes`.
    pub(crate) place: Range<usize>,
    pub(crate) order: Order,
    /// A constant that the file's converter added to each weight.
    pub(crate) offset: f32,
}

/// The order of a tensor's rows in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Same,
    /// llama.cpp rotates neighbouring rows of each head of `dim` rows in pairs, Hugging Face pairs the two
    /// halves of a head: row `half * dim / 2 + i` is the file's row `2 * i + half`.
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

/// The blocks in which a packed format holds a file's integers unchanged.
enum CodeBlocks {
    /// None: the weights become floats and are rounded again.
    Floats,
    /// Blocks of 32.
    Blocks,
    /// Blocks of 256.
    Supers,
}

/// Bytes that are read before their pages are freed: few calls, and little memory.
const LAG: usize = 1 << 20;

impl FileTensor {
    /// The format in which it is packed.
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

    /// Packs rows of a matrix, which must exist.
    pub(crate) fn pack(&self, rows: Range<usize>, quant: Quant) -> Result<Matrix, Fault> {
        let format = self.format(quant);
        let cols = self.cols();
        let mut pages = PageRelease { tensor: self, read: 0, free_end: 0 };
        let mut row_bytes = |row: usize| {
            pages.read(rows.start + row);
            self.row_bytes(rows.start + row)
        };
        let matrix = match self.code_blocks(format) {
            CodeBlocks::Blocks => Matrix::pack_blocks(format, rows.len(), cols, |row, index| {
                self.kind.block(row_bytes(row)?, index).ok_or_else(|| no_block(row, index))
            })?,
            CodeBlocks::Supers => Matrix::pack_supers(format, rows.len(), cols, |row, index| {
                self.kind.super_block(row_bytes(row)?, index).ok_or_else(|| no_block(row, index))
            })?,
            CodeBlocks::Floats => Matrix::pack(format, rows.len(), cols, |row, out| {
                pages.read(rows.start + row);
                self.row(rows.start + row, out)
            })?,
        };
        let (start, end) = (self.row_place(rows.start).start, self.row_place(rows.end).start);
        // Frees the pages at its ends too: for hundreds of tensors these are many. A neighbour that is not
        // packed yet reads its part of them again.
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
        if self.offset != 0.0 {
            out.iter_mut().for_each(|weight| *weight -= self.offset);
        }
        Ok(())
    }

    /// A vector with one weight for each row of a matrix in another order.
    fn bias(&self, out: &mut [f32]) -> Result<(), Fault> {
        let mut in_file_order = vec![0.0; out.len()];
        let bytes = self.bytes.get(self.place.clone()).ok_or("is cut off")?;
        self.kind.widen(bytes, &mut in_file_order);
        for (row, out) in out.iter_mut().enumerate() {
            let weight = in_file_order.get(self.order.file_row(row)).copied();
            *out = weight.ok_or_else(|| format!("has no place {row}"))?;
        }
        Ok(())
    }

    /// Whether the packed format holds the file's integers unchanged, and in which blocks.
    fn code_blocks(&self, format: Format) -> CodeBlocks {
        match (self.kind, format) {
            _ if self.offset != 0.0 => CodeBlocks::Floats,
            (Kind::Q8_0 | Kind::Q5_0, Format::Q8)
            | (Kind::Q4_0, Format::Q4)
            | (Kind::Q4_1, Format::Q4Min) => CodeBlocks::Blocks,
            (Kind::Q4_K, Format::Q4K) | (Kind::Q6_K, Format::Q6K) => CodeBlocks::Supers,
            _ => CodeBlocks::Floats,
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

    /// The position of the file's row `row`.
    fn row_place(&self, row: usize) -> Range<usize> {
        let len = self.kind.row(self.cols());
        let start = self.place.start.saturating_add(row.saturating_mul(len));
        start..start.saturating_add(len)
    }
}

fn no_block(row: usize, index: usize) -> Fault {
    format!("has no block {index} in row {row}")
}

fn floats(quant: Quant, format: Format) -> Format {
    match quant {
        Quant::AsIs | Quant::None => format,
        Quant::Q8 => Format::Q8,
        Quant::Q4 => Format::Q4,
    }
}

/// Frees the pages of rows a while after they were read. Rows come in the file's order or nearly so.
struct PageRelease<'a> {
    tensor: &'a FileTensor,
    read: usize,
    free_end: usize,
}

impl PageRelease<'_> {
    fn read(&mut self, row: usize) {
        self.read = self.read.max(self.tensor.row_place(row).start);
        self.free_end = self.free_end.max(self.tensor.place.start);
        // The last rows stay, because more rows of the same head may follow.
        let end = self.read.saturating_sub(LAG);
        if end >= self.free_end.saturating_add(LAG) {
            self.tensor.bytes.forget(self.free_end..end);
            self.free_end = end;
        }
    }
}
