//! The gateway from outside: real sockets, with scripted members.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

mod gateway;
mod scripted;
mod errors;
mod chat;
mod sse;
mod models;
mod documented;
mod official;
mod completions;
mod responses;
mod agents;
mod conversations;
mod cache;
mod messages;
mod embeddings;
mod queue;
mod rank;
mod rounds;
mod spans;
mod nodes;
mod console;
mod export;
mod browsers;
mod body;
mod tools;
mod formats;
mod choices;
mod limits;
mod keys;
mod vision;
mod compatibility;
mod leaving;
mod stopping;
mod program;
mod metrics;
mod clients;
mod open_webui;
