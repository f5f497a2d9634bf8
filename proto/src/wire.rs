//! FrameDecoder on a stream: `length: u32 BE | tag: u8 | body: length bytes of protobuf`. Only this
//! module encodes and decodes.
//!
//! A header is checked before memory is allocated for its body. An unknown tag, a message that the
//! other side may not send, and a length over the message's limit are errors.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message as _;

pub use crate::invalid::InvalidMessage;
use crate::{embed, generate, goodbye, heartbeat, hello, judge};

/// Bytes of a frame's header: `length: u32` and `tag: u8`.
pub const HEADER_BYTES: usize = 5;

/// Tags from here on belong to work streams, smaller tags to the control stream.
const FIRST_WORK_TAG: u8 = 16;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The sender of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// A node.
    Node,
    /// A gateway.
    Gateway,
    /// For a message: both sides may send it. For a receiver: any peer.
    Either,
}

/// The properties that all messages of one kind share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageKind {
    /// The number in the frame's header.
    pub tag: u8,
    /// The name in logs, metrics and errors.
    pub name: &'static str,
    /// The side that may send it. A receiver rejects the header of any other message.
    pub says: Side,
    /// The longest body in bytes.
    pub limit: usize,
}

/// Generates, from one line for each message, the enum, the table of kinds, and the code that
/// encodes and decodes.
macro_rules! messages {
    ($($tag:literal $name:literal $variant:ident($body:path) $says:ident $limit:expr;)*) => {
        /// Any message of the protocol: the content of a frame.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $(
                #[doc = concat!("The message `", $name, "`.")]
                $variant($body),
            )*
        }

        /// All kinds of messages, in the order of their tags.
        pub const KINDS: &[MessageKind] =
            &[$(MessageKind { tag: $tag, name: $name, says: Side::$says, limit: $limit },)*];

        impl Message {
            /// The number in the frame's header.
            pub const fn tag(&self) -> u8 {
                match self { $(Self::$variant(_) => $tag,)* }
            }

            /// The name for logs and metrics: one word of a closed set.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn length(&self) -> usize {
                match self { $(Self::$variant(body) => body.encoded_len(),)* }
            }

            fn write(&self, frame: &mut BytesMut) -> Result<(), prost::EncodeError> {
                match self { $(Self::$variant(body) => body.encode(frame),)* }
            }

            fn read(tag: u8, body: &[u8]) -> Option<Result<Self, prost::DecodeError>> {
                Some(match tag {
                    $($tag => <$body>::decode(body).map(Self::$variant),)*
                    _ => return None,
                })
            }
        }
    };
}

messages! {
//  tag name        message                          says    longest body
    1  "hello"      Hello(hello::Hello)              Node    16 * KIB;
    2  "challenge"  Challenge(hello::Challenge)      Gateway 256;
    3  "proof"      Proof(hello::Proof)              Node    256;
    4  "welcome"    Welcome(hello::Welcome)          Gateway 256;
    5  "refusal"    Refusal(hello::Refusal)          Gateway 4 * KIB;
    6  "heartbeat"  Heartbeat(heartbeat::Heartbeat)  Node    256;
    7  "goodbye"    Goodbye(goodbye::Goodbye)        Either  4 * KIB;
    16 "generate"   Generate(generate::Generate)     Gateway 4 * MIB;
    17 "piece"      Piece(generate::Piece)           Node    64 * KIB;
    18 "done"       Done(generate::Done)             Node    MIB;
    19 "failed"     Failed(generate::Failed)         Node    4 * KIB;
    32 "judge"      Judge(judge::Judge)              Gateway 4 * MIB;
    33 "ballot"     Ballot(judge::Ballot)            Node    64 * KIB;
    48 "embed"      Embed(embed::Embed)              Gateway 4 * MIB;
    49 "embedded"   Embedded(embed::Embedded)        Node    4 * MIB;
}

impl Message {
    /// The message as a frame with its header.
    ///
    /// # Errors
    /// [`WireError::TooLong`] if the body is over its limit, so that the peer would reject it.
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let length = self.length();
        let kind = MessageKind::for_tag(self.tag())?;
        let prefix = kind.prefix(length)?;
        let mut frame = BytesMut::with_capacity(HEADER_BYTES + length);
        frame.put_u32(prefix);
        frame.put_u8(kind.tag);
        self.write(&mut frame).map_err(|_| WireError::TooLong {
            name: kind.name,
            length,
            limit: kind.limit,
        })?;
        Ok(frame.freeze())
    }

    /// Decodes a frame's body. Skips unknown fields.
    ///
    /// # Errors
    /// [`WireError::UnknownTag`], [`WireError::TooLong`], [`WireError::Malformed`] if the body is
    /// not such a message, [`WireError::Invalid`] if the message breaks a rule.
    pub fn decode(tag: u8, body: &[u8]) -> Result<Self, WireError> {
        let kind = MessageKind::for_tag(tag)?;
        kind.prefix(body.len())?;
        let message = Self::read(tag, body)
            .ok_or(WireError::UnknownTag(tag))?
            .map_err(|source| WireError::Malformed { name: kind.name, source })?;
        match &message {
            Self::Generate(generate) => generate.check(),
            Self::Judge(judge) => judge.check(),
            Self::Embed(embed) => embed.check(),
            _ => Ok(()),
        }
        .map_err(|source| WireError::Invalid { name: kind.name, source })?;
        Ok(message)
    }
}

impl MessageKind {
    /// The kind with this tag.
    ///
    /// # Errors
    /// [`WireError::UnknownTag`] if there is none.
    pub fn for_tag(tag: u8) -> Result<&'static Self, WireError> {
        KINDS.iter().find(|kind| kind.tag == tag).ok_or(WireError::UnknownTag(tag))
    }

    /// The length as the header has it, if it is within the limit.
    fn prefix(&self, length: usize) -> Result<u32, WireError> {
        let too_long = WireError::TooLong { name: self.name, length, limit: self.limit };
        if length > self.limit {
            return Err(too_long);
        }
        u32::try_from(length).map_err(|_| too_long)
    }
}

/// Cuts the bytes of a stream into messages. The bytes may arrive in pieces of any size.
///
/// Holds at most one frame besides the bytes of the last [`FrameDecoder::push`]. After an error the
/// position of the next frame is unknown, and each call returns the same error.
#[derive(Debug)]
pub struct FrameDecoder {
    sender: Side,
    is_control: bool,
    bytes: BytesMut,
}

impl FrameDecoder {
    /// For a work stream on which `sender` sends.
    pub fn new(sender: Side) -> Self {
        Self { sender, is_control: false, bytes: BytesMut::new() }
    }

    /// For the control stream on which `sender` sends. It rejects the messages of work streams, so
    /// that a gateway with many unknown peers buffers at most 16 KiB for each of them.
    pub fn control(sender: Side) -> Self {
        Self { is_control: true, ..Self::new(sender) }
    }

    /// Appends the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Removes and returns the next message. `None` if its frame is not complete.
    ///
    /// # Errors
    /// See [`WireError`]. A bad header is an error before its body arrives.
    pub fn take(&mut self) -> Result<Option<Message>, WireError> {
        let Some((mut header, rest)) = self.bytes.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
        let kind = MessageKind::for_tag(header.get_u8())?;
        if self.is_control && kind.tag >= FIRST_WORK_TAG {
            return Err(WireError::Unexpected { name: kind.name });
        }
        if self.sender != Side::Either && kind.says != Side::Either && kind.says != self.sender {
            return Err(WireError::Unexpected { name: kind.name });
        }
        kind.prefix(length)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = Message::decode(kind.tag, body)?;
        self.bytes.advance(HEADER_BYTES + length);
        if self.bytes.is_empty() {
            // Frees the buffer of a long message, which an idle stream would keep.
            self.bytes = BytesMut::new();
        }
        Ok(Some(message))
    }

    /// Whether the bytes end at the end of a frame.
    pub fn is_between(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Why a message cannot be sent or received.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The body is over the limit of its kind.
    #[error("a {name} frame of {length} bytes is over its limit of {limit}")]
    TooLong { name: &'static str, length: usize, limit: usize },
    /// No kind of message has this tag.
    #[error("no message has the tag {0}")]
    UnknownTag(u8),
    /// The peer may not send this message, or not on this stream.
    #[error("a {name} frame never comes from this side, or on this stream")]
    Unexpected { name: &'static str },
    /// The body is not valid protobuf of this message.
    #[error("a {name} frame does not decode: {source}")]
    Malformed { name: &'static str, source: prost::DecodeError },
    /// The message decodes and breaks a rule.
    #[error("a {name} frame makes no sense: {source}")]
    Invalid { name: &'static str, source: InvalidMessage },
    /// The stream ended before the end of a frame.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// The stream or its link is closed.
    #[error("the stream is gone: {0}")]
    Closed(String),
}

#[cfg(test)]
pub(crate) mod tests;
