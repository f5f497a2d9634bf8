//! A model's files become a decoder on a device.

use shoal_model::{Decode, Files, LoadError, Tensors};

use super::{DeviceKind, Settings, Shape, packed, tensors, weights::Weights};

/// The shape of a model: of its `config.json`, or of what its GGUF file says.
///
/// # Errors
/// When there is no configuration, or it is none that runs here.
pub(crate) fn shape_of(files: &Files, cap: Option<usize>) -> Result<Shape, LoadError> {
    Shape::read(&files.config()?, cap).map_err(|error| files.config_fault(error.to_string()))
}

/// Builds a decoder: packed on the CPU, of burn's own operations elsewhere.
///
/// # Errors
/// When a tensor is missing, of another shape than the configuration says, or of no use to it.
pub(crate) fn open(
    shape: Shape,
    source: &dyn Tensors,
    settings: Settings,
) -> Result<Box<dyn Decode>, LoadError> {
    let place = source.place();
    let no_device = |why| LoadError::Words { place, file: "--device", why };
    let device = settings.device.device().map_err(no_device)?;
    let weights = Weights::read(&shape, source, settings.quant)?;
    Ok(if settings.device == DeviceKind::Cpu {
        Box::new(packed(shape, weights, settings))
    } else {
        Box::new(tensors(shape, &weights, &device))
    })
}
