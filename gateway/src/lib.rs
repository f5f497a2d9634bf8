//! The gateway: speaks the OpenAI API, asks the swarm, streams the best answer.
//!
//! `http` turns requests into asks, `round` runs each one on the members of `swarm`, `store` and
//! `export` keep what must last, and `gateway` binds and drains all of it. Formats are in `shoal-api`
//! and decisions in `shoal-consensus`; this crate does the waiting.

pub mod http;
pub mod round;
pub mod swarm;
pub mod export;
pub mod store;
pub mod config;
pub mod metrics;
pub mod telemetry;
pub mod time;
pub mod gateway;
pub mod replay;
