//! A link over QUIC. Only this and the crate's `tls` know quinn and rustls.

mod limits;
mod listen;
mod dial;

use std::{future::Future, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::future::BoxFuture;
use quinn::{Connection, ConnectionError, Endpoint, ReadError, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

pub use dial::dial;
pub use limits::Limits;
pub use listen::{Listener, Rejected};

use super::{
    Link, LinkError, Receiver, Receiving as ReceivingEnd, Sender, Sending as SendingEnd, Stream,
};
use crate::tls;
use shoal_proto::{
    Message, NodeId, WireError,
    version::ALPN,
    wire::{Frames, Side},
};

/// What a reset stream or a closed link carries, for programs. The numbers stand in PROTOCOL.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    /// The link is closed on purpose; its reason says why.
    Closed = 0,
    /// Whoever wanted this stream has dropped it.
    Dropped = 1,
    /// The bytes on the stream are no messages, or not from this side.
    Unreadable = 2,
    /// The peer's key is not the expected one, or none.
    WrongKey = 3,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// Reasons are for people, and part of one packet.
const REASON_BYTES: usize = 200;

/// Telling the peer of a close takes three times the longest round trip that QUIC expects.
const FAREWELL: Duration = Duration::from_secs(1);

/// Read at once at most: what one round trip on a fast link brings.
const CHUNK: usize = 64 * 1024;

/// One QUIC connection whose peer has proven its key.
#[derive(Debug)]
pub struct QuicLink {
    connection: Connection,
    peer: NodeId,
    /// Who speaks on the other side.
    from: Side,
    /// Of a link that was dialled: its own socket.
    endpoint: Option<Endpoint>,
    /// Of a link that was accepted: its place among those that may be open.
    guest: Option<listen::Guest>,
}

impl QuicLink {
    /// The link on a connection whose handshake is done, if protocol and key are in order.
    fn new(connection: Connection, from: Side) -> Result<Self, ProtocolError> {
        let spoken = connection
            .handshake_data()
            .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
            .and_then(|data| data.protocol);
        if spoken.as_deref() != Some(ALPN) {
            connection.close(Code::Closed.into(), b"another protocol");
            return Err(ProtocolError::Alpn);
        }
        let shown = connection
            .peer_identity()
            .and_then(|shown| shown.downcast::<Vec<CertificateDer<'static>>>().ok());
        let Some(peer) = shown.and_then(|shown| tls::node_id(&shown)) else {
            connection.close(Code::WrongKey.into(), b"no ed25519 key");
            return Err(ProtocolError::NoKey);
        };
        Ok(Self { connection, peer, from, endpoint: None, guest: None })
    }

    /// Which side this is.
    fn side(&self) -> Side {
        match self.from {
            Side::Node => Side::Gateway,
            Side::Gateway => Side::Node,
            Side::Either => Side::Either,
        }
    }

    fn stream(
        &self,
        (sending, receiving): (quinn::SendStream, quinn::RecvStream),
        opener: Side,
    ) -> Stream {
        let sending = Sending { stream: sending, rest: Bytes::new(), finished: false };
        // The node opens the control stream, the gateway one for each piece of work.
        let frames = match opener {
            Side::Node => Frames::control(self.from),
            Side::Gateway | Side::Either => Frames::new(self.from),
        };
        let receiving = Receiving { stream: receiving, frames, code: Code::Dropped };
        Stream {
            sender: Sender(SendingEnd::Quic(sending)),
            receiver: Receiver(ReceivingEnd::Quic(receiving)),
        }
    }
}

/// What can be wrong with a connection that TLS found in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum ProtocolError {
    #[error("it does not speak {}", String::from_utf8_lossy(ALPN))]
    Alpn,
    #[error("it showed no ed25519 key")]
    NoKey,
}

impl Link for QuicLink {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let opened = self.connection.open_bi().await;
            opened.map(|halves| self.stream(halves, self.side())).map_err(|error| closed(&error))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let accepted = self.connection.accept_bi().await;
            accepted.map(|halves| self.stream(halves, self.from)).map_err(|error| closed(&error))
        })
    }

    fn closed(&self) -> BoxFuture<'_, LinkError> {
        Box::pin(async {
            let error = self.connection.closed().await;
            if let (ConnectionError::LocallyClosed, Some(endpoint)) = (&error, &self.endpoint) {
                // Too late is as good as told: the peer's idle time-out finds out.
                let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
            }
            closed(&error)
        })
    }

    fn close(&self, reason: &str) {
        self.connection.close(Code::Closed.into(), told(reason));
    }

    fn rtt(&self) -> Duration {
        self.connection.rtt()
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.connection.close(Code::Closed.into(), b"dropped");
    }
}

fn told(reason: &str) -> &[u8] {
    let bytes = reason.as_bytes();
    bytes.get(..REASON_BYTES).unwrap_or(bytes)
}

fn closed(error: &ConnectionError) -> LinkError {
    LinkError::Closed(explain(error))
}

/// A connection's end in words; nothing of the peer's beyond one short line.
fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let reason = close.reason.get(..REASON_BYTES).unwrap_or(&close.reason);
            let reason = String::from_utf8_lossy(reason);
            format!("the peer closed it: {}", reason.escape_debug())
        }
        ConnectionError::ConnectionClosed(close) => {
            format!("the peer refused: {}", close.error_code)
        }
        ConnectionError::TransportError(error) => format!("{}: {}", error.code, error.reason),
        ConnectionError::TimedOut => "the peer fell silent".to_owned(),
        ConnectionError::Reset => "the peer has restarted".to_owned(),
        ConnectionError::LocallyClosed => "closed on this side".to_owned(),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => error.to_string(),
    }
}

/// The sending half of a stream; resets it when dropped before `finish`.
#[derive(Debug)]
pub(super) struct Sending {
    stream: quinn::SendStream,
    /// What a dropped `send` or `finish` left over of its frame.
    rest: Bytes,
    finished: bool,
}

impl Sending {
    pub(super) async fn send(&mut self, message: &Message) -> Result<(), WireError> {
        let frame = message.encode()?;
        self.flush().await?;
        self.rest = frame;
        self.flush().await
    }

    pub(super) async fn finish(mut self) -> Result<(), WireError> {
        self.flush().await?;
        self.finished = true;
        self.stream.finish().map_err(|_| WireError::Gone("it was reset".to_owned()))?;
        self.stopped().await.map(|_| ()).map_err(|error| WireError::Gone(error.to_string()))
    }

    pub(super) async fn cancelled(&mut self) {
        // Lost, stopped, or closed: in every case nobody wants more.
        let _ = self.stopped().await;
    }

    /// Does not borrow the stream, so that a future which waits for it is `Send` and short.
    fn stopped(
        &self,
    ) -> impl Future<Output = Result<Option<VarInt>, quinn::StoppedError>> + Send + 'static {
        self.stream.stopped()
    }

    async fn flush(&mut self) -> Result<(), WireError> {
        while !self.rest.is_empty() {
            let written = self.stream.write(&self.rest).await.map_err(|error| match error {
                WriteError::ConnectionLost(error) => WireError::Gone(explain(&error)),
                WriteError::Stopped(_) => WireError::Gone("the peer dropped the stream".to_owned()),
                other => WireError::Gone(other.to_string()),
            })?;
            self.rest.advance(written);
        }
        Ok(())
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if !self.finished {
            // Fails only when the stream is over already.
            let _ = self.stream.reset(Code::Dropped.into());
        }
    }
}

/// The receiving half of a stream; stops it when dropped.
#[derive(Debug)]
pub(super) struct Receiving {
    stream: quinn::RecvStream,
    frames: Frames,
    code: Code,
}

impl Receiving {
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
            let chunk = self.stream.read_chunk(CHUNK, true).await.map_err(|error| match error {
                ReadError::ConnectionLost(error) => WireError::Gone(explain(&error)),
                ReadError::Reset(_) => WireError::Gone("the peer dropped the stream".to_owned()),
                other => WireError::Gone(other.to_string()),
            })?;
            match chunk {
                Some(chunk) => self.frames.push(&chunk.bytes),
                None if self.frames.is_between() => return Ok(None),
                None => return Err(WireError::Truncated),
            }
        }
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        // Fails only when the stream is over already.
        let _ = self.stream.stop(self.code.into());
    }
}
