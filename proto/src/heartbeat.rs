//! A sign of life with the node's load, on the control stream.

/// Sent by the node every [`crate::hello::Welcome::heartbeat_ms`] milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Heartbeat {
    /// Increases by one from 1.
    #[prost(uint64, tag = "1")]
    pub sequence: u64,
    /// Pieces of work that run now.
    #[prost(uint32, tag = "2")]
    pub running: u32,
    /// Pieces of work that wait for a slot.
    #[prost(uint32, tag = "3")]
    pub waiting: u32,
}
