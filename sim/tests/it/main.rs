//! What the swarm promises, tried on whole swarms in one process.

mod round;
mod judging;
mod modes;
mod liars;
mod single;
mod churn;
mod admission;
mod tidy;
