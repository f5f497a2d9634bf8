//! A node from outside: the program, its page, and its life on a real link.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as tests do"
)]

mod endpoint;
mod live;
mod page;
mod program;
mod pull;
