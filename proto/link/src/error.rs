//! The errors of links.

use shoal_proto::NodeId;

/// Why a link or a stream is not available.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at the address in time, or the gateway there takes no more links.
    #[error("cannot reach {address}: {message}")]
    Unreachable { address: String, message: String },
    /// The peer's key is not the expected key.
    #[error(
        "the gateway's key is {found}, expected {expected}: if it was replaced on purpose, remove the pin"
    )]
    WrongKey { expected: NodeId, found: NodeId },
    /// The link was closed by the peer, by this side, or after a time without traffic.
    #[error("the link is closed: {0}")]
    Closed(String),
}
