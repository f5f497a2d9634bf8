//! The handshake on a control stream: hello, challenge, proof, then welcome or refusal.

use sha2::{Digest as _, Sha256};

use crate::{invalid::InvalidMessage, node_id::NodeId};

/// Node to gateway: the first message on the control stream. Describes the node.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// The newest minor version that the node speaks ([`crate::version::Version::number`]).
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// The node's build, for people (`shoal-node 0.1.0`).
    #[prost(string, tag = "2")]
    pub build: String,
    /// The model that the node serves. Required.
    #[prost(message, optional, tag = "3")]
    pub model: Option<Model>,
    /// The owner of the node. Nodes of one operator share one standing. Empty if the node stands
    /// alone.
    #[prost(string, tag = "4")]
    pub operator: String,
    /// Most pieces of work that the node runs at the same time.
    #[prost(uint32, tag = "5")]
    pub slots: u32,
    /// The [`audit_proof`] of an auditor. Empty for an ordinary member.
    #[prost(bytes = "vec", tag = "6")]
    pub audit: Vec<u8>,
}

/// The value of [`Hello::audit`] for an auditor: SHA-256 over
/// `"shoal/1 audit" | gateway key (32) | node key (32) | token`. The token itself is never sent,
/// and the proof is valid for this node at this gateway only.
pub fn audit_proof(token: &str, gateway: NodeId, node: NodeId) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [b"shoal/1 audit".as_slice(), &gateway.0, &node.0, token.as_bytes()] {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Fewest characters of an auditors' token. A node shows its proof to whatever gateway it is pointed at, and
/// who has the proof can try tokens without asking anybody.
pub const AUDIT_TOKEN_CHARS_MIN: usize = 16;

/// Whether a token for auditors is long enough, and not one character again and again.
pub fn is_strong_audit_token(token: &str) -> bool {
    let different: std::collections::BTreeSet<char> = token.chars().collect();
    token.chars().count() >= AUDIT_TOKEN_CHARS_MIN && different.len() >= AUDIT_TOKEN_CHARS_MIN / 2
}

/// The model of a node and its capabilities.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Model {
    /// The name in clients' requests: letters, digits, `.`, `_`, `-`, `/`, at most
    /// [`MODEL_NAME_MAX`] bytes.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The architecture (`llama`, `qwen2`, ...), or `upstream`.
    #[prost(string, tag = "2")]
    pub family: String,
    /// SHA-256 in hex of the weights and the tokenizer. Empty for an upstream. Models with equal
    /// digests give a text the same probability, so they can audit each other.
    #[prost(string, tag = "3")]
    pub digest: String,
    /// The longest context in tokens, prompt and answer together.
    #[prost(uint32, tag = "4")]
    pub context: u32,
    /// The number of parameters. 0 if it is unknown.
    #[prost(uint64, tag = "5")]
    pub parameters: u64,
    /// Reports the log-probability of its answers ([`crate::generate::Done::logprob`]).
    #[prost(bool, tag = "6")]
    pub certainty: bool,
    /// Gives likelihood ballots.
    #[prost(bool, tag = "7")]
    pub likelihood: bool,
    /// Gives pairwise ballots (the probability at the verdict token).
    #[prost(bool, tag = "8")]
    pub pairwise: bool,
    /// A sentence about the model, for people.
    #[prost(string, tag = "9")]
    pub description: String,
    /// Turns texts into vectors.
    #[prost(bool, tag = "10")]
    pub embeds: bool,
    /// Calls functions ([`crate::generate::Generate::tools`]).
    #[prost(bool, tag = "11")]
    pub tools: bool,
    /// Constrains its answer to a [`crate::generate::Format`] while it writes.
    #[prost(bool, tag = "12")]
    pub constrained: bool,
    /// Reads images.
    #[prost(bool, tag = "13")]
    pub vision: bool,
    /// What the model is good at, by its owner's account (`code`, `math`, ...). Counts until rounds
    /// have shown the model's real strengths.
    #[prost(string, repeated, tag = "14")]
    pub tags: Vec<String>,
    /// The node's own measurement of its speed.
    #[prost(message, optional, tag = "15")]
    pub speed: Option<Speed>,
    /// Continues a text without a chat template ([`crate::generate::Generate::prompt`]).
    #[prost(bool, tag = "16")]
    pub completes: bool,
    /// Gives reasoned ballots (with a critique before the verdict).
    #[prost(bool, tag = "17")]
    pub reasoned: bool,
    /// Knows only the kinds of question that its tags name, and abstains elsewhere
    /// ([`crate::generate::Finish::Abstained`]). False for a model that takes any question.
    #[prost(bool, tag = "18")]
    pub specialist: bool,
}

/// A node's measurement of itself at its start. 0 means not measured.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Speed {
    /// Tokens of a prompt that it reads in a second.
    #[prost(uint32, tag = "1")]
    pub prefill: u32,
    /// Tokens that one stream writes in a second.
    #[prost(uint32, tag = "2")]
    pub decode: u32,
    /// Tokens that eight streams together write in a second.
    #[prost(uint32, tag = "3")]
    pub decode_eight: u32,
    /// Megabytes of weights that it reads in a second with one stream.
    #[prost(uint32, tag = "4")]
    pub bandwidth: u32,
}

/// Most tags of one model.
pub const TAGS_MAX: usize = 16;

/// Longest tag in bytes.
pub const TAG_BYTES_MAX: usize = 32;

/// Longest name of a model in bytes.
pub const MODEL_NAME_MAX: usize = 96;

/// Longest build, operator and model family in bytes.
const TEXT_BYTES_MAX: usize = 256;

/// Longest description of a model in bytes.
const DESCRIPTION_BYTES_MAX: usize = 1_024;

impl Hello {
    /// Checks that the hello is well-formed, as PROTOCOL.md defines it. The gateway calls this and
    /// answers a failure with [`RefusalReason::BadHello`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), InvalidMessage> {
        let Some(model) = &self.model else {
            return Err(InvalidMessage("the hello names no model"));
        };
        model.check()?;
        if self.slots == 0 {
            return Err(InvalidMessage("slots is at least 1: a node with none can take no work"));
        }
        if [&self.build, &self.operator].iter().any(|text| !is_text(text, TEXT_BYTES_MAX)) {
            return Err(InvalidMessage(
                "build and operator are at most 256 bytes, without control characters",
            ));
        }
        if !matches!(self.audit.len(), 0 | 32) {
            return Err(InvalidMessage("audit is 32 bytes, or empty"));
        }
        Ok(())
    }
}

impl Model {
    fn check(&self) -> Result<(), InvalidMessage> {
        if !is_model_name(&self.name) {
            return Err(InvalidMessage(
                "a model's name is 1 to 96 letters, digits, `.`, `_`, `-`, `/`",
            ));
        }
        if !(self.digest.is_empty() || is_digest(&self.digest)) {
            return Err(InvalidMessage("a model's digest is 64 lower-case hex digits, or empty"));
        }
        if self.context == 0 {
            return Err(InvalidMessage("a model's context is at least 1 token"));
        }
        if !is_text(&self.family, TEXT_BYTES_MAX) {
            return Err(InvalidMessage(
                "a model's family is at most 256 bytes, without control characters",
            ));
        }
        if !is_text(&self.description, DESCRIPTION_BYTES_MAX) {
            return Err(InvalidMessage(
                "a model's description is at most 1,024 bytes, without control characters",
            ));
        }
        if self.tags.len() > TAGS_MAX || !self.tags.iter().all(|tag| is_tag(tag)) {
            return Err(InvalidMessage(
                "a model has at most 16 tags, each 1 to 32 bytes, without control characters",
            ));
        }
        Ok(())
    }
}

/// Whether a hello may have this tag: 1 to [`TAG_BYTES_MAX`] bytes without control characters.
pub fn is_tag(tag: &str) -> bool {
    !tag.is_empty() && is_text(tag, TAG_BYTES_MAX)
}

/// Whether a model may have this name: 1 to [`MODEL_NAME_MAX`] letters, digits, `.`, `_`, `-`, `/`.
pub fn is_model_name(name: &str) -> bool {
    (1..=MODEL_NAME_MAX).contains(&name.len()) && name.chars().all(is_model_name_char)
}

/// A name that a model may have: other characters become `-`, so `llama3.2:3b` becomes `llama3.2-3b`.
/// Empty if `name` is empty.
pub fn model_name(name: &str) -> String {
    let letters = name.chars().take(MODEL_NAME_MAX);
    letters.map(|c| if is_model_name_char(c) { c } else { '-' }).collect()
}

fn is_model_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

fn is_text(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.contains(char::is_control)
}

fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Gateway to node: prove that you hold your key now.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Challenge {
    /// 32 new random bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub nonce: Vec<u8>,
}

/// Node to gateway: the answer to a [`Challenge`].
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Proof {
    /// The ed25519 signature over `"shoal/1 hello" | gateway key (32) | nonce (32)`: 64 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub signature: Vec<u8>,
}

/// Gateway to node: you are a member now.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Welcome {
    /// The minor version that both sides speak from now on.
    #[prost(uint32, tag = "1")]
    pub version: u32,
    /// Milliseconds between heartbeats.
    #[prost(uint32, tag = "2")]
    pub heartbeat_ms: u32,
}

/// Gateway to node: you are not admitted.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Refusal {
    /// Why, for programs.
    #[prost(enumeration = "RefusalReason", tag = "1")]
    pub reason: i32,
    /// Why, for people, and what to do.
    #[prost(string, tag = "2")]
    pub message: String,
    /// Milliseconds after which another attempt may succeed. 0 if it cannot succeed.
    #[prost(uint32, tag = "3")]
    pub retry_ms: u32,
}

/// Why a node was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum RefusalReason {
    /// Not a reason: the value of an absent field.
    Unspecified = 0,
    /// There is no common version.
    Version = 1,
    /// The signature is not by the key of the connection.
    WrongKey = 2,
    /// The hello is not well-formed (a bad model name, no slots, ...).
    BadHello = 3,
    /// A node with the same key is a member already.
    AlreadyHere = 4,
    /// The gateway has its highest number of members.
    Full = 5,
    /// The node sent a message too late or out of order.
    Protocol = 6,
    /// The gateway is shutting down.
    Draining = 7,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_can_be_guessed_is_weak() {
        for weak in ["", "secret", "aaaaaaaaaaaaaaaaaaaaaaaa", "password1234567"] {
            assert!(!is_strong_audit_token(weak), "{weak}");
        }
        assert!(is_strong_audit_token("9f86d081884c7d659a2feaa0c55ad015"));
    }

    #[test]
    fn names_become_names_that_the_swarm_allows() {
        assert_eq!(model_name("llama3.2:3b"), "llama3.2-3b");
        assert_eq!(model_name("org/Model_1"), "org/Model_1");
        assert_eq!(model_name(&"\u{fc}".repeat(200)), "-".repeat(96));
    }
}
