//! Opens a model's files as a decoder on a device.

use shoal_model::{Decode, Files, LoadError, Tensors};

use super::{DeviceKind, Settings, Shape, packed, tensors, weights::Weights};

/// The shape of a model, from its `config.json` or from its GGUF file.
///
/// # Errors
/// When there is no configuration, or the model does not run here.
pub(crate) fn shape_of(files: &Files, cap: Option<usize>) -> Result<Shape, LoadError> {
    Shape::read(&files.config()?, cap).map_err(|error| files.config_fault(error.to_string()))
}

/// Builds a decoder: packed on the CPU, of burn's own operations elsewhere.
///
/// # Errors
/// When a tensor is missing, has another shape than the configuration says, or is not used.
pub(crate) fn open(
    shape: Shape,
    source: &dyn Tensors,
    settings: Settings,
) -> Result<Box<dyn Decode>, LoadError> {
    let device = settings.device.device().map_err(|why| {
        let place = source.place();
        LoadError::InvalidFile { place, file: "--device", why }
    })?;
    let weights = Weights::read(&shape, source, settings.quant)?;
    Ok(if settings.device == DeviceKind::Cpu {
        Box::new(packed(shape, weights, settings))
    } else {
        Box::new(tensors(shape, &weights, &device))
    })
}
