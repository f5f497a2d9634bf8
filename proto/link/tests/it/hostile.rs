//! Hostile peers: a peer can do little harm to a gateway, and none to the gateway's other peers.

use std::{future::Future, net::SocketAddr, time::Duration};

use quinn::{Connection, TransportConfig, VarInt};
use shoal_link::{
    Link,
    quic::{Limits, Listener, QuicLink, Rejection, dial},
};
use shoal_proto::{Message, WireError, goodbye::Goodbye};
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};

use crate::{
    ends::{ask, gateway_identity, here, node_identity},
    raw,
};

const MIB: usize = 1024 * 1024;

/// Unsent bytes that a flooding peer keeps on its own side before its writes wait.
const OWN_BUFFER: usize = 64 * 1024;

struct Scene {
    listener: Listener,
    address: SocketAddr,
}

fn scene(limits: Limits) -> Scene {
    let listener = Listener::bind(here(), &gateway_identity(), limits).unwrap();
    let address = listener.local_addr().unwrap();
    Scene { listener, address }
}

/// A peer with its own key, and the gateway's end of its link.
async fn intruder(scene: &mut Scene, number: u8) -> (quinn::Endpoint, Connection, QuicLink) {
    let mut transport = TransportConfig::default();
    transport.send_window(OWN_BUFFER as u64);
    let connect = raw::connect(scene.address, Some([number; 32]), b"shoal/1", transport);
    let (peer, gateway) = tokio::join!(connect, scene.listener.accept());
    let (endpoint, connection) = peer.unwrap();
    (endpoint, connection, gateway.unwrap().unwrap())
}

/// A message that a node may send on its control stream.
fn goodbye(reason: &str) -> Message {
    Message::Goodbye(Goodbye { reason: reason.to_owned() })
}

fn header(length: u32, tag: u8) -> Vec<u8> {
    [length.to_be_bytes().as_slice(), &[tag]].concat()
}

#[tokio::test]
async fn a_frame_over_its_limit_ends_its_stream_and_no_other() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut good, _) = peer.open_bi().await.unwrap();
    good.write_all(&goodbye("before").encode().unwrap()).await.unwrap();
    let mut good_end = gateway.accept().await.unwrap();
    assert_eq!(good_end.receiver.next().await.unwrap(), Some(goodbye("before")));

    let (mut bad, _) = peer.open_bi().await.unwrap();
    bad.write_all(&header(4097, 7)).await.unwrap();
    let mut bad_end = gateway.accept().await.unwrap();
    let error = bad_end.receiver.next().await.unwrap_err();
    assert_eq!(error.to_string(), "a goodbye frame of 4097 bytes is over its limit of 4096");
    drop(bad_end);
    let unreadable = VarInt::from_u32(2);
    assert_eq!(bad.stopped().await.unwrap(), Some(unreadable));

    good.write_all(&goodbye("after").encode().unwrap()).await.unwrap();
    assert_eq!(good_end.receiver.next().await.unwrap(), Some(goodbye("after")));
}

#[tokio::test]
async fn what_is_no_message_ends_its_stream_by_name() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    for (bytes, text) in [
        (header(3, 99), "no message has the tag 99"),
        (header(4 << 20, 16), "a generate frame never comes from this side"),
        ([header(3, 7), vec![0xff; 3]].concat(), "a goodbye frame does not decode"),
        (header(3, 17), "a piece frame never comes from this side, or on this stream"),
        (header(3, 7), "the stream ended inside a frame"),
    ] {
        let (mut bad, _) = peer.open_bi().await.unwrap();
        bad.write_all(&bytes).await.unwrap();
        bad.finish().unwrap();
        let error = gateway.accept().await.unwrap().receiver.next().await.unwrap_err();
        assert!(error.to_string().starts_with(text), "{error}");
    }
}

/// Opens as many streams as the peer allows, and writes on all of them until every write waits.
/// Returns the numbers of bidirectional and unidirectional streams, and the bytes.
async fn flood(peer: &Connection) -> (usize, usize, usize) {
    let mut streams = Vec::new();
    while let Ok(stream) = timeout(WRITE_TIMEOUT, peer.open_bi()).await {
        streams.push(stream.unwrap().0);
    }
    let both_ways = streams.len();
    while let Ok(stream) = timeout(WRITE_TIMEOUT, peer.open_uni()).await {
        streams.push(stream.unwrap());
    }
    let one_way = streams.len() - both_ways;
    let mut writers = JoinSet::new();
    for mut stream in streams {
        writers.spawn(async move {
            let mut count = 0;
            // The header of a frame that is never completed.
            let mut bytes = header(65_536, 17);
            bytes.resize(16 * 1024, 0);
            while let Ok(Ok(n)) = timeout(WRITE_TIMEOUT, stream.write(&bytes)).await {
                count += n;
            }
            // The stream stays open: a reset would free its memory.
            std::mem::forget(stream);
            count
        });
    }
    (both_ways, one_way, writers.join_all().await.into_iter().sum())
}

/// A peer whose writes wait this long counts as stuck.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// This process's resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// With quinn's defaults, each of these peers would occupy 130 MiB.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_peer_that_floods_streams_nobody_reads_pins_little_memory() {
    const PEERS: usize = 12;
    let mut scene = scene(Limits::default());
    let mut intruders = Vec::new();
    for number in 0..PEERS {
        intruders.push(intruder(&mut scene, number as u8 + 10).await);
    }
    let before = resident();
    let mut floods = JoinSet::new();
    for (_, peer, _) in &intruders {
        let peer = peer.clone();
        floods.spawn(async move { flood(&peer).await });
    }
    for (both_ways, one_way, bytes) in floods.join_all().await {
        assert_eq!((both_ways, one_way), (16, 4));
        // The bytes are in the gateway's memory or in the peer's own buffer.
        assert!(bytes >= MIB, "{bytes}: the window was not even filled");
        assert!(bytes <= MIB + OWN_BUFFER, "{bytes}");
    }
    let bytes = resident().saturating_sub(before) / PEERS;
    println!("{} KiB for each peer, both ends together", bytes / 1024);
    assert!(bytes < 3 * MIB, "{bytes} bytes for each peer");

    // A well-behaved node is not disturbed.
    let (address, identity) = (scene.address.to_string(), node_identity());
    let (node, gateway) = tokio::join!(dial(&address, &identity, None), scene.listener.accept());
    let (node, gateway) = (node.unwrap(), gateway.unwrap().unwrap());
    let mut gateway_end = gateway.open().await.unwrap();
    gateway_end.sender.send(&ask("2 + 2?")).await.unwrap();
    let mut node_end = node.accept().await.unwrap();
    assert_eq!(node_end.receiver.next().await.unwrap(), Some(ask("2 + 2?")));
}

/// A stream that ends inside of a frame gives no message.
#[tokio::test]
async fn a_reset_inside_a_frame_is_an_error() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut bad, _) = peer.open_bi().await.unwrap();
    bad.write_all(&header(100, 7)).await.unwrap();
    let mut end = gateway.accept().await.unwrap();
    bad.reset(VarInt::from_u32(1)).unwrap();
    assert!(matches!(end.receiver.next().await, Err(WireError::Closed(_))));
}

#[tokio::test]
async fn a_peer_may_move_to_another_address() {
    let mut scene = scene(Limits::default());
    let (endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut stream, _) = peer.open_bi().await.unwrap();
    stream.write_all(&goodbye("here").encode().unwrap()).await.unwrap();
    let mut end = gateway.accept().await.unwrap();
    assert_eq!(end.receiver.next().await.unwrap(), Some(goodbye("here")));
    endpoint.rebind(std::net::UdpSocket::bind(here()).unwrap()).unwrap();
    stream.write_all(&goodbye("there").encode().unwrap()).await.unwrap();
    assert_eq!(end.receiver.next().await.unwrap(), Some(goodbye("there")));
}

/// Relays datagrams between a client and the gateway. `pass` decides for each datagram from the
/// gateway whether the client gets it.
async fn start_relay(
    gateway: SocketAddr,
    pass: impl Fn(&[u8]) -> bool + Send + 'static,
) -> (SocketAddr, impl Future<Output = ()>) {
    let outside = UdpSocket::bind(here()).await.unwrap();
    let inside = UdpSocket::bind(here()).await.unwrap();
    inside.connect(gateway).await.unwrap();
    let address = outside.local_addr().unwrap();
    let carry = async move {
        let (mut there, mut back) = ([0; 2048], [0; 2048]);
        let mut client = None;
        loop {
            tokio::select! {
                Ok((n, from)) = outside.recv_from(&mut there) => {
                    client = Some(from);
                    inside.send(&there[..n]).await.unwrap();
                }
                Ok(n) = inside.recv(&mut back) => {
                    if let Some(client) = client && pass(&back[..n]) {
                        outside.send_to(&back[..n], client).await.unwrap();
                    }
                }
            }
        }
    };
    (address, carry)
}

/// RFC 9000, 17.2: a long header with type 3.
fn is_retry(datagram: &[u8]) -> bool {
    datagram.first().is_some_and(|byte| byte & 0xb0 == 0xb0)
}

/// Whether a gateway with these limits first sends a Retry to a node.
async fn is_sent_a_retry(limits: Limits) -> bool {
    let mut scene = scene(limits);
    let (sender, mut receiver) = tokio::sync::mpsc::channel(1_000);
    let (address, carry) = start_relay(scene.address, move |datagram| {
        let _ = sender.try_send(is_retry(datagram));
        true
    })
    .await;
    let (address, identity) = (address.to_string(), node_identity());
    let connect = async { tokio::join!(dial(&address, &identity, None), scene.listener.accept()) };
    tokio::select! {
        () = carry => unreachable!("the relay does not end"),
        (node, gateway) = connect => {
            node.unwrap();
            gateway.unwrap().unwrap();
        }
    }
    receiver.recv().await.unwrap()
}

#[tokio::test]
async fn under_load_a_node_shows_first_that_it_receives_at_its_address() {
    assert!(is_sent_a_retry(Limits { retry_above: 0, ..Limits::default() }).await);
    assert!(!is_sent_a_retry(Limits::default()).await);
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_is_given_up_and_frees_its_place() {
    let limits = Limits { links: 1, handshake: Duration::from_millis(300), ..Limits::default() };
    let mut scene = scene(limits);
    let (address, carry) = start_relay(scene.address, |_| false).await;
    let (relay, identity) = (address.to_string(), node_identity());
    tokio::select! {
        () = carry => unreachable!("the relay does not end"),
        link = dial(&relay, &identity, None) => panic!("{link:?}"),
        result = scene.listener.accept() => {
            let Some(Err(Rejection::Handshake { message, .. })) = result else { panic!("{result:?}") };
            assert_eq!(message, "the handshake took too long");
        }
    }
    let direct = scene.address.to_string();
    let (node, gateway) = tokio::join!(dial(&direct, &identity, None), scene.listener.accept());
    assert!(node.is_ok() && gateway.unwrap().is_ok());
}
