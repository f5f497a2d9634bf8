//! The gateway: speaks the OpenAI API, asks the swarm, streams the best answer.
//! Modules in the order in which a request meets them; `gateway` sees all and is seen by none.

pub mod http;
pub mod ask;
pub mod round;
pub mod reputation;
pub mod swarm;
pub mod export;
pub mod store;
pub mod config;
pub mod metrics;
pub mod telemetry;
pub mod gateway;
pub mod replay;
