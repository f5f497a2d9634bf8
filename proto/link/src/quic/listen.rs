//! The gateway's end: accepts links on one UDP socket.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, crypto::rustls::QuicServerConfig};
use shoal_proto::{identity::Identity, version::ALPN};
use tokio::{task::JoinSet, time::timeout};

use super::{
    Limits,
    admission::{Admission, Permit, Rejection},
    limits,
    link::QuicLink,
};
use crate::{
    close::{CLOSE_TIMEOUT, Code, clip, explain},
    tls,
};

/// Bytes of the socket's buffers: a burst of all nodes' heartbeats fits. The kernel may give less.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Most connection attempts that wait for [`Listener::accept`].
const ATTEMPTS: usize = 1024;
/// Most bytes that wait with one attempt, and with all of them.
const ATTEMPT_BYTES: u64 = 16 * 1024;
const ATTEMPT_BYTES_TOTAL: u64 = 4 * 1024 * 1024;

/// Accepts links on one UDP socket.
#[derive(Debug)]
pub struct Listener {
    endpoint: Endpoint,
    limits: Limits,
    admission: Arc<Admission>,
    handshakes: JoinSet<Result<QuicLink, Rejection>>,
}

impl Listener {
    /// Listens at `address` (with port 0: at any free port) under the key of `identity`.
    ///
    /// # Errors
    /// If the socket cannot be opened or the key cannot be used for TLS.
    pub fn bind(address: SocketAddr, identity: &Identity, limits: Limits) -> io::Result<Self> {
        Self::bind_with(address, tls::server(identity, ALPN).map_err(io::Error::other)?, limits)
    }

    fn bind_with(
        address: SocketAddr,
        tls: rustls::ServerConfig,
        limits: Limits,
    ) -> io::Result<Self> {
        let tls = QuicServerConfig::try_from(tls).map_err(io::Error::other)?;
        let mut config = ServerConfig::with_crypto(Arc::new(tls));
        let mut tokens = quinn::ValidationTokenConfig::default();
        tokens.sent(0).log(Arc::new(quinn::NoneTokenLog));
        config
            .transport_config(limits::gateway())
            .validation_token_config(tokens)
            .migration(true)
            .max_incoming(ATTEMPTS)
            .incoming_buffer_size(ATTEMPT_BYTES)
            .incoming_buffer_size_total(ATTEMPT_BYTES_TOTAL);
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = socket(address)?;
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
        let admission = Arc::new(Admission::new(limits));
        Ok(Self { endpoint, limits, admission, handshakes: JoinSet::new() })
    }

    /// The address of the socket.
    ///
    /// # Errors
    /// If the socket is closed.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next link, or the next rejected peer. `None` when the listener is closed. Handshakes
    /// proceed only during this call, so it must be called all the time. Dropping the future loses
    /// nothing.
    pub async fn accept(&mut self) -> Option<Result<QuicLink, Rejection>> {
        loop {
            tokio::select! {
                Some(result) = self.handshakes.join_next() => {
                    // The panic of a handshake is reported by the panic hook and concerns no other
                    // peer.
                    if let Ok(link) = result {
                        return Some(link);
                    }
                }
                attempt = self.endpoint.accept() => {
                    if let Err(rejection) = self.start_handshake(attempt?) {
                        return Some(Err(rejection));
                    }
                }
            }
        }
    }

    /// Closes all links and accepts no more. Resolves when the peers have received the reason, or
    /// after one second.
    pub async fn close(&self, reason: &str) {
        self.endpoint.close(Code::Closed.into(), clip(reason.as_bytes()));
        let _ = timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }

    /// Starts a handshake if the limits allow it.
    fn start_handshake(&mut self, attempt: Incoming) -> Result<(), Rejection> {
        let count = self.handshakes.len();
        if count >= self.limits.retry_above && !attempt.remote_address_validated() {
            // Fails only for a validated address.
            let _ = attempt.retry();
            return Ok(());
        }
        let address = attempt.remote_address().ip();
        let admission = if count < self.limits.handshakes {
            self.admission.admit(address)
        } else {
            Err(Rejection::Busy { address, handshakes: count })
        };
        match admission {
            Ok(permit) => {
                self.handshakes.spawn(handshake(attempt, permit, self.limits.handshake));
                Ok(())
            }
            Err(rejection) => {
                attempt.refuse();
                Err(rejection)
            }
        }
    }
}

async fn handshake(
    attempt: Incoming,
    permit: Permit,
    limit: Duration,
) -> Result<QuicLink, Rejection> {
    let address = permit.address();
    link(attempt, permit, limit).await.map_err(|message| Rejection::Handshake { address, message })
}

async fn link(attempt: Incoming, permit: Permit, limit: Duration) -> Result<QuicLink, String> {
    let connection = timeout(limit, attempt)
        .await
        .map_err(|_| "the handshake took too long".to_owned())?
        .map_err(|error| explain(&error))?;
    QuicLink::with_permit(connection, permit).map_err(|error| error.to_string())
}

/// A UDP socket with large buffers.
fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // `[::]` then receives IPv4 as well, if the system supports it.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    for (name, result, size) in [
        ("receive", socket.set_recv_buffer_size(SOCKET_BUFFER), socket.recv_buffer_size()),
        ("send", socket.set_send_buffer_size(SOCKET_BUFFER), socket.send_buffer_size()),
    ] {
        if result.is_err() || size.as_ref().is_ok_and(|size| *size < SOCKET_BUFFER) {
            tracing::debug!(
                buffer = name,
                bytes = size.ok(),
                "the kernel gives the socket a smaller buffer than requested (see net.core.rmem_max)"
            );
        }
    }
    Ok(socket.into())
}
