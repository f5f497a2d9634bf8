//! The gateway: serves the OpenAI API, asks the swarm, and streams the best answer.
//!
//! `http` turns requests into asks, `round` runs each ask on the members of `swarm`, `store` and
//! `export` store records and rounds, and `gateway` binds and drains all of it. The formats are in
//! `shoal-api` and the decisions in `shoal-consensus`; this crate does the I/O.

mod http;
pub mod round;
pub mod export;
pub mod config;
mod metrics;
pub mod telemetry;
mod time;
pub mod gateway;
pub mod replay;
