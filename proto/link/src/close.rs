//! How QUIC streams and connections end: the codes on the wire and the texts for people.

use std::time::Duration;

use quinn::{ConnectionError, VarInt};

use crate::error::LinkError;

/// The application error codes of a reset stream and a closed link. PROTOCOL.md lists them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The link is closed on purpose; its reason says why.
    Closed = 0,
    /// The side that needed this stream has dropped it.
    Dropped = 1,
    /// The bytes on the stream are not messages, or not messages that this side may send.
    Unreadable = 2,
    /// The peer's key is not the expected key, or the peer has no key.
    WrongKey = 3,
}

impl From<Code> for VarInt {
    fn from(code: Code) -> Self {
        Self::from_u32(code as u32)
    }
}

/// The longest reason in bytes. Reasons are for people, and part of a single packet.
const REASON_BYTES: usize = 200;

/// How long to wait until the peer has received a close: three times the longest round trip that
/// QUIC expects.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// The reason, cut to the longest length.
pub(crate) fn clip(reason: &[u8]) -> &[u8] {
    reason.get(..REASON_BYTES).unwrap_or(reason)
}

/// The error of a link whose connection has ended.
pub(crate) fn link_error(error: &ConnectionError) -> LinkError {
    LinkError::Closed(explain(error))
}

/// Why a connection ended. Contains at most one short line of the peer's text.
pub(crate) fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ApplicationClosed(close) => {
            let reason = String::from_utf8_lossy(clip(&close.reason));
            format!("the peer closed it: {}", reason.escape_debug())
        }
        ConnectionError::ConnectionClosed(close) => {
            format!("the peer refused: {}", close.error_code)
        }
        ConnectionError::TransportError(error) => format!("{}: {}", error.code, error.reason),
        ConnectionError::TimedOut => "the peer stopped answering".to_owned(),
        ConnectionError::Reset => "the peer has restarted".to_owned(),
        ConnectionError::LocallyClosed => "closed on this side".to_owned(),
        ConnectionError::VersionMismatch | ConnectionError::CidsExhausted => error.to_string(),
    }
}
