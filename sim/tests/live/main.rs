//! A whole swarm of real processes, used as people use it. Slow: each test starts its own.
//!
//! Tests that need something from outside (Prometheus, a Python or npm package) install it into
//! `target/tools` and, when they cannot, say so and pass: they prove nothing then.
#![expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod chaos;
mod clients;
mod dashboards;
mod newcomer;
mod schema;
mod swarm;
mod tools;
mod upstream;
