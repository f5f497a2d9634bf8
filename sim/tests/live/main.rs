//! A whole swarm of real processes, used as people use it. Each test starts its own, which is slow.
//!
//! Tests that need something from outside (Prometheus, a Python or npm package) install it into
//! `target/tools`. When they cannot, they print that they are skipped and pass.
#![expect(clippy::print_stderr, reason = "a test that proves nothing says so")]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail as tests do"
)]

mod chaos;
mod clients;
mod console;
mod dashboards;
mod newcomer;
mod schema;
mod soak;
mod swarm;
mod tools;
mod upstream;
