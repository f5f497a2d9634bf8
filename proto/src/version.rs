//! The versions of the protocol, newest first.

/// The TLS application protocol (ALPN). Each incompatible major version has its own.
pub const ALPN: &[u8] = b"shoal/1";

/// A minor version of the protocol; each entry says what it added. Compare versions by
/// [`Version::number`], because the newest is the first entry here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Version {
    /// Abstentions, and models that say they are specialists.
    V5,
    /// Texts to continue without a chat template, reasoned ballots.
    V4,
    /// Tools, formats, log-probabilities of tokens, embeddings, capabilities of a model.
    V3,
    /// Auditors, and log-probabilities that they can recompute.
    V2,
    /// Control stream, generation, likelihood and logit ballots.
    V1,
}

impl Version {
    /// The newest version that this build speaks.
    pub const CURRENT: Self = Self::V5;

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
            Self::V3 => 3,
            Self::V4 => 4,
            Self::V5 => 5,
        }
    }

    /// The version with this number on the wire, if this build knows it.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            4 => Some(Self::V4),
            5 => Some(Self::V5),
            _ => None,
        }
    }
}
