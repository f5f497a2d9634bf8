//! The tensors of a model by name, whatever file holds them.

use std::{fmt, ops::Range, str::FromStr};

use shoal_kernel::{Format, Matrix};

use super::LoadError;

/// Most bits of a weight in memory: `--quant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quant {
    /// As in the file: floats unchanged, blocks without loss where a packed format exists (Q8_0, Q6_K,
    /// Q5_0, Q4_0, Q4_1, Q4_K), and otherwise rounded to 8 bits (Q5_1, Q5_K, Q3_K, Q2_K).
    #[default]
    AsIs,
    /// Floats everywhere: blocks become f32. For measuring the loss of blocks, not for serving.
    None,
    /// At most 8.5 bits: floats become Q8, blocks as in [`Self::AsIs`].
    Q8,
    /// At most 5 bits: blocks of four bits as in [`Self::AsIs`], everything else becomes Q4.
    Q4,
}

impl fmt::Display for Quant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsIs => "as-is",
            Self::None => "none",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
}

impl FromStr for Quant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::AsIs, Self::None, Self::Q8, Self::Q4]
            .into_iter()
            .find(|quant| quant.to_string() == text)
            .ok_or_else(|| format!("no quantisation {text:?}: there are as-is, none, q8, q4"))
    }
}

/// The tensors of a model. Names are Hugging Face's: `model.layers.0.self_attn.q_proj.weight`.
pub trait Tensors: fmt::Debug + Send + Sync {
    /// Their location, for messages.
    fn place(&self) -> String;

    /// The names of all tensors, in order.
    fn names(&self) -> Vec<String>;

    /// The shape, `[out, in]`; `None` when there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// The format in which [`Self::matrix`] packs a tensor.
    ///
    /// # Errors
    /// When there is no such tensor.
    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError>;

    /// Writes row `row` of a matrix, or a whole vector as its row 0, as floats; `out` has the row's
    /// length.
    ///
    /// # Errors
    /// When there is no such tensor or row, or `out` is of another length.
    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError>;

    /// Rows of a matrix, packed, for the parts of a fused tensor (Phi-3's `qkv_proj`, `gate_up_proj`).
    ///
    /// # Errors
    /// When there is no such tensor, it is not a matrix, or it has no such rows.
    fn rows(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        self.pack(name, rows, quant)
    }

    /// Like [`Self::rows`], but always through floats.
    ///
    /// # Errors
    /// As [`Self::rows`].
    fn pack(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        let [_, cols] = self.shape_with_rows(name, &rows)?;
        let format = self.format(name, quant)?;
        Matrix::pack(format, rows.len(), cols, |row, out| self.row(name, rows.start + row, out))
    }

    /// A whole matrix, packed.
    ///
    /// # Errors
    /// When there is no such tensor, or it is not a matrix.
    fn matrix(&self, name: &str, quant: Quant) -> Result<Matrix, LoadError> {
        let [rows, _] = self.shape_with_rows(name, &(0..0))?;
        self.rows(name, 0..rows, quant)
    }

    /// A vector: the weights of a norm, or a bias.
    ///
    /// # Errors
    /// When there is no such tensor, or it is not a vector.
    fn floats(&self, name: &str) -> Result<Vec<f32>, LoadError> {
        match self.shape(name).as_deref() {
            Some([len]) => {
                let mut floats = vec![0.0; *len];
                self.row(name, 0, &mut floats)?;
                Ok(floats)
            }
            Some(shape) => Err(self.fault(name, format!("is {shape:?}, not a vector"))),
            None => Err(self.no_tensor(name)),
        }
    }

    /// The shape of a matrix that has these rows.
    ///
    /// # Errors
    /// When there is no such tensor, it is not a matrix, or it has no such rows.
    fn shape_with_rows(&self, name: &str, rows: &Range<usize>) -> Result<[usize; 2], LoadError> {
        match self.shape(name).as_deref() {
            Some([count, cols]) if rows.start <= rows.end && rows.end <= *count => {
                Ok([*count, *cols])
            }
            Some([count, _]) => Err(self.fault(name, format!("has {count} rows, not {rows:?}"))),
            Some(shape) => Err(self.fault(name, format!("is {shape:?}, not a matrix"))),
            None => Err(self.no_tensor(name)),
        }
    }

    /// The error for a tensor that does not exist.
    fn no_tensor(&self, name: &str) -> LoadError {
        LoadError::NoTensor { place: self.place(), tensor: name.to_owned() }
    }

    /// The error for a tensor with a wrong shape or content.
    fn fault(&self, name: &str, why: String) -> LoadError {
        LoadError::Tensor { place: self.place(), tensor: name.to_owned(), why }
    }
}

impl<T: Tensors + ?Sized> Tensors for Box<T> {
    fn place(&self) -> String {
        (**self).place()
    }

    fn names(&self) -> Vec<String> {
        (**self).names()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        (**self).shape(name)
    }

    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError> {
        (**self).format(name, quant)
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        (**self).row(name, row, out)
    }

    fn rows(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        (**self).rows(name, rows, quant)
    }
}
