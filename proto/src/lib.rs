//! What a gateway and a node say to each other. This crate knows neither of them.
//!
//! ```text
//!  node                                             gateway
//!   | ---- QUIC, both sides prove an ed25519 key ---- |
//!   | control stream (opened by the node)             |
//!   |   Hello  ------------------------------------>  |   what I am, which model I serve
//!   |   <------------------------------------ Challenge
//!   |   Proof  ------------------------------------>  |   my key signed your nonce
//!   |   <------------------------- Welcome or Refusal |
//!   |   Heartbeat (with load) every 15 s ---------->  |
//!   |   Goodbye  <--------------------------------->  |   draining: no new work, please
//!   | one stream per piece of work (opened by the gateway)
//!   |   <------------------------------------ Generate
//!   |   Piece, Piece, ... Done (or Failed) --------->  |
//!   |   <--------------------------------------- Judge
//!   |   Ballot (or Failed) ------------------------->  |
//!   |   <--------------------------------------- Embed
//!   |   Embedded (or Failed) ----------------------->  |
//! ```
//!
//! Cancelling is dropping: the side that no longer cares drops its stream, QUIC resets it, and
//! the other side stops its work.

pub mod version;
pub mod identity;
pub mod hello;
pub mod heartbeat;
pub mod goodbye;
pub mod generate;
pub mod judge;
pub mod tools;
pub mod embed;
pub mod wire;
mod secret;

pub use identity::{Identity, NodeId};
pub use secret::Secret;
pub use wire::{Message, WireError};
