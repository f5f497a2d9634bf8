//! The tensors of a model as what packs them sees them: by name, whatever holds them.

use std::{fmt, ops::Range, str::FromStr};

use shoal_kernel::{Format, Matrix};

use super::LoadError;

/// Bits that a weight may take in memory: `--quant`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Quant {
    /// What the file has: floats as they are, blocks without loss where a packed format exists
    /// (Q8_0, Q6_K, Q5_0, Q4_0, Q4_1, Q4_K), and rounded to 8 bits where none does (Q5_1, Q5_K,
    /// Q3_K, Q2_K).
    #[default]
    AsIs,
    /// Floats everywhere: blocks are widened to f32. To measure what blocks cost, not to serve.
    None,
    /// At most 8.5 bits: floats become Q8, blocks are as in [`Self::AsIs`].
    Q8,
    /// At most 5 bits: blocks of four bits are as in [`Self::AsIs`], all else becomes Q4.
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
        let all = [Self::AsIs, Self::None, Self::Q8, Self::Q4];
        let found = all.into_iter().find(|quant| quant.to_string() == text);
        found.ok_or_else(|| format!("no quantisation {text:?}: there are as-is, none, q8, q4"))
    }
}

/// The tensors of a model. Names are Hugging Face's: `model.layers.0.self_attn.q_proj.weight`.
pub trait Tensors: fmt::Debug + Send + Sync {
    /// Where they are, to name it in a message.
    fn place(&self) -> String;

    /// The names of all of them, in order.
    fn names(&self) -> Vec<String>;

    /// `[out, in]`; `None` when there is no such tensor.
    fn shape(&self, name: &str) -> Option<Vec<usize>>;

    /// How [`Self::matrix`] packs a tensor.
    ///
    /// # Errors
    /// When there is no such tensor.
    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError>;

    /// Writes row `row` of a matrix (or all of a vector, its row 0) as floats; `out` is as long as
    /// the row.
    ///
    /// # Errors
    /// When there is no such tensor or row, or `out` is of another length.
    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError>;

    /// Some rows of a matrix, packed: of a fused tensor (Phi-3's `qkv_proj`, `gate_up_proj`).
    ///
    /// # Errors
    /// When there is no such tensor, it is no matrix, or has no such rows.
    fn rows(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        self.pack(name, rows, quant)
    }

    /// [`Self::rows`] by way of floats, whatever the file holds.
    ///
    /// # Errors
    /// As above.
    fn pack(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        let [_, cols] = self.sized(name, &rows)?;
        let format = self.format(name, quant)?;
        Matrix::pack(format, rows.len(), cols, |row, out| self.row(name, rows.start + row, out))
    }

    /// A whole matrix, packed.
    ///
    /// # Errors
    /// When there is no such tensor, or it is no matrix.
    fn matrix(&self, name: &str, quant: Quant) -> Result<Matrix, LoadError> {
        let [rows, _] = self.sized(name, &(0..0))?;
        self.rows(name, 0..rows, quant)
    }

    /// A vector: a norm's weights or a bias.
    ///
    /// # Errors
    /// When there is no such tensor, or it is no vector.
    fn floats(&self, name: &str) -> Result<Vec<f32>, LoadError> {
        match self.shape(name).as_deref() {
            Some([len]) => {
                let mut floats = vec![0.0; *len];
                self.row(name, 0, &mut floats)?;
                Ok(floats)
            }
            Some(found) => Err(self.odd(name, format!("is {found:?}, not a vector"))),
            None => Err(self.missing(name)),
        }
    }

    /// The shape of a matrix that has these rows.
    ///
    /// # Errors
    /// When there is no such tensor, it is no matrix, or has no such rows.
    fn sized(&self, name: &str, rows: &Range<usize>) -> Result<[usize; 2], LoadError> {
        match self.shape(name).as_deref() {
            Some([all, cols]) if rows.start <= rows.end && rows.end <= *all => Ok([*all, *cols]),
            Some([all, _]) => Err(self.odd(name, format!("has {all} rows, not {rows:?}"))),
            Some(found) => Err(self.odd(name, format!("is {found:?}, not a matrix"))),
            None => Err(self.missing(name)),
        }
    }

    /// The error for a tensor that is not there.
    fn missing(&self, name: &str) -> LoadError {
        LoadError::NoTensor { place: self.place(), tensor: name.to_owned() }
    }

    /// The error for a tensor that is not as it should be.
    fn odd(&self, name: &str, why: String) -> LoadError {
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
