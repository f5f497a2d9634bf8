//! The gateway as clients meet it: real sockets in front, scripted members behind.

mod gateway;
mod scripted;
mod errors;
mod chat;
mod sse;
mod models;
mod rounds;
mod browsers;
mod body;
mod leaving;
mod metrics;
mod clients;
