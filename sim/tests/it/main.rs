//! What the swarm promises, tried on whole swarms in one process.

mod round;
mod judging;
mod liars;
mod audits;
mod adversaries;
mod single;
mod churn;
mod admission;
mod tidy;
