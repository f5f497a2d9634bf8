//! A link in memory. It keeps the promises of QUIC, on tokio's clock, which a test may pause.
//!
//! Messages are encoded as on QUIC, so that a simulation also finds messages that do not encode.

use std::time::Duration;

use futures_util::future::BoxFuture;
use shoal_proto::NodeId;
use tokio::sync::{Mutex, mpsc};

use crate::{
    error::LinkError,
    link::Link,
    stream::{
        Stream,
        pipe::{LinkState, streams},
    },
};

/// Streams that wait for the peer's [`Link::accept`] before [`Link::open`] waits.
const STREAM_BACKLOG: usize = 64;

/// The time that a message is in transit, the same in both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delay(pub Duration);

/// Both ends of one link without delay: the end of `a`, whose peer is `b`, and the end of `b`,
/// whose peer is `a`.
pub fn pair(a: NodeId, b: NodeId) -> (PipeLink, PipeLink) {
    pair_with_delay(a, b, Delay::default())
}

/// As [`pair`], with a delay for each message.
pub fn pair_with_delay(a: NodeId, b: NodeId, delay: Delay) -> (PipeLink, PipeLink) {
    let state = LinkState::default();
    let (to_b, from_a) = mpsc::channel(STREAM_BACKLOG);
    let (to_a, from_b) = mpsc::channel(STREAM_BACKLOG);
    (
        PipeLink::new(b, delay, to_b, from_b, state.clone()),
        PipeLink::new(a, delay, to_a, from_a, state),
    )
}

/// One end of a link in memory.
#[derive(Debug)]
pub struct PipeLink {
    peer: NodeId,
    delay: Delay,
    to_peer: mpsc::Sender<Stream>,
    from_peer: Mutex<mpsc::Receiver<Stream>>,
    state: LinkState,
}

impl PipeLink {
    fn new(
        peer: NodeId,
        delay: Delay,
        to_peer: mpsc::Sender<Stream>,
        from_peer: mpsc::Receiver<Stream>,
        state: LinkState,
    ) -> Self {
        Self { peer, delay, to_peer, from_peer: Mutex::new(from_peer), state }
    }
}

impl Link for PipeLink {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let (near, far) = streams(self.delay.0, &self.state);
            tokio::select! {
                biased;
                error = self.state.wait_for_close() => Err(error),
                result = self.to_peer.send(far) => {
                    result.map(|()| near).map_err(|_| self.state.error())
                }
            }
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            tokio::select! {
                biased;
                error = self.state.wait_for_close() => Err(error),
                stream = async { self.from_peer.lock().await.recv().await } => {
                    stream.ok_or_else(|| self.state.error())
                }
            }
        })
    }

    fn closed(&self) -> BoxFuture<'_, LinkError> {
        Box::pin(self.state.wait_for_close())
    }

    fn close(&self, reason: &str) {
        self.state.close(reason);
    }

    fn rtt(&self) -> Duration {
        self.delay.0 * 2
    }
}

impl Drop for PipeLink {
    fn drop(&mut self) {
        self.close("dropped");
    }
}
