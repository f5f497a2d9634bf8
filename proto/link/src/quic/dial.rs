//! The node's end: connects to a gateway at any of the addresses of its name.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use quinn::{
    ClientConfig, ConnectionError, Endpoint, TransportErrorCode, crypto::rustls::QuicClientConfig,
};
use shoal_proto::{NodeId, identity::Identity, version::ALPN};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};

use super::{limits, link::QuicLink};
use crate::{close::explain, error::LinkError, link::Link, tls};

/// The time for the look-up of the name and all attempts together.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The delay between the attempts at two addresses (250 ms in RFC 8305).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// Most addresses of one name to try.
const ADDRESSES: usize = 8;

/// A name for quinn's API. It is neither sent nor checked, because the key identifies the gateway.
const SERVER_NAME: &str = "shoal";

/// Connects to the gateway at `address` (`host:port`). With a `pin`, the gateway must have that
/// key. Without a pin, the caller decides by [`Link::peer`] (see [`shoal_proto::identity::pins`]).
///
/// # Errors
/// [`LinkError::Unreachable`] if no gateway accepts the link within ten seconds,
/// [`LinkError::WrongKey`] if the gateway has another key.
pub async fn dial(
    address: &str,
    identity: &Identity,
    pin: Option<NodeId>,
) -> Result<QuicLink, LinkError> {
    let link = dial_any(address, identity)
        .await
        .map_err(|message| LinkError::Unreachable { address: address.to_owned(), message })?;
    match pin {
        Some(pin) if pin != link.peer() => {
            link.close_with_wrong_key();
            Err(LinkError::WrongKey { expected: pin, found: link.peer() })
        }
        _ => Ok(link),
    }
}

/// Connects to the gateway at `address`, whatever its key.
async fn dial_any(address: &str, identity: &Identity) -> Result<QuicLink, String> {
    let tls = tls::client(identity, ALPN).map_err(|error| error.to_string())?;
    let tls = QuicClientConfig::try_from(tls).map_err(|error| error.to_string())?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(limits::node());
    timeout(TIMEOUT, first_link(address, &config))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())))
}

/// The link to the first of the addresses that answers.
async fn first_link(address: &str, config: &ClientConfig) -> Result<QuicLink, String> {
    let addresses = lookup_host(address).await.map_err(|error| error.to_string())?;
    let mut attempts: FuturesUnordered<_> = (0..)
        .zip(addresses.take(ADDRESSES))
        .map(|(index, address)| async move {
            sleep(ATTEMPT_DELAY * index).await;
            connect(address, config).await.map_err(|error| format!("{address}: {error}"))
        })
        .collect();
    let mut errors = Vec::new();
    while let Some(result) = attempts.next().await {
        match result {
            Ok(link) => return Ok(link),
            Err(error) => errors.push(error),
        }
    }
    Err(if errors.is_empty() { "the name has no address".to_owned() } else { errors.join("; ") })
}

/// Connects to one address. Each attempt has its own socket, because IPv4 and IPv6 need different
/// sockets; the socket closes with the link.
async fn connect(address: SocketAddr, config: &ClientConfig) -> Result<QuicLink, String> {
    let local: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(local).map_err(|error| error.to_string())?;
    let connection = endpoint
        .connect_with(config.clone(), address, SERVER_NAME)
        .map_err(|error| error.to_string())?
        .await
        .map_err(|error| explain_refusal(&error))?;
    QuicLink::with_endpoint(connection, endpoint).map_err(|error| error.to_string())
}

/// TLS alert 120: the gateway speaks none of the client's protocols.
const NO_APPLICATION_PROTOCOL: u8 = 120;

fn explain_refusal(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
        {
            "the gateway takes no more links".to_owned()
        }
        ConnectionError::ConnectionClosed(close)
            if close.error_code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) =>
        {
            format!("the gateway does not speak {}", String::from_utf8_lossy(ALPN))
        }
        error => explain(error),
    }
}
