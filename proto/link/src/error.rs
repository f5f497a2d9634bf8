//! The errors of links.

use shoal_proto::NodeId;

/// The reason of a gateway that closes a link because a newer link has proven the same key.
pub const REPLACED: &str = "replaced";

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

impl LinkError {
    /// Whether the gateway has closed the link for a newer one of the same key.
    pub fn is_replaced(&self) -> bool {
        matches!(self, Self::Closed(why) if why.ends_with(REPLACED))
    }
}
