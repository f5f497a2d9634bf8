//! Why a member is no longer one.

/// Why a member is no longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It said goodbye and finished what it had.
    Goodbye,
    /// The link was lost.
    Lost,
    /// No heartbeat for too long.
    Silent,
    /// It spoke out of turn.
    Protocol,
    /// It could answer nothing at all.
    Unfit,
    /// The gateway is shutting down.
    Shutdown,
}

impl LeaveReason {
    /// A name for metrics and for the other side.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Goodbye => "goodbye",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
            Self::Unfit => "unfit",
            Self::Shutdown => "shutdown",
        }
    }
}
