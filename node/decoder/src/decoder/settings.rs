//! How a decoder is built, and which device it runs on.

use std::{fmt, num::NonZero, str::FromStr, thread};

use burn::tensor::Device;
#[cfg(any(feature = "wgpu", feature = "metal"))]
use burn::tensor::DeviceKind as Pick;
#[cfg(any(feature = "wgpu", feature = "cuda", feature = "metal"))]
use burn::tensor::DeviceType;
use shoal_kernel::{Isa, KvFormat};
use shoal_model::Quant;

/// How a decoder is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// How the weights are kept.
    pub quant: Quant,
    /// Where the arithmetic is done.
    pub device: DeviceKind,
    /// How the CPU keeps keys and values.
    pub kv: KvFormat,
    /// Threads on the CPU, including the caller's.
    pub threads: usize,
    /// The CPU's instruction set; `None` for the best one available.
    pub isa: Option<Isa>,
}

impl Default for Settings {
    /// For serving, on all cores.
    fn default() -> Self {
        Self {
            quant: Quant::default(),
            device: DeviceKind::default(),
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
    /// Vulkan, Metal or DirectX 12.
    Wgpu,
    /// An NVIDIA GPU.
    Cuda,
    /// An Apple GPU.
    Metal,
}

impl DeviceKind {
    const ALL: [Self; 4] = [Self::Cpu, Self::Wgpu, Self::Cuda, Self::Metal];

    /// burn's device, if this build has the backend and this machine has such a device. burn panics
    /// if it is asked for a device that does not exist.
    pub(super) fn device(self) -> Result<Device, String> {
        let device = match self {
            Self::Cpu => Some(Device::flex()),
            #[cfg(feature = "wgpu")]
            Self::Wgpu => enumerate(DeviceType::Wgpu, || Device::wgpu(Pick::DefaultDevice)),
            #[cfg(feature = "cuda")]
            Self::Cuda => enumerate(DeviceType::Cuda, || Device::cuda(0)),
            #[cfg(feature = "metal")]
            Self::Metal => enumerate(DeviceType::Metal, || Device::metal(Pick::DefaultDevice)),
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
fn enumerate(kind: DeviceType, open: impl FnOnce() -> Device) -> Option<Device> {
    let has_device = Device::enumerate(kind).iter().next().is_some();
    has_device.then(open)
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
        let kind = Self::ALL
            .into_iter()
            .find(|kind| kind.to_string() == text)
            .ok_or_else(|| format!("no device {text:?}: there are cpu, wgpu, cuda and metal"))?;
        let is_built = cfg!(feature = "wgpu") && kind == Self::Wgpu
            || cfg!(feature = "cuda") && kind == Self::Cuda
            || cfg!(feature = "metal") && kind == Self::Metal
            || kind == Self::Cpu;
        match is_built {
            true => Ok(kind),
            false => Err(kind.not_built()),
        }
    }
}
