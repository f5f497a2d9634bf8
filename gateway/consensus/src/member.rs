//! One member as a round sees it.

use shoal_proto::{NodeId, hello::Model};

/// A member as the roster sees it at this moment. Only those that take work are shown.
#[derive(Clone, Debug, PartialEq)]
pub struct MemberView {
    pub id: NodeId,
    pub model: Model,
    /// Its operator; empty: it has none.
    pub operator: String,
    /// Requests that it takes at the same time.
    pub slots: u32,
    /// Requests that it has now.
    pub running: u32,
    /// Measured; 0: not yet.
    pub tokens_per_second: f64,
    /// Bytes of text per second after the first piece; 0 when not measured.
    pub bytes_per_second: f64,
    /// Measured; 0: not yet.
    pub first_token_seconds: f64,
    /// Seconds within which 95 % of its last answers began; 0: not known.
    pub first_token_late: f64,
    /// It acknowledges nothing at present, so it gets no work.
    pub is_silent: bool,
    /// Its exam is not passed: its ballots count less.
    pub probation: bool,
    /// It has shown that it can do something ([`crate::reputation::Standing::is_proven`]). Others get no work
    /// that one member does alone while a proven one could do it.
    pub is_proven: bool,
    /// It may answer requests by its model's name: the name belongs to its weights or its operator.
    pub owns_name: bool,
}
