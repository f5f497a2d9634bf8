//! A node: one model, a key that is its name, and a link to each gateway it serves.
//!
//! ```text
//!  node -> session (dial, register, heartbeat, back off)
//!            -> serve (slots, queue, one piece of work per stream)
//!                 -> engine: shoal-decoder in this process, or an upstream beside it
//! ```

pub mod node;
pub mod key;
pub mod session;
pub mod serve;
pub mod chat;
pub mod upstream;
pub mod config;
pub mod metrics;
pub mod telemetry;
