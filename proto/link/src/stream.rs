//! Streams of messages, over QUIC or in memory.

pub(crate) mod quic;
pub(crate) mod pipe;

use shoal_proto::{Message, WireError};

/// A bidirectional stream of messages. Dropping it cancels: unsent data is discarded, and the
/// peer's halves fail at once. [`Sender::finish`] ends the sending half without that.
#[derive(Debug)]
pub struct Stream {
    /// The half for messages to the peer.
    pub sender: Sender,
    /// The half for messages from the peer.
    pub receiver: Receiver,
}

/// The sending half of a [`Stream`].
#[derive(Debug)]
pub struct Sender(SendHalf);

/// The receiving half of a [`Stream`].
#[derive(Debug)]
pub struct Receiver(RecvHalf);

#[derive(Debug)]
enum SendHalf {
    Quic(quic::SendHalf),
    Pipe(pipe::SendHalf),
}

#[derive(Debug)]
enum RecvHalf {
    Quic(quic::RecvHalf),
    Pipe(pipe::RecvHalf),
}

impl From<(quic::SendHalf, quic::RecvHalf)> for Stream {
    fn from((sender, receiver): (quic::SendHalf, quic::RecvHalf)) -> Self {
        Self {
            sender: Sender(SendHalf::Quic(sender)),
            receiver: Receiver(RecvHalf::Quic(receiver)),
        }
    }
}

impl From<(pipe::SendHalf, pipe::RecvHalf)> for Stream {
    fn from((sender, receiver): (pipe::SendHalf, pipe::RecvHalf)) -> Self {
        Self {
            sender: Sender(SendHalf::Pipe(sender)),
            receiver: Receiver(RecvHalf::Pipe(receiver)),
        }
    }
}

impl Sender {
    /// Sends one message. Waits while flow control allows no more bytes. If the future is dropped
    /// early, the next call sends the rest of the message first.
    ///
    /// # Errors
    /// [`WireError::TooLong`], after which the stream is still usable, or [`WireError::Closed`].
    pub async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        match &mut self.0 {
            SendHalf::Quic(half) => half.send(message).await,
            SendHalf::Pipe(half) => half.send(message).await,
        }
    }

    /// Ends the stream of messages. The messages before it still arrive. Resolves when the peer has
    /// received them or has dropped the stream. Dropping the future early may reset the stream.
    ///
    /// # Errors
    /// [`WireError::Closed`] if the link closes first.
    pub async fn finish(self) -> Result<(), WireError> {
        match self.0 {
            SendHalf::Quic(half) => half.finish().await,
            SendHalf::Pipe(half) => half.finish(),
        }
    }

    /// Sends the last message, then calls [`Self::finish`]. Await it before the link is closed,
    /// because closing discards what has not arrived.
    ///
    /// # Errors
    /// As [`Self::send`] and [`Self::finish`].
    pub async fn send_last(mut self, message: &Message) -> Result<(), WireError> {
        self.send(message).await?;
        self.finish().await
    }

    /// Resolves when the peer no longer receives: it dropped or reset the stream, or the link is
    /// closed. May be called any number of times.
    pub async fn cancelled(&mut self) {
        match &mut self.0 {
            SendHalf::Quic(half) => half.wait_for_cancel().await,
            SendHalf::Pipe(half) => half.wait_for_cancel().await,
        }
    }
}

impl Receiver {
    /// The next message. `None` after the peer called [`Sender::finish`]. Dropping the future loses
    /// no message.
    ///
    /// # Errors
    /// See [`WireError`]. After an error the stream is unusable.
    pub async fn next(&mut self) -> Result<Option<Message>, WireError> {
        match &mut self.0 {
            RecvHalf::Quic(half) => half.next().await,
            RecvHalf::Pipe(half) => half.next().await,
        }
    }
}
