//! The instruction sets, the detection of those that this processor has, and the dispatch to them.

mod scalar;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;

use std::sync::OnceLock;

use crate::simd::Simd;

/// An instruction set that kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// Plain Rust, on every processor.
    Scalar,
    /// 64-bit ARM.
    Neon,
    /// 64-bit ARM with the four-way byte products of ARMv8.2 (`sdot`).
    NeonDot,
    /// x86-64 with AVX2, FMA and F16C: since 2013.
    Avx2,
    /// AVX2 with AVX-VNNI's four-way byte products: client processors since 2021.
    AvxVnni,
    /// AVX-512 F, BW, DQ, VL and VNNI: servers since 2019, desktops with Zen 4.
    Avx512,
}

impl Isa {
    /// Slowest first.
    const ALL: [Self; 6] =
        [Self::Scalar, Self::Neon, Self::NeonDot, Self::Avx2, Self::AvxVnni, Self::Avx512];

    /// The name that `SHOAL_ISA` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this processor has the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => avx2::Avx2::<false>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => avx2::Avx2::<true>::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::Avx512::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => neon::Neon::<false>::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => neon::Neon::<true>::detect().is_some(),
            _ => false,
        }
    }

    /// The instruction sets that this processor has, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|isa| isa.is_available())
    }
}

/// The instruction set that kernels use: the best that the processor has, or the one that the
/// environment variable `SHOAL_ISA` names (for tests and benchmarks), if the processor has it. The
/// variable is read once.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let name = std::env::var("SHOAL_ISA").unwrap_or_default();
        let choice = Isa::available().find(|isa| isa.name() == name);
        choice.or_else(|| Isa::available().last()).unwrap_or(Isa::Scalar)
    })
}

/// Work that is compiled for every instruction set. `run` must be `#[inline(always)]`.
pub(crate) trait Kernel {
    type Output;
    fn run<S: Simd>(self, s: S) -> Self::Output;
}

/// Runs the kernel with this instruction set, or in plain Rust if the processor does not have it.
pub(crate) fn dispatch<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    #[cfg(target_arch = "x86_64")]
    match isa {
        Isa::Avx512 => {
            if let Some(s) = avx512::Avx512::detect() {
                return s.call(kernel);
            }
        }
        Isa::AvxVnni => {
            if let Some(s) = avx2::Avx2::<true>::detect() {
                return s.call(kernel);
            }
        }
        Isa::Avx2 => {
            if let Some(s) = avx2::Avx2::<false>::detect() {
                return s.call(kernel);
            }
        }
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    match isa {
        Isa::NeonDot => {
            if let Some(s) = neon::Neon::<true>::detect() {
                return s.call(kernel);
            }
        }
        Isa::Neon => {
            if let Some(s) = neon::Neon::<false>::detect() {
                return s.call(kernel);
            }
        }
        _ => {}
    }
    kernel.run(scalar::Scalar)
}
