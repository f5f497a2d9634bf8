//! The protocol's history, newest first.

/// The TLS application protocol: one per incompatible major version.
pub const ALPN: &[u8] = b"shoal/1";

/// A minor version both sides can speak; each entry says what it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// Control stream, generation, likelihood and logit ballots.
    V1,
}

impl Version {
    /// The newest version this build speaks.
    pub const CURRENT: Self = Self::V1;

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
        }
    }

    /// The version with this number on the wire, if this build knows it.
    pub const fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::V1),
            _ => None,
        }
    }
}
