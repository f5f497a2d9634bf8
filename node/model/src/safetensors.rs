//! Safetensors: one file or several, with Hugging Face's names.

use std::collections::BTreeMap;

use ::safetensors::{Dtype, SafeTensors};

use super::{
    LoadError,
    file_tensor::{FileTensor, Order},
    files::Files,
    gguf::Kind,
};

/// The tensors of all weight files. Tensors of whole numbers are skipped: older files have masks, which are
/// not needed. Floats of an unsupported width are an error.
pub(super) fn tensors(files: &Files) -> Result<BTreeMap<String, FileTensor>, LoadError> {
    let mut tensors = BTreeMap::new();
    for file in files.weights()? {
        add(files, &file, &mut tensors)?;
    }
    Ok(tensors)
}

/// The tensors of one file.
pub(super) fn add(
    files: &Files,
    file: &str,
    tensors: &mut BTreeMap<String, FileTensor>,
) -> Result<(), LoadError> {
    let bytes = files.bytes(file)?;
    // `deserialize` checks that all tensors are within the file, `read_metadata` gives their positions.
    SafeTensors::deserialize(&bytes).map_err(|error| fault(files, file, error.to_string()))?;
    let (header, metadata) = SafeTensors::read_metadata(&bytes)
        .map_err(|error| fault(files, file, error.to_string()))?;
    for (name, info) in metadata.tensors() {
        let kind = match info.dtype {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::BF16,
            Dtype::I64 | Dtype::I32 | Dtype::BOOL => continue,
            dtype => {
                let why = format!("{name} is {dtype:?}: f32, f16 and bf16 are read");
                return Err(fault(files, file, why));
            }
        };
        // Eight bytes before the header hold its length.
        let (from, to) = (info.data_offsets.0 + header + 8, info.data_offsets.1 + header + 8);
        let tensor = FileTensor {
            bytes: bytes.clone(),
            shape: info.shape.clone(),
            kind,
            place: from..to,
            order: Order::Same,
            offset: 0.0,
        };
        if tensors.insert(name.clone(), tensor).is_some() {
            return Err(fault(files, file, format!("{name} is in two files")));
        }
    }
    Ok(())
}

fn fault(files: &Files, file: &str, why: String) -> LoadError {
    LoadError::Weights { place: files.place(), file: file.to_owned(), why }
}
