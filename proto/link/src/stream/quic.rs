//! The halves of a QUIC stream.

use std::future::Future;

use bytes::{Buf, Bytes};
use quinn::{ReadError, VarInt, WriteError};
use shoal_proto::{Message, WireError, wire::FrameDecoder};

use crate::close::{Code, explain};

/// Most bytes in one read: what one round trip on a fast link brings.
const CHUNK: usize = 64 * 1024;

/// The sending half. Dropping it before `finish` resets the stream.
#[derive(Debug)]
pub(crate) struct SendHalf {
    stream: quinn::SendStream,
    /// The rest of a frame whose `send` or `finish` was dropped early.
    rest: Bytes,
    is_finished: bool,
}

impl SendHalf {
    pub(crate) fn new(stream: quinn::SendStream) -> Self {
        Self { stream, rest: Bytes::new(), is_finished: false }
    }

    pub(super) async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let frame = message.encode()?;
        self.flush().await?;
        self.rest = frame;
        self.flush().await
    }

    pub(super) async fn finish(mut self) -> Result<(), WireError> {
        self.flush().await?;
        self.is_finished = true;
        self.stream.finish().map_err(|_| WireError::Closed("it was reset".to_owned()))?;
        self.peer_stop().await.map(|_| ()).map_err(|error| WireError::Closed(error.to_string()))
    }

    pub(super) async fn wait_for_cancel(&mut self) {
        // An error means that the link is closed, so the peer receives nothing in any case.
        let _ = self.peer_stop().await;
    }

    /// Resolves when the peer has received everything, or receives no more. The future does not
    /// borrow the stream, so that a future which awaits it is `Send`.
    fn peer_stop(
        &self,
    ) -> impl Future<Output = Result<Option<VarInt>, quinn::StoppedError>> + Send + 'static {
        self.stream.stopped()
    }

    async fn flush(&mut self) -> Result<(), WireError> {
        while !self.rest.is_empty() {
            let length = self.stream.write(&self.rest).await.map_err(write_error)?;
            self.rest.advance(length);
        }
        Ok(())
    }
}

fn write_error(error: WriteError) -> WireError {
    WireError::Closed(match error {
        WriteError::ConnectionLost(error) => explain(&error),
        WriteError::Stopped(_) => "the peer dropped the stream".to_owned(),
        error => error.to_string(),
    })
}

impl Drop for SendHalf {
    fn drop(&mut self) {
        if !self.is_finished {
            // Fails only if the stream has ended already.
            let _ = self.stream.reset(Code::Dropped.into());
        }
    }
}

/// The receiving half. Dropping it stops the peer's sending half.
#[derive(Debug)]
pub(crate) struct RecvHalf {
    stream: quinn::RecvStream,
    frames: FrameDecoder,
    code: Code,
}

impl RecvHalf {
    pub(crate) fn new(stream: quinn::RecvStream, frames: FrameDecoder) -> Self {
        Self { stream, frames, code: Code::Dropped }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Message>, WireError> {
        loop {
            match self.frames.take() {
                Ok(None) => {}
                Ok(message) => return Ok(message),
                Err(error) => {
                    self.code = Code::Unreadable;
                    return Err(error);
                }
            }
            match self.stream.read_chunk(CHUNK, true).await.map_err(read_error)? {
                Some(chunk) => self.frames.push(&chunk.bytes),
                None if self.frames.is_between() => return Ok(None),
                None => return Err(WireError::Truncated),
            }
        }
    }
}

fn read_error(error: ReadError) -> WireError {
    WireError::Closed(match error {
        ReadError::ConnectionLost(error) => explain(&error),
        ReadError::Reset(_) => "the peer dropped the stream".to_owned(),
        error => error.to_string(),
    })
}

impl Drop for RecvHalf {
    fn drop(&mut self) {
        // Fails only if the stream has ended already.
        let _ = self.stream.stop(self.code.into());
    }
}
