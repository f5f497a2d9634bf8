//! What a peer that means harm can do to a gateway: little, and to itself.

use std::{future::Future, net::SocketAddr, time::Duration};

use quinn::{Connection, TransportConfig, VarInt};
use shoal_link::{
    Link,
    quic::{Limits, Listener, QuicLink, Rejected, dial},
};
use shoal_proto::{Message, WireError, goodbye::Goodbye};
use tokio::{net::UdpSocket, task::JoinSet, time::timeout};

use crate::{
    ends::{ask, gateway_identity, here, node_identity},
    raw,
};

const MIB: usize = 1024 * 1024;

/// What a flooding peer keeps unsent on its own side before its writes wait.
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

/// A peer with a key of its own, and the gateway's end of its link.
async fn intruder(scene: &mut Scene, number: u8) -> (quinn::Endpoint, Connection, QuicLink) {
    let mut transport = TransportConfig::default();
    transport.send_window(OWN_BUFFER as u64);
    let coming = raw::connect(scene.address, Some([number; 32]), b"shoal/1", transport);
    let (come, arrived) = tokio::join!(coming, scene.listener.accept());
    let (endpoint, connection) = come.unwrap();
    (endpoint, connection, arrived.unwrap().unwrap())
}

/// What a node may say on its control stream, with a mark in it.
fn said(mark: &str) -> Message {
    Message::Goodbye(Goodbye { reason: mark.to_owned() })
}

fn header(length: u32, tag: u8) -> Vec<u8> {
    [length.to_be_bytes().as_slice(), &[tag]].concat()
}

#[tokio::test]
async fn a_frame_over_its_limit_ends_its_stream_and_no_other() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut good, _) = peer.open_bi().await.unwrap();
    good.write_all(&said("before").encode().unwrap()).await.unwrap();
    let mut good_end = gateway.accept().await.unwrap();
    assert_eq!(good_end.receiver.next().await.unwrap(), Some(said("before")));

    let (mut bad, _) = peer.open_bi().await.unwrap();
    bad.write_all(&header(4097, 7)).await.unwrap();
    let mut bad_end = gateway.accept().await.unwrap();
    let error = bad_end.receiver.next().await.unwrap_err();
    assert_eq!(error.to_string(), "a goodbye frame of 4097 bytes is over its limit of 4096");
    drop(bad_end);
    let unreadable = VarInt::from_u32(2);
    assert_eq!(bad.stopped().await.unwrap(), Some(unreadable));

    good.write_all(&said("after").encode().unwrap()).await.unwrap();
    assert_eq!(good_end.receiver.next().await.unwrap(), Some(said("after")));
}

#[tokio::test]
async fn what_is_no_message_ends_its_stream_by_name() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    for (bytes, words) in [
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
        assert!(error.to_string().starts_with(words), "{error}");
    }
}

/// Opens every stream that it may, and writes on all until nothing moves any more.
/// Returns the numbers of streams of both kinds, and the bytes.
async fn flood(peer: &Connection) -> (usize, usize, usize) {
    let mut streams = Vec::new();
    while let Ok(opened) = timeout(STUCK, peer.open_bi()).await {
        streams.push(opened.unwrap().0);
    }
    let both_ways = streams.len();
    while let Ok(opened) = timeout(STUCK, peer.open_uni()).await {
        streams.push(opened.unwrap());
    }
    let one_way = streams.len() - both_ways;
    let mut writers = JoinSet::new();
    for mut stream in streams {
        writers.spawn(async move {
            let mut written = 0;
            // The first bytes tell the length of a frame that is never completed.
            let mut bytes = header(65_536, 17);
            bytes.resize(16 * 1024, 0);
            while let Ok(Ok(n)) = timeout(STUCK, stream.write(&bytes)).await {
                written += n;
            }
            // Kept open: a reset would give back what it holds.
            std::mem::forget(stream);
            written
        });
    }
    (both_ways, one_way, writers.join_all().await.into_iter().sum())
}

/// How long a peer pushes in vain before it counts as stuck.
const STUCK: Duration = Duration::from_secs(2);

/// This process's resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib * 1024
}

/// With quinn's defaults each of these peers would pin 130 MiB.
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
        // What was pushed is in the gateway's memory or in the peer's own buffer.
        assert!(bytes >= MIB, "{bytes}: the window was not even filled");
        assert!(bytes <= MIB + OWN_BUFFER, "{bytes}");
    }
    let each = resident().saturating_sub(before) / PEERS;
    println!("{} KiB for each peer, both ends together", each / 1024);
    assert!(each < 3 * MIB, "{each} bytes for each peer");

    // And who means well is not disturbed.
    let (address, identity) = (scene.address.to_string(), node_identity());
    let (node, gateway) = tokio::join!(dial(&address, &identity, None), scene.listener.accept());
    let (node, gateway) = (node.unwrap(), gateway.unwrap().unwrap());
    let mut asking = gateway.open().await.unwrap();
    asking.sender.send(&ask("2 + 2?")).await.unwrap();
    let mut answering = node.accept().await.unwrap();
    assert_eq!(answering.receiver.next().await.unwrap(), Some(ask("2 + 2?")));
}

/// A stream that a hostile peer cuts in the middle of a message is no message.
#[tokio::test]
async fn a_reset_inside_a_frame_is_an_error() {
    let mut scene = scene(Limits::default());
    let (_endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut bad, _) = peer.open_bi().await.unwrap();
    bad.write_all(&header(100, 7)).await.unwrap();
    let mut end = gateway.accept().await.unwrap();
    bad.reset(VarInt::from_u32(1)).unwrap();
    assert!(matches!(end.receiver.next().await, Err(WireError::Gone(_))));
}

#[tokio::test]
async fn a_peer_may_move_to_another_address() {
    let mut scene = scene(Limits::default());
    let (endpoint, peer, gateway) = intruder(&mut scene, 7).await;
    let (mut sending, _receiving) = peer.open_bi().await.unwrap();
    sending.write_all(&said("here").encode().unwrap()).await.unwrap();
    let mut end = gateway.accept().await.unwrap();
    assert_eq!(end.receiver.next().await.unwrap(), Some(said("here")));
    endpoint.rebind(std::net::UdpSocket::bind(here()).unwrap()).unwrap();
    sending.write_all(&said("there").encode().unwrap()).await.unwrap();
    assert_eq!(end.receiver.next().await.unwrap(), Some(said("there")));
}

/// Carries datagrams between one client and the gateway; the gateway's go through `pass`, which
/// sees each and says whether it arrives.
async fn relay(
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

/// Whether a node that dials such a gateway is first sent a Retry.
async fn is_sent_a_retry(limits: Limits) -> bool {
    let mut scene = scene(limits);
    let (told, mut heard) = tokio::sync::mpsc::channel(1_000);
    let (address, carry) = relay(scene.address, move |datagram| {
        let _ = told.try_send(is_retry(datagram));
        true
    })
    .await;
    let (address, identity) = (address.to_string(), node_identity());
    let get_in = async { tokio::join!(dial(&address, &identity, None), scene.listener.accept()) };
    tokio::select! {
        () = carry => unreachable!("it goes on for ever"),
        (node, gateway) = get_in => {
            node.unwrap();
            gateway.unwrap().unwrap();
        }
    }
    heard.recv().await.unwrap()
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
    let (address, carry) = relay(scene.address, |_| false).await;
    let (relayed, identity) = (address.to_string(), node_identity());
    tokio::select! {
        () = carry => unreachable!("it goes on for ever"),
        dialled = dial(&relayed, &identity, None) => panic!("{dialled:?}"),
        arrived = scene.listener.accept() => {
            let Some(Err(Rejected::Handshake { message, .. })) = arrived else { panic!("{arrived:?}") };
            assert_eq!(message, "the handshake took too long");
        }
    }
    let direct = scene.address.to_string();
    let (node, gateway) = tokio::join!(dial(&direct, &identity, None), scene.listener.accept());
    assert!(node.is_ok() && gateway.unwrap().is_ok());
}
