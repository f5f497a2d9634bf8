//! Why a link does not become a member, and why a member does not do its work.

use shoal_proto::{
    WireError,
    generate::{Failed, Fault},
    hello::RefusalReason,
};

/// Characters of a node's own error text that are kept: enough for one line of a log.
const MESSAGE_CHARS_MAX: usize = 200;

/// Why a link did not become a member.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAdmitted {
    /// The gateway refused the node and sent it the reason.
    #[error("refused ({reason:?}): {message}")]
    Refused {
        /// The reason for the node's program.
        reason: RefusalReason,
        /// The reason for its operator.
        message: String,
    },
    /// The link broke before the gateway had decided.
    #[error("the link was lost: {0}")]
    Lost(String),
}

impl NotAdmitted {
    /// A name for metrics and for the node.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::Lost(_) => "lost",
            Self::Refused { reason, .. } => match reason {
                RefusalReason::Version => "version",
                RefusalReason::WrongKey => "wrong_key",
                RefusalReason::BadHello => "bad_hello",
                RefusalReason::AlreadyHere => "already_here",
                RefusalReason::Full => "full",
                RefusalReason::Protocol => "protocol",
                RefusalReason::Draining => "draining",
                RefusalReason::Unspecified => "unspecified",
            },
        }
    }
}

/// Why a member did not do a piece of work. In every case another member may be able to do it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum WorkError {
    /// The member is not in the roster any more.
    #[error("the member has left")]
    Gone,
    /// The stream to the member broke.
    #[error("the stream broke: {0}")]
    Broken(String),
    /// The node answered that it could not do the work.
    #[error("the node could not do the work ({fault:?}): {message}")]
    Failed {
        /// The kind of failure.
        fault: Fault,
        /// The node's own text, at most 200 characters of it.
        message: String,
    },
    /// Its machine acknowledges nothing any more.
    #[error("the member is silent")]
    Silent,
    /// The deadline passed first.
    #[error("not done in time")]
    Late,
    /// The node's reply breaks the protocol.
    #[error("the node's reply is invalid: {0}")]
    InvalidMessage(&'static str),
    /// The member says that it cannot answer this. Not a failure of the member.
    #[error("the member abstains")]
    Abstained,
    /// The answer does not keep to the response format or the tools of the request.
    #[error("the answer is not what was asked for: {0}")]
    Unsuitable(&'static str),
}

impl WorkError {
    /// Every [`label`](Self::label).
    pub const LABELS: [&'static str; 10] = [
        "gone",
        "broken",
        "busy",
        "context_length",
        "failed",
        "silent",
        "late",
        "nonsense",
        "abstained",
        "misfit",
    ];

    /// A name for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Gone => "gone",
            Self::Broken(_) => "broken",
            Self::Failed { fault: Fault::Busy, .. } => "busy",
            Self::Failed { fault: Fault::ContextLength, .. } => "context_length",
            Self::Failed { .. } => "failed",
            Self::Silent => "silent",
            Self::Late => "late",
            Self::InvalidMessage(_) => "nonsense",
            Self::Abstained => "abstained",
            Self::Unsuitable(_) => "misfit",
        }
    }
}

impl From<WireError> for WorkError {
    fn from(error: WireError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl From<Failed> for WorkError {
    fn from(failure: Failed) -> Self {
        Self::Failed {
            fault: Fault::try_from(failure.fault).unwrap_or(Fault::Unspecified),
            message: failure.message.chars().take(MESSAGE_CHARS_MAX).collect(),
        }
    }
}
