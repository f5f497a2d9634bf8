//! Weights as Hugging Face keeps them, read into memory whole.

use std::{borrow::Cow, collections::HashMap, ops::Range};

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use shoal_kernel::{Format, Matrix};

use super::Source;
use crate::model::{LoadError, files::Files};

/// All tensors of a folder, packed as `format`.
#[derive(Debug)]
pub struct Folder {
    place: String,
    format: Format,
    files: Vec<Cow<'static, [u8]>>,
    /// File, type, shape, bytes within the file.
    tensors: HashMap<String, (usize, Dtype, Vec<usize>, Range<usize>)>,
}

impl Folder {
    /// # Errors
    /// When a file is no safetensors file.
    pub fn read(files: &Files, format: Format) -> Result<Self, LoadError> {
        Self::read_where(files, format, |_| true)
    }

    pub(super) fn read_where(
        files: &Files,
        format: Format,
        these: impl Fn(&str) -> bool,
    ) -> Result<Self, LoadError> {
        let mut folder =
            Self { place: files.place(), format, files: Vec::new(), tensors: HashMap::new() };
        for file in files.weights()?.into_iter().filter(|file| these(file)) {
            let bytes = files.read(&file)?.unwrap_or_default();
            let refused =
                |why: String| LoadError::Weights { place: files.place(), file: file.clone(), why };
            let parsed = SafeTensors::deserialize(&bytes).map_err(|e| refused(e.to_string()))?;
            for (name, view) in parsed.tensors() {
                let start = view.data().as_ptr().addr() - bytes.as_ptr().addr();
                let range = start..start + view.data().len();
                let at = (folder.files.len(), view.dtype(), view.shape().to_vec(), range);
                folder.tensors.insert(name, at);
            }
            folder.files.push(bytes);
        }
        Ok(folder)
    }

    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (place, tensor) = (self.place.clone(), name.to_owned());
        let Some((file, dtype, found, range)) = self.tensors.get(name) else {
            return Err(LoadError::NoTensor { place, tensor });
        };
        if found != shape {
            let (found, expected) = (found.clone(), shape.to_vec());
            return Err(LoadError::Shape { place, tensor, found, expected });
        }
        let bytes = self.files.get(*file).and_then(|bytes| bytes.get(range.clone()));
        let bytes = bytes.unwrap_or_default();
        let pairs = || bytes.as_chunks::<2>().0.iter().copied();
        Ok(match dtype {
            Dtype::F16 => pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect(),
            Dtype::BF16 => pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect(),
            _ => bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect(),
        })
    }
}

impl Source for Folder {
    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn matrix(
        &self,
        name: &str,
        shape: [usize; 2],
        rows: Option<Range<usize>>,
    ) -> Result<Matrix, LoadError> {
        let [all, columns] = shape;
        let values = self.values(name, &shape)?;
        let rows = rows.unwrap_or(0..all);
        Matrix::pack(self.format, rows.len(), columns, |row, out| {
            let from = (rows.start + row) * columns;
            out.copy_from_slice(values.get(from..from + columns).unwrap_or_default());
            Ok(())
        })
    }

    fn floats(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        self.values(name, &[len])
    }

    fn norms_count_from_one(&self) -> bool {
        false
    }
}
