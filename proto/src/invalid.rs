//! The error for a message that decodes and breaks a rule.

/// A message that decodes and breaks a rule of the protocol. The text names the rule and no
/// content of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidMessage(pub &'static str);
