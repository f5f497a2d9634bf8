//! Frames on a stream: `length: u32 BE | tag: u8 | protobuf body`. The only place that encodes
//! and decodes. (Contract; the owner of proto fills in the limits and tests.)

use crate::{generate, goodbye, heartbeat, hello, judge};

/// Everything that can stand in a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    Hello(hello::Hello),
    Challenge(hello::Challenge),
    Proof(hello::Proof),
    Welcome(hello::Welcome),
    Refusal(hello::Refusal),
    Heartbeat(heartbeat::Heartbeat),
    Goodbye(goodbye::Goodbye),
    Generate(generate::Generate),
    Piece(generate::Piece),
    Done(generate::Done),
    Failed(generate::Failed),
    Judge(judge::Judge),
    Ballot(judge::Ballot),
}

/// What can go wrong between bytes and messages.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("a {name} frame of {length} bytes is over its limit of {limit}")]
    TooLong { name: &'static str, length: usize, limit: usize },
    #[error("no message has the tag {0}")]
    UnknownTag(u8),
    #[error("a {name} frame does not decode: {source}")]
    Malformed { name: &'static str, source: prost::DecodeError },
    #[error("the stream ended inside a frame")]
    Truncated,
    #[error("the stream is gone: {0}")]
    Gone(String),
}
