//! A link: one connection between a node and a gateway, with streams on it.
//! `quic` is the real one, `pipe` the one in memory for simulations and tests.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::{Message, NodeId, WireError};

/// One connection to one peer whose key is proven.
///
/// Both ends open streams; a node opens its control stream, a gateway one stream per piece of work.
pub trait Link: Send + Sync + 'static {
    /// The proven key of the other side.
    fn peer(&self) -> NodeId;

    /// Opens a bidirectional stream. Waits while the peer's stream limit is reached.
    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// The next stream that the peer opened.
    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// Resolves when the link is gone, saying why.
    fn closed(&self) -> BoxFuture<'_, LinkError>;

    /// Closes the link at once; `reason` reaches the peer. Idempotent.
    fn close(&self, reason: &str);

    /// Measured round-trip time.
    fn rtt(&self) -> Duration;
}

/// Why a link or a stream cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at the address in time.
    #[error("cannot reach {address}: {message}")]
    Unreachable { address: String, message: String },
    /// The other side's key is not the one that was expected.
    #[error("the gateway's key is {found}, expected {expected}: if it was replaced on purpose, remove the pin")]
    WrongKey { expected: NodeId, found: NodeId },
    /// The link was closed by the peer, by us, by a time-out.
    #[error("the link is closed: {0}")]
    Closed(String),
}

/// A bidirectional stream of messages. Dropping it cancels: unsent data is discarded and the
/// peer's sending and receiving ends fail at once, unless [`Sender::finish`] was called.
#[derive(Debug)]
pub struct Stream {
    pub sender: Sender,
    pub receiver: Receiver,
}

/// The sending half.
#[derive(Debug)]
pub struct Sender {}

/// The receiving half.
#[derive(Debug)]
pub struct Receiver {}

impl Sender {
    /// Sends one message; waits under flow control.
    pub async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let _ = message;
        Err(WireError::Truncated)
    }

    /// No more messages follow; what was sent still arrives.
    pub async fn finish(self) -> Result<(), WireError> {
        Err(WireError::Truncated)
    }

    /// Resolves when the peer no longer wants to receive (it dropped or reset the stream).
    pub async fn cancelled(&mut self) {}
}

impl Receiver {
    /// The next message; `None` after the peer's `finish`.
    pub async fn next(&mut self) -> Result<Option<Message>, WireError> {
        Ok(None)
    }
}
