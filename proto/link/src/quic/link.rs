//! A QUIC connection as a [`Link`].

use std::{net::IpAddr, time::Duration};

use futures_util::{FutureExt as _, future::BoxFuture};
use quinn::{Connection, ConnectionError, Endpoint};
use rustls::pki_types::CertificateDer;
use shoal_proto::{
    NodeId,
    version::ALPN,
    wire::{FrameDecoder, Side},
};
use tokio::time::timeout;

use super::admission::Permit;
use crate::{
    close::{CLOSE_TIMEOUT, Code, clip, link_error},
    error::LinkError,
    link::Link,
    stream::{
        Stream,
        quic::{RecvHalf, SendHalf},
    },
    tls,
};

/// A QUIC connection whose peer has proven its key.
#[derive(Debug)]
pub struct QuicLink {
    connection: Connection,
    peer: NodeId,
    /// The side that the peer is.
    peer_side: Side,
    /// The socket of a node's link, which has its own.
    endpoint: Option<Endpoint>,
    /// The permit of a gateway's link. It counts against the limits until the link is dropped.
    permit: Option<Permit>,
}

impl QuicLink {
    /// The node's end of a connection, which owns its endpoint.
    pub(super) fn with_endpoint(
        connection: Connection,
        endpoint: Endpoint,
    ) -> Result<Self, ProtocolError> {
        let mut link = Self::new(connection, Side::Gateway)?;
        link.endpoint = Some(endpoint);
        Ok(link)
    }

    /// The gateway's end of a connection.
    pub(super) fn with_permit(
        connection: Connection,
        permit: Permit,
    ) -> Result<Self, ProtocolError> {
        let mut link = Self::new(connection, Side::Node)?;
        link.permit = Some(permit);
        Ok(link)
    }

    /// Checks the protocol and the key of a connection whose handshake is complete.
    fn new(connection: Connection, peer_side: Side) -> Result<Self, ProtocolError> {
        let protocol = connection
            .handshake_data()
            .and_then(|data| data.downcast::<quinn::crypto::rustls::HandshakeData>().ok())
            .and_then(|data| data.protocol);
        if protocol.as_deref() != Some(ALPN) {
            connection.close(Code::Closed.into(), b"another protocol");
            return Err(ProtocolError::Alpn);
        }
        let keys = connection
            .peer_identity()
            .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok());
        let Some(peer) = keys.and_then(|keys| tls::node_id(&keys)) else {
            connection.close(Code::WrongKey.into(), b"no ed25519 key");
            return Err(ProtocolError::NoKey);
        };
        Ok(Self { connection, peer, peer_side, endpoint: None, permit: None })
    }

    /// Closes the link because its key is not the pinned key.
    pub(super) fn close_with_wrong_key(&self) {
        self.connection.close(Code::WrongKey.into(), b"not the gateway that is pinned here");
    }

    /// The side that this end is.
    fn side(&self) -> Side {
        match self.peer_side {
            Side::Node => Side::Gateway,
            Side::Gateway => Side::Node,
            Side::Either => Side::Either,
        }
    }

    fn stream(
        &self,
        (sender, receiver): (quinn::SendStream, quinn::RecvStream),
        opener: Side,
    ) -> Stream {
        // The node opens the control stream, the gateway one stream for each piece of work.
        let frames = match opener {
            Side::Node => FrameDecoder::control(self.peer_side),
            Side::Gateway | Side::Either => FrameDecoder::new(self.peer_side),
        };
        (SendHalf::new(sender), RecvHalf::new(receiver, frames)).into()
    }
}

/// What can be wrong with a connection after a successful TLS handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("it does not speak {}", String::from_utf8_lossy(ALPN))]
    Alpn,
    #[error("it has no ed25519 key")]
    NoKey,
}

impl Link for QuicLink {
    fn peer(&self) -> NodeId {
        self.peer
    }

    fn open(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let result = self.connection.open_bi().await;
            result.map(|halves| self.stream(halves, self.side())).map_err(|e| link_error(&e))
        })
    }

    fn accept(&self) -> BoxFuture<'_, Result<Stream, LinkError>> {
        Box::pin(async {
            let result = self.connection.accept_bi().await;
            result.map(|halves| self.stream(halves, self.peer_side)).map_err(|e| link_error(&e))
        })
    }

    fn closed(&self) -> BoxFuture<'_, LinkError> {
        Box::pin(async {
            let error = self.connection.closed().await;
            if let (ConnectionError::LocallyClosed, Some(endpoint)) = (&error, &self.endpoint) {
                // After the time-out the peer finds out by its own idle time-out.
                let _ = timeout(CLOSE_TIMEOUT, endpoint.wait_idle()).await;
            }
            link_error(&error)
        })
    }

    fn close(&self, reason: &str) {
        self.connection.close(Code::Closed.into(), clip(reason.as_bytes()));
    }

    fn rtt(&self) -> Duration {
        self.connection.rtt()
    }

    fn received(&self) -> Option<u64> {
        Some(self.connection.stats().udp_rx.datagrams)
    }

    fn address(&self) -> Option<IpAddr> {
        self.permit.as_ref().map(Permit::address)
    }

    fn ping(&self) {
        // A stream that ends without a word: a node drops it.
        drop(self.connection.open_bi().now_or_never());
    }
}

impl Drop for QuicLink {
    fn drop(&mut self) {
        self.connection.close(Code::Closed.into(), b"dropped");
    }
}
