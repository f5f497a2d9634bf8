//! The messages between a gateway and its nodes, and their bytes on the wire.
//!
//! This crate defines what both sides must agree on and does no I/O: `shoal-link` carries the
//! messages over QUIC. It knows neither the gateway nor the node. PROTOCOL.md describes the same
//! protocol for implementations in other languages.
//!
//! The public names:
//! - [`Message`] is any of the messages, [`wire::FrameDecoder`] cuts a stream of bytes into messages,
//!   and [`WireError`] says what is wrong with the bytes.
//! - [`Identity`] is a secret key, [`NodeId`] its public key, [`identity::pins::Pins`] the keys of
//!   known gateways.
//! - [`hello`], [`heartbeat`] and [`goodbye`] hold the messages of the control stream.
//! - [`generate`], [`judge`] and [`embed`] hold the messages of the work streams, [`tools`] the
//!   functions in them.
//! - [`version::Version`] is the version of the protocol, [`hex`] writes keys and checksums.
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
//!   |   Goodbye  <--------------------------------->  |   I take no new work
//!   | one stream per piece of work (opened by the gateway)
//!   |   <------------------------------------ Generate
//!   |   Piece, Piece, ... Done (or Failed) --------->  |
//!   |   <--------------------------------------- Judge
//!   |   Ballot (or Failed) ------------------------->  |
//!   |   <--------------------------------------- Embed
//!   |   Embedded (or Failed) ----------------------->  |
//! ```
//!
//! To cancel work, a side drops its stream. QUIC resets the stream, and the other side stops the
//! work.

pub mod version;
mod node_id;
pub mod identity;
mod invalid;
pub mod hello;
pub mod heartbeat;
pub mod goodbye;
pub mod generate;
pub mod judge;
pub mod tools;
pub mod embed;
pub mod wire;
mod hex;
mod secret;

pub use hex::hex;
pub use identity::Identity;
pub use node_id::NodeId;
pub use secret::Secret;
pub use wire::{Message, WireError};
