//! Why a member leaves.

/// Why a member left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It said goodbye and finished its work.
    Goodbye,
    /// The link was lost.
    Lost,
    /// It sent no heartbeat for too long.
    Silent,
    /// It sent a message that the protocol does not allow here.
    Protocol,
    /// It could answer no question of its exam.
    Unfit,
    /// A newer link has proven that it holds the same key.
    Replaced,
    /// All places were taken, and a member that has shown something needed its place.
    Displaced,
    /// The gateway shuts down.
    Shutdown,
}

impl LeaveReason {
    /// A name for metrics and for the node.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::Unfit => "unfit",
            Self::Replaced => shoal_link::REPLACED,
            Self::Displaced => "displaced",
            Self::Shutdown => "shutdown",
        }
    }
}
