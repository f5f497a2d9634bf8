//! A certificate that is the node's ed25519 identity, and its check.
