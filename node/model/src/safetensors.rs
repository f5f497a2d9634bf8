//! Safetensors: one file or several, with the names that Hugging Face gives.

use std::collections::BTreeMap;

use ::safetensors::{Dtype, SafeTensors};

use super::{
    LoadError,
    files::Files,
    gguf::Kind,
    stored::{Order, Stored},
};

/// The tensors of all files with weights. Those of types that are not read are left out unless they
/// are floats of another width: older files carry masks as whole numbers that nobody needs.
pub(super) fn tensors(files: &Files) -> Result<BTreeMap<String, Stored>, LoadError> {
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
    tensors: &mut BTreeMap<String, Stored>,
) -> Result<(), LoadError> {
    let refused =
        |why: String| LoadError::Weights { place: files.place(), file: file.to_owned(), why };
    let bytes = files.bytes(file)?;
    let invalid = |error: ::safetensors::SafeTensorError| refused(error.to_string());
    // The first checks that all tensors lie inside of the file, the second says where.
    SafeTensors::deserialize(&bytes).map_err(invalid)?;
    let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(invalid)?;
    for (name, info) in metadata.tensors() {
        let kind = match info.dtype {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::BF16,
            Dtype::I64 | Dtype::I32 | Dtype::BOOL => continue,
            other => {
                return Err(refused(format!("{name} is {other:?}: f32, f16 and bf16 are read")));
            }
        };
        // Eight bytes hold the header's length.
        let (from, to) = (info.data_offsets.0 + header + 8, info.data_offsets.1 + header + 8);
        let stored = Stored {
            bytes: bytes.clone(),
            shape: info.shape.clone(),
            kind,
            place: from..to,
            order: Order::Same,
            added: 0.0,
        };
        if tensors.insert(name.clone(), stored).is_some() {
            return Err(refused(format!("{name} is in two files")));
        }
    }
    Ok(())
}
