//! A polite leave: whoever says it takes no new work, finishes what runs, then closes.

/// Sent by either side on the control stream before it leaves.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Goodbye {
    /// Why, for people.
    #[prost(string, tag = "1")]
    pub reason: String,
}
