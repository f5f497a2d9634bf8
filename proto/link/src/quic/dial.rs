//! The node's end: reaches a gateway, wherever its name leads.

use std::{
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use quinn::{
    ClientConfig, ConnectionError, Endpoint, TransportErrorCode, crypto::rustls::QuicClientConfig,
};
use tokio::{
    net::lookup_host,
    time::{sleep, timeout},
};

use super::{Code, LinkError, QuicLink, explain, limits};
use crate::{Link, tls};
use shoal_proto::{NodeId, identity::Identity, version::ALPN, wire::Side};

/// For all of it: finding the addresses, and trying them.
const PATIENCE: Duration = Duration::from_secs(10);

/// The head start of each address before the next is tried beside it (RFC 8305 says 250 ms).
const HEAD_START: Duration = Duration::from_millis(250);

/// Addresses of one name to try at most.
const ADDRESSES: usize = 8;

/// TLS wants a name; none is sent, and none is checked: the key is the name.
const NAME: &str = "shoal";

/// Reaches the gateway at `address` (`host:port`). When a key is `expected` only that one will
/// do; else the caller decides by [`Link::peer`] (see [`shoal_proto::identity::pins`]).
///
/// # Errors
/// [`LinkError::Unreachable`] when nobody takes us in within ten seconds,
/// [`LinkError::WrongKey`] when who answers is somebody else.
pub async fn dial(
    address: &str,
    identity: &Identity,
    expected: Option<NodeId>,
) -> Result<QuicLink, LinkError> {
    let unreachable =
        |message: String| LinkError::Unreachable { address: address.to_owned(), message };
    let tls = tls::client(identity, ALPN).map_err(|error| unreachable(error.to_string()))?;
    let tls = QuicClientConfig::try_from(tls).map_err(|error| unreachable(error.to_string()))?;
    let mut config = ClientConfig::new(Arc::new(tls));
    config.transport_config(limits::node());
    match timeout(PATIENCE, reach(address, &config)).await {
        Ok(Ok(link)) => match expected {
            Some(expected) if expected != link.peer() => {
                link.connection
                    .close(Code::WrongKey.into(), b"not the gateway that is pinned here");
                Err(LinkError::WrongKey { expected, found: link.peer() })
            }
            _ => Ok(link),
        },
        Ok(Err(message)) => Err(unreachable(message)),
        Err(_) => Err(unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

/// The first of the addresses that answers.
async fn reach(address: &str, config: &ClientConfig) -> Result<QuicLink, String> {
    let addresses = lookup_host(address).await.map_err(|error| error.to_string())?;
    let mut tries: FuturesUnordered<_> = (0..)
        .zip(addresses.take(ADDRESSES))
        .map(|(place, address)| async move {
            sleep(HEAD_START * place).await;
            knock(address, config).await.map_err(|error| format!("{address}: {error}"))
        })
        .collect();
    let mut failed = Vec::new();
    while let Some(tried) = tries.next().await {
        match tried {
            Ok(link) => return Ok(link),
            Err(why) => failed.push(why),
        }
    }
    Err(if failed.is_empty() { "the name has no address".to_owned() } else { failed.join("; ") })
}

/// A socket of its own for each try: the families differ, and it is closed with the link.
async fn knock(address: SocketAddr, config: &ClientConfig) -> Result<QuicLink, String> {
    let from: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let endpoint = Endpoint::client(from).map_err(|error| error.to_string())?;
    let connecting =
        endpoint.connect_with(config.clone(), address, NAME).map_err(|error| error.to_string())?;
    let connection = connecting.await.map_err(|error| refusal(&error))?;
    let mut link = QuicLink::new(connection, Side::Gateway).map_err(|error| error.to_string())?;
    link.endpoint = Some(endpoint);
    Ok(link)
}

/// TLS alert 120: the gateway speaks none of the protocols offered.
const NO_APPLICATION_PROTOCOL: u8 = 120;

fn refusal(error: &ConnectionError) -> String {
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
        other => explain(other),
    }
}
