//! Identities: a node is its ed25519 key. This module holds the secret key and the proof of it.

mod file;
pub mod pins;

use std::fmt;

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

pub use file::KeyError;

use crate::hello::{Challenge, Proof};
pub use crate::node_id::{InvalidNodeId, NodeId};

/// The first bytes of the text that a node signs. They keep the signature from being valid for
/// any other purpose.
const PROOF_PREFIX: &[u8] = b"shoal/1 hello";

/// The secret key behind a [`NodeId`]. Gateways have one too.
#[derive(Clone)]
pub struct Identity {
    key: SigningKey,
}

impl Identity {
    /// A new identity from the system's random numbers.
    pub fn generate() -> Self {
        Self::from_secret(rand::random())
    }

    /// The identity with this secret key (the 32 byte seed of RFC 8032). Simulations use
    /// consecutive numbers as seeds.
    pub fn from_secret(secret: [u8; 32]) -> Self {
        Self { key: SigningKey::from_bytes(&secret) }
    }

    /// The public key.
    pub fn id(&self) -> NodeId {
        NodeId(self.key.verifying_key().to_bytes())
    }

    /// The answer to a gateway's challenge. The signature covers the gateway's key, so the proof
    /// is not valid at any other gateway.
    pub fn prove(&self, gateway: NodeId, challenge: &Challenge) -> Proof {
        let signature = self.key.sign(&proof_text(gateway, challenge));
        Proof { signature: signature.to_bytes().to_vec() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.id().short())
    }
}

/// The error for a signature that is not by the node's key over this gateway's challenge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof is not by the key of the connection")]
pub struct InvalidProof;

impl Challenge {
    /// A challenge with a new nonce: 32 bytes from the system's random numbers.
    pub fn generate() -> Self {
        Self { nonce: rand::random::<[u8; 32]>().to_vec() }
    }
}

impl Proof {
    /// Checks that `node` signed the `challenge` of `gateway`, which is this side.
    ///
    /// # Errors
    /// [`InvalidProof`], also for weak keys and malleable signatures (the strict rules of RFC 8032).
    pub fn verify(
        &self,
        node: NodeId,
        gateway: NodeId,
        challenge: &Challenge,
    ) -> Result<(), InvalidProof> {
        let key = VerifyingKey::from_bytes(&node.0).map_err(|_| InvalidProof)?;
        let signature = Signature::from_slice(&self.signature).map_err(|_| InvalidProof)?;
        key.verify_strict(&proof_text(gateway, challenge), &signature).map_err(|_| InvalidProof)
    }
}

/// The bytes that a node signs.
fn proof_text(gateway: NodeId, challenge: &Challenge) -> Vec<u8> {
    [PROOF_PREFIX, &gateway.0, &challenge.nonce].concat()
}

#[cfg(test)]
mod tests;
