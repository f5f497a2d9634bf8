//! What a round knows of one member.

use shoal_proto::{NodeId, hello::Model};

/// A member as the roster sees it at this moment. Only those that take work are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView {
    pub id: NodeId,
    pub model: Model,
    /// Whom it belongs to; empty: itself.
    pub operator: String,
    /// Pieces of work it takes at the same time.
    pub slots: u32,
    /// Pieces of work it has now.
    pub running: u32,
    /// Measured; 0: not yet.
    pub tokens_per_second: f64,
    /// Measured; 0: not yet.
    pub first_token_seconds: f64,
    /// Seconds within which 95 % of its last answers began; 0: not known.
    pub first_token_late: f64,
    /// It acknowledges nothing at present: it gets no work until it speaks.
    pub is_silent: bool,
    /// Not yet calibrated: it writes, its ballots weigh nothing.
    pub probation: bool,
}
