//! Who is who: a node is its ed25519 public key, and nothing else.

mod file;
pub mod pins;

use std::{fmt, str::FromStr};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

pub use file::KeyError;

use crate::hello::{Challenge, Proof};

/// A node's name: the 32 bytes of its ed25519 public key, written as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 32]);

impl NodeId {
    /// The first ten hex digits: enough for a person to tell nodes apart.
    pub fn short(&self) -> String {
        self.to_string().chars().take(10).collect()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({})", self.short())
    }
}

/// The text is not 64 hex digits.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a node id is 64 hex digits, this is {0:?}")]
pub struct NotANodeId(pub String);

impl FromStr for NodeId {
    type Err = NotANodeId;

    fn from_str(text: &str) -> Result<Self, NotANodeId> {
        let refused = || NotANodeId(text.chars().take(80).collect());
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refused());
        }
        let mut id = [0; 32];
        for (byte, digits) in id.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| refused())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| refused())?;
        }
        Ok(Self(id))
    }
}

/// What a node's signature over a hello begins with, so that it can be mistaken for nothing else.
const HELLO: &[u8] = b"shoal/1 hello";

/// The secret key behind a [`NodeId`]. Gateways have one too.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// A new one, from the system's random numbers.
    pub fn generate() -> Self {
        Self::from_secret(rand::random())
    }

    /// The one with this secret key (RFC 8032's 32 byte seed); simulations count them up.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(&secret) }
    }

    /// The public name.
    pub fn id(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// The answer to a gateway's challenge. It is of no use at any other gateway: the gateway's
    /// own key is part of what is signed.
    pub fn prove(&self, gateway: NodeId, challenge: &Challenge) -> Proof {
        let signature = self.key.sign(&hello_text(gateway, challenge));
        Proof { signature: signature.to_bytes().to_vec() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id().short())
    }
}

/// The signature is not by that node over this gateway's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof is not by the key of the connection")]
pub struct BadProof;

impl Challenge {
    /// A nonce that was never used: 32 bytes from the system's random numbers.
    pub fn fresh() -> Self {
        Self { nonce: rand::random::<[u8; 32]>().to_vec() }
    }
}

impl Proof {
    /// Whether `node` signed `challenge`, which `gateway` (this side) has set.
    ///
    /// # Errors
    /// [`BadProof`], also for weak keys and malleable signatures (RFC 8032's strict rules).
    pub fn verify(
        &self,
        node: NodeId,
        gateway: NodeId,
        challenge: &Challenge,
    ) -> Result<(), BadProof> {
        let key = VerifyingKey::from_bytes(&node.0).map_err(|_| BadProof)?;
        let signature = Signature::from_slice(&self.signature).map_err(|_| BadProof)?;
        key.verify_strict(&hello_text(gateway, challenge), &signature).map_err(|_| BadProof)
    }
}

fn hello_text(gateway: NodeId, challenge: &Challenge) -> Vec<u8> {
    [HELLO, &gateway.0, &challenge.nonce].concat()
}

#[cfg(test)]
mod tests;
