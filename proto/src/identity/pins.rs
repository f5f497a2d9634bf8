//! Trust on first use: which key each gateway had when it was first met, in a file that people
//! can read and edit, one `address key` a line, as in `known_hosts`.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::{NodeId, NotANodeId};

/// The gateways met so far. Where it is stored is its owner's business.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins(BTreeMap<String, NodeId>);

impl Pins {
    /// The key that the gateway at `address` must have; `None`: never met, any key will do once.
    pub fn expected(&self, address: &str) -> Option<NodeId> {
        self.0.get(address).copied()
    }

    /// Remembers a gateway that was met for the first time. Says whether that was news; a key
    /// that is pinned already stays.
    pub fn meet(&mut self, address: &str, key: NodeId) -> bool {
        let news = !self.0.contains_key(address);
        self.0.entry(address.to_owned()).or_insert(key);
        news
    }
}

/// A line of the file is not `address key`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadPin {
    #[error("line {line} is not `address key`")]
    Words { line: usize },
    #[error("line {line}: {source}")]
    Key { line: usize, source: NotANodeId },
}

impl FromStr for Pins {
    type Err = BadPin;

    fn from_str(text: &str) -> Result<Self, BadPin> {
        let mut pins = Self::default();
        for (line, words) in (1..).zip(text.lines()) {
            let words = words.split_once('#').map_or(words, |(words, _)| words);
            let mut words = words.split_whitespace();
            match (words.next(), words.next(), words.next()) {
                (None, ..) => {}
                (Some(address), Some(key), None) => {
                    let key = key.parse().map_err(|source| BadPin::Key { line, source })?;
                    pins.meet(address, key);
                }
                _ => return Err(BadPin::Words { line }),
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
        assert_eq!("a:1\n".parse::<Pins>(), Err(BadPin::Words { line: 1 }));
        let wrong = "\na:1 zz".parse::<Pins>().unwrap_err();
        assert_eq!(wrong.to_string(), "line 2: a node id is 64 hex digits, this is \"zz\"");
    }
}
