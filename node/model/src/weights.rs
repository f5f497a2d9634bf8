//! A model's tensors by the names that Hugging Face gives them, whatever file they come from.
//!
//! Files are mapped, and a matrix is packed row by row straight from the map: no tensor exists whole
//! as floats, and pages that were read are given back, so that loading takes little more memory
//! than the packed weights.
//!
//! Conventions are those of Hugging Face's checkpoints, GGUF files are brought to them: shapes are
//! `[out, in]`, the halves of a head are rotated against each other (not neighbouring pairs), and
//! Gemma's norms hold what is added to 1.

mod names;
mod parallel;

use std::{collections::BTreeMap, ops::Range};

use shoal_kernel::{Format, Matrix};

#[cfg(test)]
pub(crate) use names::tensors as tensors_of;
pub use parallel::in_parallel;

use super::{
    LoadError,
    files::Files,
    lora::{Adapter, WithAdapter},
    safetensors,
    stored::Stored,
    tensors::{Quant, Tensors},
};

/// The tensors of a model's files.
#[derive(Debug)]
pub struct Weights {
    place: String,
    tensors: BTreeMap<String, Stored>,
}

impl Weights {
    /// Maps the files and reads their tables; the weights themselves stay where they are.
    ///
    /// # Errors
    /// When a file cannot be read, is cut off or corrupt, or keeps weights as nobody reads them.
    pub fn open(files: &Files) -> Result<Self, LoadError> {
        let tensors = match files.gguf() {
            Some(gguf) => names::tensors(gguf)?,
            None => safetensors::tensors(files)?,
        };
        Ok(Self { place: files.place(), tensors })
    }

    /// The tensors with adapters merged into them, one after another: folders in PEFT's layout.
    ///
    /// # Errors
    /// When an adapter does not read or does not fit.
    pub fn with_adapters(self, adapters: &[Files]) -> Result<Box<dyn Tensors>, LoadError> {
        let mut tensors: Box<dyn Tensors> = Box::new(self);
        for files in adapters {
            tensors = Box::new(WithAdapter::new(tensors, Adapter::open(files)?)?);
        }
        Ok(tensors)
    }

    fn stored(&self, name: &str) -> Result<&Stored, LoadError> {
        self.tensors.get(name).ok_or_else(|| self.missing(name))
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
        self.tensors.get(name).map(|stored| stored.shape.clone())
    }

    fn format(&self, name: &str, quant: Quant) -> Result<Format, LoadError> {
        Ok(self.stored(name)?.format(quant))
    }

    fn row(&self, name: &str, row: usize, out: &mut [f32]) -> Result<(), LoadError> {
        let fault = |why| self.odd(name, why);
        self.stored(name)?.row(row, out).map_err(fault)
    }

    fn rows(&self, name: &str, rows: Range<usize>, quant: Quant) -> Result<Matrix, LoadError> {
        self.sized(name, &rows)?;
        self.stored(name)?.pack(rows, quant).map_err(|why| self.odd(name, why))
    }
}

#[cfg(test)]
mod tests;
