//! Limits on the resources of a peer. With quinn's defaults, a hostile peer can occupy 130 MiB of a
//! gateway's memory with streams that nobody reads. With these limits it is about 1.5 MiB, which
//! a test measures.

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// The idle time-out in milliseconds: a link survives the loss of two keep-alives.
const IDLE_MS: u32 = 45_000;

/// The interval of keep-alives: common NATs forget a UDP flow after 30 s without traffic. Only
/// nodes send them, because the NAT is theirs and each exchange costs a gateway 60 us of CPU.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Limits on the links of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most links at the same time. An idle link takes about 35 KiB, a busy one 60 KiB.
    pub links: usize,
    /// Most links from one IPv4 address or one IPv6 /64 block, which is what one host gets. The
    /// default is enough for a rack of nodes behind one NAT, and no host can take all links.
    pub links_per_address: usize,
    /// Most handshakes at the same time. A handshake takes 0.5 ms of CPU.
    pub handshakes: usize,
    /// With this many handshakes, a new peer first gets a Retry, which proves that it receives at
    /// its address. Forged addresses thereby start no handshakes.
    pub retry_above: usize,
    /// The longest time of a handshake, which needs three packets.
    pub handshake: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            links: 4096,
            links_per_address: 128,
            handshakes: 256,
            retry_above: 64,
            handshake: Duration::from_secs(10),
        }
    }
}

/// A gateway's settings for each of many unknown nodes.
pub(super) fn gateway() -> Arc<TransportConfig> {
    let mut config = common();
    config
        // A node opens one control stream. Quinn reserves about 90 bytes for each allowed stream.
        .max_concurrent_bidi_streams(VarInt::from_u32(16))
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .stream_receive_window(VarInt::from_u32(256 * KIB))
        .receive_window(VarInt::from_u32(MIB))
        .send_window(u64::from(MIB));
    Arc::new(config)
}

/// A node's settings for the few gateways that its owner chose.
pub(super) fn node() -> Arc<TransportConfig> {
    let mut config = common();
    config
        // One stream for each piece of work. The limit is far over any node's slots, so that a busy
        // node answers with its own error and does not block the gateway.
        .max_concurrent_bidi_streams(VarInt::from_u32(64))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(MIB))
        .receive_window(VarInt::from_u32(8 * MIB))
        .send_window(u64::from(MIB))
        .keep_alive_interval(Some(KEEP_ALIVE));
    Arc::new(config)
}

fn common() -> TransportConfig {
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_MS))))
        // A handshake with raw keys and post-quantum key exchange has 2 KiB.
        .crypto_buffer_size(8 * KIB as usize)
        // Datagrams are not used and need no buffers.
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0);
    config
}
