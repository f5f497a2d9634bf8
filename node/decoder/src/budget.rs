//! How much memory the KV cache may take.

use shoal_model::{Decode, PAGE};
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use super::DeviceKind;

/// The part of the machine's available memory that the caches of all its models may take: the rest is for
/// the owner's other programs.
const FREE_PART: usize = 4;

/// A cache of more than so many times the weights does not pay: what a small model has forgotten, it
/// quickly reads again.
const TIMES_WEIGHTS: usize = 8;

/// The share where the available memory is not known: on a graphics device, or an unknown system.
const UNKNOWN_SHARE: usize = 1 << 30;

/// The limit on the memory of a model's KV cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheLimit {
    /// This many bytes.
    Bytes(usize),
    /// What pays for the model, within its share of the machine's available memory.
    Auto {
        /// Models on this machine that share its memory, this one included; at least 1.
        models: usize,
    },
}

/// What a model can use a cache for.
#[derive(Clone, Copy, Debug)]
struct Need {
    /// Bytes of the weights.
    weights: usize,
    /// Bytes of one sequence of the whole context.
    context: usize,
    /// Sequences that run at the same time.
    sequences: usize,
}

impl CacheLimit {
    /// The limit in bytes, for a decoder whose weights are loaded.
    pub(super) fn bytes(
        self,
        decoder: &impl Decode,
        device: DeviceKind,
        sequences: usize,
    ) -> usize {
        let models = match self {
            Self::Bytes(bytes) => return bytes,
            Self::Auto { models } => models.max(1),
        };
        let pages = (decoder.context() + 1).div_ceil(PAGE);
        let need = Need {
            weights: usize::try_from(decoder.weight_bytes()).unwrap_or(usize::MAX),
            context: pages.saturating_mul(decoder.page_bytes()),
            sequences,
        };
        let share = match device {
            DeviceKind::Cpu => available_memory().map(|free| free / FREE_PART / models),
            _ => None,
        };
        need.limit(share.unwrap_or(UNKNOWN_SHARE))
    }
}

impl Need {
    /// Room for the weights' multiple, or for all sequences at their longest if that is less; for one of
    /// them at least, and always within the share.
    fn limit(self, share: usize) -> usize {
        let all_sequences = self.context.saturating_mul(self.sequences.max(1));
        let paying = self.weights.saturating_mul(TIMES_WEIGHTS).min(all_sequences);
        paying.max(self.context).min(share)
    }
}

/// Bytes that programs can still take on this machine or in this container; `None` if the system does not
/// say.
fn available_memory() -> Option<usize> {
    let memory = MemoryRefreshKind::nothing().with_ram();
    let system = System::new_with_specifics(RefreshKind::nothing().with_memory(memory));
    let container = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
    let available = system.available_memory().min(container);
    usize::try_from(available).ok().filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn a_cache_is_as_large_as_pays_for_the_model_and_fits_the_machine() {
        // A bundled specialist: 1.6 MB of weights, 1 MiB for its 512 positions.
        let specialist = Need { weights: 1_600_000, context: MIB, sequences: 16 };
        assert_eq!(specialist.limit(1000 * MIB), 12_800_000);
        assert_eq!(specialist.limit(4 * MIB), 4 * MIB, "many models on a small machine");
        let small_batch = Need { sequences: 2, ..specialist };
        assert_eq!(small_batch.limit(1000 * MIB), 2 * MIB, "nothing can fill more");
        // A long context on few weights: one sequence has room.
        let long = Need { weights: MIB, context: 100 * MIB, sequences: 4 };
        assert_eq!(long.limit(1000 * MIB), 100 * MIB);
        assert_eq!(long.limit(60 * MIB), 60 * MIB, "else the context is cut");
    }

    #[test]
    fn this_machine_has_memory_left() {
        assert!(available_memory().is_some_and(|bytes| bytes > MIB));
    }
}
