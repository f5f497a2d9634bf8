//! Admission: the right key, the right protocol, and the limits on links.

use quinn::TransportConfig;
use shoal_link::{
    Link, LinkError,
    quic::{Limits, Listener, QuicLink, Rejection, dial},
};
use shoal_proto::Identity;

use crate::{
    ends::{gateway_identity, here, node_identity},
    raw,
};

const SHOAL: &[u8] = b"shoal/1";

fn listen(limits: Limits) -> (Listener, String) {
    let listener = Listener::bind(here(), &gateway_identity(), limits).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Connects as the node with this number, without a pin.
async fn connect(address: &str, listener: &mut Listener, number: u8) -> Attempt {
    let identity = Identity::from_secret([number; 32]);
    let (node, gateway) = tokio::join!(dial(address, &identity, None), listener.accept());
    Attempt { node, gateway: gateway.unwrap() }
}

/// What both sides have after an attempt to connect.
struct Attempt {
    node: Result<QuicLink, LinkError>,
    gateway: Result<QuicLink, Rejection>,
}

impl Attempt {
    fn links(self) -> (QuicLink, QuicLink) {
        (self.node.unwrap(), self.gateway.unwrap())
    }

    /// The node's error and the label of the gateway's error.
    fn errors(self) -> (String, &'static str) {
        (self.node.unwrap_err().to_string(), self.gateway.unwrap_err().label())
    }
}

#[tokio::test]
async fn a_gateway_with_another_key_than_the_pinned_is_refused_by_name() {
    let (mut listener, address) = listen(Limits::default());
    let pin = Identity::from_secret([9; 32]).id();
    let identity = node_identity();
    let (node, gateway) = tokio::join!(dial(&address, &identity, Some(pin)), listener.accept());
    let Err(LinkError::WrongKey { expected, found }) = node else { panic!("{node:?}") };
    assert_eq!((expected, found), (pin, gateway_identity().id()));
    let error = gateway.unwrap().unwrap().closed().await;
    assert!(error.to_string().contains("not the gateway that is pinned here"), "{error}");
}

#[tokio::test]
async fn without_a_pin_the_caller_learns_whom_it_reached() {
    let (mut listener, address) = listen(Limits::default());
    let (node, gateway) = connect(&address, &mut listener, 1).await.links();
    assert_eq!(node.peer(), gateway_identity().id());
    assert_eq!(gateway.peer(), node_identity().id());
}

#[tokio::test]
async fn a_peer_without_a_key_is_refused_and_disturbs_nobody() {
    let (mut listener, address) = listen(Limits::default());
    let gateway = address.parse().unwrap();
    let stranger = raw::connect(gateway, None, SHOAL, TransportConfig::default());
    let (stranger, result) = tokio::join!(stranger, listener.accept());
    let Some(Err(Rejection::Handshake { message, .. })) = result else { panic!("{result:?}") };
    assert!(message.contains("peer sent no certificates"), "{message}");
    // The stranger's handshake completes before the gateway notices that the key is missing.
    let error = match stranger {
        Ok((_endpoint, connection)) => connection.closed().await,
        Err(error) => error,
    };
    assert!(error.to_string().contains("cryptographic handshake failed"), "{error}");
    connect(&address, &mut listener, 1).await.links();
}

#[tokio::test]
async fn a_stranger_that_implements_the_document_gets_in_under_its_own_key() {
    let (mut listener, address) = listen(Limits::default());
    let gateway = address.parse().unwrap();
    let stranger = raw::connect(gateway, Some([7; 32]), SHOAL, TransportConfig::default());
    let (stranger, result) = tokio::join!(stranger, listener.accept());
    assert!(stranger.is_ok());
    assert_eq!(result.unwrap().unwrap().peer(), Identity::from_secret([7; 32]).id());
}

#[tokio::test]
async fn a_node_of_another_protocol_is_refused_and_disturbs_nobody() {
    let (mut listener, address) = listen(Limits::default());
    let gateway = address.parse().unwrap();
    let stranger = raw::connect(gateway, Some([1; 32]), b"shoal/9", TransportConfig::default());
    let (stranger, result) = tokio::join!(stranger, listener.accept());
    assert!(stranger.is_err());
    let Some(Err(Rejection::Handshake { message, .. })) = result else { panic!("{result:?}") };
    assert!(message.contains("peer doesn't support any known protocol"), "{message}");
    connect(&address, &mut listener, 1).await.links();
}

#[tokio::test]
async fn a_gateway_of_another_protocol_is_refused_by_name() {
    let server = raw::server([2; 32], b"shoal/9");
    let address = server.local_addr().unwrap().to_string();
    let serve = async { server.accept().await.unwrap().await };
    let identity = node_identity();
    let (node, gateway) = tokio::join!(dial(&address, &identity, None), serve);
    assert!(gateway.is_err());
    let error = node.unwrap_err().to_string();
    assert!(error.contains("the gateway does not speak shoal/1"), "{error}");
}

#[tokio::test]
async fn a_gateway_takes_as_many_links_as_it_says() {
    let (mut listener, address) = listen(Limits { links: 2, ..Limits::default() });
    let first = connect(&address, &mut listener, 1).await.links();
    let _second = connect(&address, &mut listener, 2).await.links();
    let (error, label) = connect(&address, &mut listener, 3).await.errors();
    assert!(error.contains("the gateway takes no more links"), "{error}");
    assert_eq!(label, "full");
    drop(first);
    connect(&address, &mut listener, 3).await.links();
}

#[tokio::test]
async fn one_address_takes_as_many_links_as_the_gateway_says() {
    let (mut listener, address) = listen(Limits { links_per_address: 1, ..Limits::default() });
    let first = connect(&address, &mut listener, 1).await.links();
    let (_, label) = connect(&address, &mut listener, 2).await.errors();
    assert_eq!(label, "crowded");
    drop(first);
    connect(&address, &mut listener, 2).await.links();
}

#[tokio::test]
async fn a_gateway_shakes_as_many_hands_at_once_as_it_says() {
    let (mut listener, address) = listen(Limits { handshakes: 0, ..Limits::default() });
    let (_, label) = connect(&address, &mut listener, 1).await.errors();
    assert_eq!(label, "busy");
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    // On most systems the first address of `localhost` is ::1, where nobody listens.
    let (mut listener, address) = listen(Limits::default());
    let name = address.replace("127.0.0.1", "localhost");
    connect(&name, &mut listener, 1).await.links();
}

#[tokio::test]
async fn a_name_that_leads_nowhere_says_so() {
    let error = dial("gateway.invalid:4433", &node_identity(), None).await.unwrap_err();
    let LinkError::Unreachable { address, .. } = &error else { panic!("{error}") };
    assert_eq!(address, "gateway.invalid:4433");
    let error = dial("no port", &node_identity(), None).await.unwrap_err();
    assert!(matches!(error, LinkError::Unreachable { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_address_where_nobody_answers_is_given_up() {
    let silent = std::net::UdpSocket::bind(here()).unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let error = dial(&address, &node_identity(), None).await.unwrap_err();
    assert!(error.to_string().ends_with("no answer within 10 s"), "{error}");
}

#[tokio::test]
async fn a_closed_listener_tells_its_links_and_ends() {
    let (mut listener, address) = listen(Limits::default());
    let (node, _gateway) = connect(&address, &mut listener, 1).await.links();
    listener.close("the gateway is leaving").await;
    let error = node.closed().await;
    assert!(error.to_string().contains("the gateway is leaving"), "{error}");
    assert!(listener.accept().await.is_none());
}
