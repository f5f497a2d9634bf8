//! The promises of the swarm, tested on whole swarms in one process.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod round;
mod joins;
mod confidence;
mod tags;
mod judging;
mod modes;
mod liars;
mod audits;
mod adversaries;
mod single;
mod churn;
mod exams;
mod admission;
