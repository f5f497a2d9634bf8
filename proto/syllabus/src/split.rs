//! The partition of all problems into training, examination and evaluation.

use crate::problem::Problem;

/// The use of a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Split {
    /// Training: 80 of 100 problems.
    Train,
    /// Examinations and hidden audits: 8 of 100 problems.
    Gold,
    /// The project's own measurements: 12 of 100 problems.
    Test,
}

impl Split {
    /// The split of a problem.
    pub fn for_problem(problem: &Problem) -> Self {
        Self::for_key(&problem.key())
    }

    /// The split of a problem with this key. The FNV-1a hash of the key decides, which is the same on
    /// every machine and in every version.
    pub(crate) fn for_key(key: &str) -> Self {
        let start = 0xcbf2_9ce4_8422_2325_u64;
        let hash = key
            .bytes()
            .fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        // The low bits of FNV depend on few input bits, so the high half is added.
        match ((hash >> 32) ^ hash) % 100 {
            0..80 => Self::Train,
            80..88 => Self::Gold,
            _ => Self::Test,
        }
    }
}
