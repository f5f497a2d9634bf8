//! How a gateway and a node reach each other: one connection, many streams of messages.
//!
//! [`Link`] is what both sides program against, [`Stream`] is what it opens and accepts.
//! [`quic`] is the real link: TLS 1.3 in which the key of either side is its name. [`pipe`] is a
//! link in memory, on tokio's clock, for simulations and tests. Both pass the same tests.
//! Only this crate knows quinn and rustls.

mod tls;
pub mod quic;
pub mod pipe;

use std::time::Duration;

use futures_util::future::BoxFuture;

use shoal_proto::{Message, NodeId, WireError};

/// One connection to one peer whose key is proven. Dropping it closes it.
///
/// Both ends open streams; a node opens its control stream, a gateway one stream per piece of work.
pub trait Link: Send + Sync + 'static {
    /// The proven key of the other side.
    fn peer(&self) -> NodeId;

    /// Opens a bidirectional stream. Waits while the peer's stream limit is reached. The peer may
    /// learn of the stream only with the first message on it.
    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// The next stream that the peer opened.
    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// Resolves when the link is gone, saying why. After our own [`Link::close`] it resolves when
    /// the peer has been told, within a few round trips: wait for it before the process ends.
    fn closed(&self) -> BoxFuture<'_, LinkError>;

    /// Closes the link at once; `reason` reaches the peer. Idempotent.
    fn close(&self, reason: &str);

    /// Measured round-trip time.
    fn rtt(&self) -> Duration;
}

/// Why a link or a stream cannot be had.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at the address in time, or who answered takes no more links.
    #[error("cannot reach {address}: {message}")]
    Unreachable { address: String, message: String },
    /// The other side's key is not the one that was expected.
    #[error(
        "the gateway's key is {found}, expected {expected}: if it was replaced on purpose, remove the pin"
    )]
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
pub struct Sender(Sending);

/// The receiving half.
#[derive(Debug)]
pub struct Receiver(Receiving);

#[derive(Debug)]
enum Sending {
    Quic(quic::Sending),
    Pipe(pipe::Sending),
}

#[derive(Debug)]
enum Receiving {
    Quic(quic::Receiving),
    Pipe(pipe::Receiving),
}

impl Sender {
    /// Sends one message; waits under flow control. When the future is dropped before it is done,
    /// the rest of the message is sent with the next one.
    ///
    /// # Errors
    /// [`WireError::TooLong`], after which the stream is still good, or [`WireError::Gone`].
    pub async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        match &mut self.0 {
            Sending::Quic(sending) => sending.send(message).await,
            Sending::Pipe(sending) => sending.send(message).await,
        }
    }

    /// No more messages follow; what was sent still arrives. Resolves when the peer has it or no
    /// longer wants it; dropping the future earlier may be a reset.
    ///
    /// # Errors
    /// [`WireError::Gone`] when the link was lost first.
    pub async fn finish(self) -> Result<(), WireError> {
        match self.0 {
            Sending::Quic(sending) => sending.finish().await,
            Sending::Pipe(sending) => sending.finish(),
        }
    }

    /// The last message, and [`Self::finish`]. Wait for it before the link is closed, which discards
    /// what is still on its way.
    ///
    /// # Errors
    /// As both.
    pub async fn send_last(mut self, message: &Message) -> Result<(), WireError> {
        self.send(message).await?;
        self.finish().await
    }

    /// Resolves when the peer no longer wants to receive (it dropped or reset the stream, or the
    /// link is gone). May be waited for again and again.
    pub async fn cancelled(&mut self) {
        match &mut self.0 {
            Sending::Quic(sending) => sending.cancelled().await,
            Sending::Pipe(sending) => sending.cancelled().await,
        }
    }
}

impl Receiver {
    /// The next message; `None` after the peer's `finish`. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`WireError`]; after one the stream is of no more use.
    pub async fn next(&mut self) -> Result<Option<Message>, WireError> {
        match &mut self.0 {
            Receiving::Quic(receiving) => receiving.next().await,
            Receiving::Pipe(receiving) => receiving.next().await,
        }
    }
}
