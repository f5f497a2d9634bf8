//! The gateway's end: who may come in, and how many.

use std::{
    collections::HashMap,
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use quinn::{Endpoint, EndpointConfig, Incoming, ServerConfig, crypto::rustls::QuicServerConfig};
use tokio::{task::JoinSet, time::timeout};

use super::{Code, Limits, QuicLink, explain, limits, told};
use crate::tls;
use shoal_proto::{identity::Identity, version::ALPN, wire::Side};

/// A burst of all nodes' heartbeats fits; the kernel may give less.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// First packets that wait for [`Listener::accept`], and what each may have sent along.
const INCOMING: usize = 1024;
const INCOMING_BYTES: u64 = 16 * 1024;
const INCOMING_BYTES_TOTAL: u64 = 4 * 1024 * 1024;

/// Takes in links on one UDP socket.
#[derive(Debug)]
pub struct Listener {
    endpoint: Endpoint,
    limits: Limits,
    door: Arc<Door>,
    handshakes: JoinSet<Result<QuicLink, Rejected>>,
}

/// Who did not come in, and why. Nothing else is disturbed by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("{address}: all {links} links are taken")]
    Full { address: IpAddr, links: usize },
    #[error("{address}: {links} links from there already")]
    Crowded { address: IpAddr, links: usize },
    #[error("{address}: {handshakes} handshakes at the same time already")]
    Busy { address: IpAddr, handshakes: usize },
    #[error("{address}: {message}")]
    Handshake { address: IpAddr, message: String },
}

impl Rejected {
    /// A name for metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Crowded { .. } => "crowded",
            Self::Busy { .. } => "busy",
            Self::Handshake { .. } => "handshake",
        }
    }
}

impl Listener {
    /// Listens at `address` (port 0: any free one) as `identity`.
    ///
    /// # Errors
    /// When the socket cannot be had.
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
            .max_incoming(INCOMING)
            .incoming_buffer_size(INCOMING_BYTES)
            .incoming_buffer_size_total(INCOMING_BYTES_TOTAL);
        let runtime = Arc::new(quinn::TokioRuntime);
        let socket = socket(address)?;
        let endpoint = Endpoint::new(EndpointConfig::default(), Some(config), socket, runtime)?;
        let door = Arc::new(Door { limits, inside: Mutex::default() });
        Ok(Self { endpoint, limits, door, handshakes: JoinSet::new() })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the socket is gone.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.endpoint.local_addr()
    }

    /// The next link, or who was not let in and why; `None` when the listener is closed. Must be
    /// called all the time: handshakes proceed only meanwhile. Dropping the future loses nothing.
    pub async fn accept(&mut self) -> Option<Result<QuicLink, Rejected>> {
        loop {
            tokio::select! {
                Some(done) = self.handshakes.join_next() => {
                    // A handshake that panicked has told so itself and concerns nobody else.
                    if let Ok(link) = done {
                        return Some(link);
                    }
                }
                incoming = self.endpoint.accept() => {
                    if let Err(rejected) = self.greet(incoming?) {
                        return Some(Err(rejected));
                    }
                }
            }
        }
    }

    /// Closes all links and takes no more; resolves when the peers have been told.
    pub async fn close(&self, reason: &str) {
        self.endpoint.close(Code::Closed.into(), told(reason));
        let _ = timeout(super::FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// Begins a handshake, if there is a place for who comes.
    fn greet(&mut self, incoming: Incoming) -> Result<(), Rejected> {
        let running = self.handshakes.len();
        if running >= self.limits.retry_above && !incoming.remote_address_validated() {
            // Errs only for who came back from a Retry, and that one is validated.
            let _ = incoming.retry();
            return Ok(());
        }
        let address = incoming.remote_address().ip();
        let admitted = if running < self.limits.handshakes {
            self.door.enter(address)
        } else {
            Err(Rejected::Busy { address, handshakes: running })
        };
        match admitted {
            Ok(guest) => {
                self.handshakes.spawn(handshake(incoming, guest, self.limits.handshake));
                Ok(())
            }
            Err(rejected) => {
                incoming.refuse();
                Err(rejected)
            }
        }
    }
}

async fn handshake(
    incoming: Incoming,
    guest: Guest,
    patience: Duration,
) -> Result<QuicLink, Rejected> {
    let address = guest.address;
    let failed = |message| Rejected::Handshake { address, message };
    let connection = timeout(patience, incoming)
        .await
        .map_err(|_| failed("the handshake took too long".to_owned()))?
        .map_err(|error| failed(explain(&error)))?;
    let mut link =
        QuicLink::new(connection, Side::Node).map_err(|error| failed(error.to_string()))?;
    link.guest = Some(guest);
    Ok(link)
}

/// A UDP socket with room for bursts.
fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    use socket2::{Domain, Protocol, Socket, Type};
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        // `[::]` then hears IPv4 as well, where the system can.
        let _ = socket.set_only_v6(false);
    }
    socket.bind(&address.into())?;
    for (name, set, given) in [
        ("receive", socket.set_recv_buffer_size(SOCKET_BUFFER), socket.recv_buffer_size()),
        ("send", socket.set_send_buffer_size(SOCKET_BUFFER), socket.send_buffer_size()),
    ] {
        if set.is_err() || given.as_ref().is_ok_and(|given| *given < SOCKET_BUFFER) {
            tracing::debug!(
                buffer = name,
                bytes = given.ok(),
                "the kernel gives the socket less buffer than asked for (see net.core.rmem_max)"
            );
        }
    }
    Ok(socket.into())
}

/// Counts who is inside.
#[derive(Debug)]
struct Door {
    limits: Limits,
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place inside; dropping it is leaving.
#[derive(Debug)]
pub(super) struct Guest {
    door: Arc<Door>,
    address: IpAddr,
}

impl Door {
    fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Guest, Rejected> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        if inside.all >= self.limits.links {
            return Err(Rejected::Full { address, links: inside.all });
        }
        let address = block(address);
        let here = inside.by_address.entry(address).or_default();
        if *here >= self.limits.links_per_address {
            return Err(Rejected::Crowded { address, links: *here });
        }
        *here += 1;
        inside.all += 1;
        Ok(Guest { door: Arc::clone(self), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut inside = self.door.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.all = inside.all.saturating_sub(1);
        if let Some(here) = inside.by_address.get_mut(&self.address) {
            *here = here.saturating_sub(1);
            if *here == 0 {
                inside.by_address.remove(&self.address);
            }
        }
    }
}

/// What one host can have of addresses: one of IPv4, 2^64 of IPv6.
fn block(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests;
