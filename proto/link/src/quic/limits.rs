//! How much a peer may cost. Quinn's defaults let one hostile peer pin 130 MiB of a gateway's
//! memory by streams that nobody reads; with these it is about 1.5 MiB (a test holds it).

use std::{sync::Arc, time::Duration};

use quinn::{IdleTimeout, TransportConfig, VarInt};

const KIB: u32 = 1024;
const MIB: u32 = 1024 * KIB;

/// Three keep-alives may get lost before a link counts as dead.
const IDLE_MS: u32 = 45_000;

/// Common NATs forget a UDP flow after 30 s of silence. Only nodes send it: it is their NAT, and
/// a gateway's CPU (60 us an exchange).
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How many links a gateway has, and with whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Links at the same time; an idle one is about 35 KiB, a busy one 60 KiB.
    pub links: usize,
    /// Links from one IPv4 address or one IPv6 /64 (which is what one host gets): a rack of
    /// nodes behind one NAT fits, one host cannot take all places.
    pub links_per_address: usize,
    /// Handshakes at the same time; one is 0.5 ms of CPU.
    pub handshakes: usize,
    /// From this many handshakes on, who has not shown that it receives at its address is sent a
    /// Retry first, so that forged addresses take no places.
    pub retry_above: usize,
    /// A handshake is three packets; who takes longer is gone or means harm.
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

/// What a gateway gives to each of many strangers.
pub(super) fn gateway() -> Arc<TransportConfig> {
    let mut config = common();
    config
        // A node opens its control stream; quinn reserves about 90 bytes for each stream allowed.
        .max_concurrent_bidi_streams(VarInt::from_u32(16))
        .max_concurrent_uni_streams(VarInt::from_u32(4))
        .stream_receive_window(VarInt::from_u32(256 * KIB))
        .receive_window(VarInt::from_u32(MIB))
        .send_window(u64::from(MIB));
    Arc::new(config)
}

/// What a node gives to the few gateways that it chose.
pub(super) fn node() -> Arc<TransportConfig> {
    let mut config = common();
    config
        // One for each piece of work; far over any node's slots, so that its own refusals speak.
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
        // A handshake with raw keys is 2 KiB with post-quantum key exchange.
        .crypto_buffer_size(8 * KIB as usize)
        // Not used: what cannot arrive needs no buffer.
        .datagram_receive_buffer_size(None)
        .datagram_send_buffer_size(0);
    config
}
