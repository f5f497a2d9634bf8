//! A text that is never shown: tokens and keys.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

/// A token or a key. `Debug` and serialization show only whether it is set.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The empty text means "not set".
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself; `None` when it is not set.
    pub fn expose(&self) -> Option<&str> {
        (!self.0.is_empty()).then_some(&self.0)
    }

    fn label(&self) -> &'static str {
        if self.0.is_empty() { "" } else { "(set)" }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_shows_only_whether_it_is_set() {
        let token: Secret = serde_json::from_str("\"lantern\"").unwrap();
        assert_eq!(token.expose(), Some("lantern"));
        assert_eq!(format!("{token:?}"), "(set)");
        assert_eq!(serde_json::to_string(&token).unwrap(), "\"(set)\"");
        assert_eq!(format!("{:?}", Secret::default()), "");
        assert_eq!(Secret::default().expose(), None);
    }
}
