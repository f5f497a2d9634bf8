//! A model's tensors under Hugging Face's names, whatever file they come from.
//!
//! Files are mapped, and a matrix is packed row by row straight from the map. No tensor exists as a whole
//! in floats, and pages are freed once they are read, so loading takes little more memory than the packed
//! weights.
//!
//! The conventions are those of Hugging Face's checkpoints, and GGUF files are converted to them: shapes
//! are `[out, in]`, the two halves of a head are rotated in pairs (not neighbouring rows), and Gemma's
//! norms hold the difference to 1.

mod names;
mod parallel;

use std::{collections::BTreeMap, ops::Range};

use shoal_kernel::{Format, Matrix};

#[cfg(test)]
pub(crate) use names::tensors as tensors_of;
pub use parallel::in_parallel;

use super::{
    LoadError,
    file_tensor::FileTensor,
    files::Files,
    lora::{Adapter, WithAdapter},
    safetensors,
    tensors::{Quant, Tensors},
};

/// The tensors of a model's files.
#[derive(Debug)]
pub struct Weights {
    place: String,
    tensors: BTreeMap<String, FileTensor>,
}

impl Weights {
    /// Maps the files and reads their tables; the weights stay in the files.
    ///
    /// # Errors
    /// When a file cannot be read, is corrupt, or has weights of an unsupported kind.
    pub fn open(files: &Files) -> Result<Self, LoadError> {
        let tensors = match files.gguf() {
            Some(gguf) => names::tensors(gguf)?,
            None => safetensors::tensors(files)?,
        };
        Ok(Self { place: files.place(), tensors })
    }

    /// The tensors with adapters merged into them, in order. Each adapter is a folder in PEFT's layout.
    ///
    /// # Errors
    /// When an adapter cannot be read or does not fit the model.
    pub fn with_adapters(self, adapters: &[Files]) -> Result<Box<dyn Tensors>, LoadError> {
        let mut tensors: Box<dyn Tensors> = Box::new(self);
        for files in adapters {
            tensors = Box::new(WithAdapter::new(tensors, Adapter::open(files)?)?);
        }
        Ok(tensors)
    }

    fn tensor(&self, name: &str) -> Result<&FileTensor, LoadError> {
        self.tensors.get(name).ok_or_else(|| self.no_tensor(name))
    }
}

impl Tensors for Weights {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn names(&self) -> Vec<String> {
        self.tensors.keys().cloned().collect()
    }

    fn shape(&self, name: &str) -> Option<Vec<usize>> {
        self.tensors.get(name).map(|tensor| tensor.shape.clone())
    }

    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError> {
        Ok(self.tensor(name)?.format(quant))
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        self.tensor(name)?.row(row, out).map_err(|why| self.fault(name, why))
    }

    fn rows(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        self.shape_with_rows(name, &rows)?;
        self.tensor(name)?.pack(rows, quant).map_err(|why| self.fault(name, why))
    }
}

#[cfg(test)]
mod tests;
