//! The trait that gateway and node program against.

use std::{net::IpAddr, time::Duration};

use futures_util::future::BoxFuture;
use shoal_proto::NodeId;

use crate::{error::LinkError, stream::Stream};

/// A connection to one peer whose key is proven. Dropping it closes it.
///
/// Both ends open streams: a node opens its control stream, a gateway opens one stream for each
/// piece of work.
pub trait Link: Send + Sync + 'static {
    /// The peer's key.
    fn peer(&self) -> NodeId;

    /// Opens a bidirectional stream. Waits while the peer's limit of streams is reached. The peer
    /// may see the stream only when the first message arrives on it.
    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// The next stream that the peer opens.
    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>>;

    /// Resolves with the reason when the link is closed. After [`Link::close`] on this side, it
    /// resolves when the peer has the reason, within a few round trips. Await it before the process
    /// ends.
    fn closed(&self) -> BoxFuture<'_, LinkError>;

    /// Closes the link at once and sends `reason` to the peer. A second call has no effect.
    fn close(&self, reason: &str);

    /// The measured round-trip time.
    fn rtt(&self) -> Duration;

    /// How many packets have come from the peer. None where the transport does not tell.
    fn received(&self) -> Option<u64> {
        None
    }

    /// The peer's address, of an IPv6 address its /64 block: what one host can have. None where the
    /// transport has no addresses.
    fn address(&self) -> Option<IpAddr> {
        None
    }

    /// Sends something that the peer's transport acknowledges at once, however busy the peer is.
    fn ping(&self) {}
}
