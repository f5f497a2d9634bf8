//! The gateway: serves the OpenAI API, asks the swarm, and streams the best answer.
//!
//! `http` turns requests into asks, [`round`] runs each ask on the members, and [`gateway`] binds and
//! drains all of it. The formats are in `shoal-api`, the members in `shoal-swarm` and the decisions in
//! `shoal-consensus`; this crate does the rest of the I/O.
//!
//! The public names:
//! - [`config::Config`] has all settings, and [`gateway::Gateway`] runs with them.
//! - [`round::Rounds`] answers asks, [`round::Learner`] learns from them, and [`round::Calibrator`] keeps
//!   the stated probability honest.
//! - [`export`] stores rounds by consent, [`replay`] ranks recorded rounds, [`telemetry`] starts the log.

mod http;
pub mod round;
pub mod export;
pub mod config;
mod metrics;
pub mod telemetry;
pub mod gateway;
pub mod replay;
