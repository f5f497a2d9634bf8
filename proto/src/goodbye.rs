//! The announcement of a shutdown: the sender takes no new work, finishes what runs, then closes.

/// Sent by either side on the control stream before it closes the link.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Goodbye {
    /// The reason, for people.
    #[prost(string, tag = "1")]
    pub reason: String,
}
