//! A model's files become a decoder on a device.

use std::{fmt, num::NonZero, str::FromStr, thread};

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "metal"))]
use burn::tensor::DeviceKind as Pick;
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "metal"))]
use burn::tensor::DeviceType;
use serde_json::Value;

use super::{Isa, KvFormat, Shape, packed, tensors, weights::Weights};
use shoal_model::{Decode, Files, LoadError, Quant, Tensors};

/// How a decoder is built.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How the weights are kept.
    pub quant: Quant,
    /// Where the arithmetic is done.
    pub device: DeviceKind,
    /// Positions that a sequence may have, if less than the model was made for.
    pub context: Option<usize>,
    /// How the CPU keeps keys and values.
    pub kv: KvFormat,
    /// Threads on the CPU, the caller's one of them.
    pub threads: usize,
    /// The CPU's instructions; the best that it has where `None`.
    pub isa: Option<Isa>,
}

impl Default for Settings {
    /// For serving, on all cores.
    fn default() -> Self {
        Self {
            quant: Quant::default(),
            device: DeviceKind::default(),
            context: None,
            kv: KvFormat::F16,
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            isa: None,
        }
    }
}

/// `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceKind {
    /// The processor: burn's Flex backend with packed weights.
    #[default]
    Cpu,
    /// Whichever graphics interface there is.
    Wgpu,
    Cuda,
    Metal,
}

impl DeviceKind {
    const ALL: [Self; 4] = [Self::Cpu, Self::Wgpu, Self::Cuda, Self::Metal];

    /// burn's device, where this build has its backend and this machine such a device: to ask burn
    /// for one that is not there would be a panic.
    pub(super) fn device(self) -> Result<Device, String> {
        let device = match self {
            Self::Cpu => Some(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => listed(DeviceType::Wgpu, || Device::wgpu(Pick::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => listed(DeviceType::Cuda, || Device::cuda(0)),
            #[cfg(feature = "metal")]
            Self::Metal => listed(DeviceType::Metal, || Device::metal(Pick::DefaultDevice)),
            #[cfg(not(all(feature = "wgpu", feature = "cuda", feature = "metal")))]
            _ => return Err(self.not_built()),
        };
        let driver = match self {
            Self::Cpu => "the processor's",
            Self::Wgpu => "a Vulkan, Metal or DirectX 12 driver",
            Self::Cuda => "NVIDIA's driver",
            Self::Metal => "macOS and its graphics processor",
        };
        device.ok_or_else(|| format!("no {self} device was found here: it takes {driver}"))
    }

    fn not_built(self) -> String {
        format!("this build has no {self}: build it with --features {self}")
    }
}

/// A device of a kind that this machine has.
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "metal"))]
fn listed(kind: DeviceType, open: impl FnOnce() -> Device) -> Option<Device> {
    let any = Device::enumerate(kind).iter().next().is_some();
    any.then(open)
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cpu => "cpu",
            Self::Wgpu => "wgpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
        })
    }
}

impl FromStr for DeviceKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.to_string() == text);
        let kind = found
            .ok_or_else(|| format!("no device {text:?}: there are cpu, wgpu, cuda and metal"))?;
        let built = cfg!(feature = "wgpu") && kind == Self::Wgpu
            || cfg!(feature = "cuda") && kind == Self::Cuda
            || cfg!(feature = "metal") && kind == Self::Metal
            || kind == Self::Cpu;
        match built {
            true => Ok(kind),
            false => Err(kind.not_built()),
        }
    }
}

/// The shape of a model: of its `config.json`, or of what its GGUF file says.
///
/// # Errors
/// When there is no configuration, or it is none that runs here.
pub fn shape_of(files: &Files, cap: Option<usize>) -> Result<Shape, LoadError> {
    let refused = |why: String| LoadError::Words { place: files.place(), file: "config.json", why };
    let Some(gguf) = files.gguf() else {
        let bytes = files.need("config.json")?;
        let config: Value = serde_json::from_slice(&bytes).map_err(|e| refused(e.to_string()))?;
        return Shape::read(&config, cap).map_err(|error| refused(error.to_string()));
    };
    let refused = |why: String| LoadError::Gguf { place: files.place(), why };
    Shape::read(&gguf.config()?, cap).map_err(|error| refused(error.to_string()))
}

/// Builds a decoder: packed on the CPU, of burn's own operations elsewhere.
///
/// # Errors
/// When a tensor is missing, of another shape than the configuration says, or of no use to it.
pub fn open(
    shape: Shape,
    source: &dyn Tensors,
    settings: Settings,
) -> Result<Box<dyn Decode>, LoadError> {
    let place = source.place();
    let missing = |why| LoadError::Words { place, file: "--device", why };
    let device = settings.device.device().map_err(missing)?;
    let weights = Weights::read(&shape, source, settings.quant)?;
    Ok(if settings.device == DeviceKind::Cpu {
        Box::new(packed(shape, weights, settings))
    } else {
        Box::new(tensors(shape, &weights, &device))
    })
}
