//! Trust on first use: the key that each gateway had at the first connection. The file has one
//! `address key` a line, as `known_hosts` has, so that people can read and edit it.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::node_id::{InvalidNodeId, NodeId};

/// The keys of all gateways that this node has connected to. The owner decides where it is
/// stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, NodeId>);

impl Pins {
    /// The key that the gateway at `address` must have. `None` at the first connection, which may
    /// accept any key.
    pub fn expected(&self, address: &str) -> Option<NodeId> {
        self.0.get(address).copied()
    }

    /// Pins the key of the gateway at `address` and returns `true`. If the address has a pin, keeps
    /// that pin and returns `false`.
    pub fn meet(&mut self, address: &str, key: NodeId) -> bool {
        let is_new = !self.0.contains_key(address);
        self.0.entry(address.to_owned()).or_insert(key);
        is_new
    }
}

/// Why a line of the file cannot be read. Lines count from 1.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PinError {
    /// The line does not have two words.
    #[error("line {line} is not `address key`")]
    Words { line: usize },
    /// The second word is not a key.
    #[error("line {line}: {source}")]
    Key { line: usize, source: InvalidNodeId },
}

impl FromStr for Pins {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let mut pins = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split_once('#').map_or(content, |(content, _)| content);
            let mut words = content.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(address), Some(key), None) => {
                    let key = key.parse().map_err(|source| PinError::Key { line, source })?;
                    pins.meet(address, key);
                }
                _ => return Err(PinError::Words { line }),
            }
        }
        Ok(pins)
    }
}

impl fmt::Display for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(address, key)| writeln!(f, "{address} {key}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_met_is_the_one_expected_from_then_on() {
        let mut pins = Pins::default();
        assert_eq!(pins.expected("a:1"), None);
        assert!(pins.meet("a:1", NodeId([1; 32])));
        assert!(!pins.meet("a:1", NodeId([2; 32])));
        assert_eq!(pins.expected("a:1"), Some(NodeId([1; 32])));
        assert_eq!(pins.expected("b:1"), None);
    }

    #[test]
    fn the_file_reads_back_as_it_was_written() {
        let mut pins = Pins::default();
        pins.meet("gateway.example:4433", NodeId([7; 32]));
        pins.meet("[::1]:4433", NodeId([8; 32]));
        assert_eq!(pins.to_string().parse(), Ok(pins));
    }

    #[test]
    fn a_file_may_have_comments_and_says_which_line_is_wrong() {
        let key = NodeId([7; 32]);
        let text = format!("# met in May\n\na:1 {key} # ours\n");
        assert_eq!(text.parse::<Pins>().unwrap().expected("a:1"), Some(key));
        assert_eq!("a:1\n".parse::<Pins>(), Err(PinError::Words { line: 1 }));
        let wrong = "\na:1 zz".parse::<Pins>().unwrap_err();
        assert_eq!(wrong.to_string(), "line 2: a node id is 64 hex digits, this is \"zz\"");
    }
}
