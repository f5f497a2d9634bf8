//! A node: one model, a key that is its name, and a link to each gateway it serves.
//!
//! ```text
//!  node -> link (dial, register, heartbeat, back off)
//!            -> serve (slots, queue, one piece of work per stream) -> judge
//!                 -> engine: burn in this process, or an upstream beside it
//! ```

pub mod node;
pub mod key;
pub mod link;
pub mod serve;
pub mod judge;
pub mod pull;
pub mod chat;
#[cfg(feature = "model")]
pub mod model;
pub mod engine;
#[cfg(feature = "train")]
pub mod train;
pub mod config;
pub mod metrics;
pub mod telemetry;
