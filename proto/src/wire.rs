//! Frames on a stream: `length: u32 BE | tag: u8 | body: length bytes of protobuf`. The only
//! place that encodes and decodes.
//!
//! A header is judged before anything is allocated for its body: a tag that no message has, a
//! message that the other side never says, a length over the message's limit are refused by name.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message as _;

use crate::{embed, generate, goodbye, heartbeat, hello, judge};

/// `length: u32` and `tag: u8`.
pub const HEADER: usize = 5;

/// The first tag that stands on work streams; those below it stand on the control stream.
const WORK: u8 = 16;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Node,
    Gateway,
    /// Both may; as a listener's expectation: whoever it is.
    Either,
}

/// What is fixed for all messages of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub tag: u8,
    pub name: &'static str,
    /// Who says it: a peer never waits for a body that is not the other side's to send.
    pub says: Side,
    /// Longest body in bytes.
    pub limit: usize,
}

/// Writes what has one line for each message: the enum, its table, decoding and encoding.
macro_rules! messages {
    ($($tag:literal $name:literal $variant:ident($body:path) $says:ident $limit:expr;)*) => {
        /// Everything that can stand in a frame.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Message {
            $($variant($body),)*
        }

        /// All kinds of messages, by tag.
        pub const KINDS: &[Kind] =
            &[$(Kind { tag: $tag, name: $name, says: Side::$says, limit: $limit },)*];

        impl Message {
            /// The number in the frame's header.
            pub const fn tag(&self) -> u8 {
                match self { $(Self::$variant(_) => $tag,)* }
            }

            /// For logs and metrics: one word of a closed set.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)* }
            }

            fn length(&self) -> usize {
                match self { $(Self::$variant(body) => body.encoded_len(),)* }
            }

            fn write(&self, into: &mut BytesMut) -> Result<(), prost::EncodeError> {
                match self { $(Self::$variant(body) => body.encode(into),)* }
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
    /// The whole frame.
    ///
    /// # Errors
    /// [`WireError::TooLong`] when the other side would refuse it.
    pub fn encode(&self) -> Result<Bytes, WireError> {
        let length = self.length();
        let kind = Kind::of(self.tag())?;
        let prefix = kind.prefix(length)?;
        let mut frame = BytesMut::with_capacity(HEADER + length);
        frame.put_u32(prefix);
        frame.put_u8(kind.tag);
        self.write(&mut frame).map_err(|_| WireError::TooLong {
            name: kind.name,
            length,
            limit: kind.limit,
        })?;
        Ok(frame.freeze())
    }

    /// The message in a frame's body. Unknown fields are skipped.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it is no such message, [`WireError::Nonsense`] when it holds
    /// more of something than any message may.
    pub fn decode(tag: u8, body: &[u8]) -> Result<Self, WireError> {
        let kind = Kind::of(tag)?;
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
        .map_err(|source| WireError::Nonsense { name: kind.name, source })?;
        Ok(message)
    }
}

impl Kind {
    /// The kind with this tag.
    ///
    /// # Errors
    /// [`WireError::UnknownTag`].
    pub fn of(tag: u8) -> Result<&'static Self, WireError> {
        KINDS.iter().find(|kind| kind.tag == tag).ok_or(WireError::UnknownTag(tag))
    }

    /// The length as it stands on the wire, if a body may have it.
    fn prefix(&self, length: usize) -> Result<u32, WireError> {
        let too_long = WireError::TooLong { name: self.name, length, limit: self.limit };
        if length > self.limit {
            return Err(too_long);
        }
        u32::try_from(length).map_err(|_| too_long)
    }
}

/// Cuts the bytes that arrive on a stream into messages, however they were split on the way.
///
/// Holds at most one frame besides the last [`Frames::push`]. After an error the stream has lost
/// its place, and the same error would come again.
#[derive(Debug)]
pub struct Frames {
    from: Side,
    control: bool,
    bytes: BytesMut,
}

impl Frames {
    /// For a stream on which `from` speaks.
    pub fn new(from: Side) -> Self {
        Self { from, control: false, bytes: BytesMut::new() }
    }

    /// For the control stream of `from`: no piece of work has a place there. A gateway that hears
    /// many strangers thereby never waits for more than 16 KiB from one.
    pub fn control(from: Side) -> Self {
        Self { control: true, ..Self::new(from) }
    }

    /// Takes in what arrived.
    pub fn push(&mut self, arrived: &[u8]) {
        self.bytes.extend_from_slice(arrived);
    }

    /// The next message, `None` when more bytes are needed for it.
    ///
    /// # Errors
    /// See [`WireError`]: the header is refused before its body is waited for.
    pub fn take(&mut self) -> Result<Option<Message>, WireError> {
        let Some((mut header, rest)) = self.bytes.split_at_checked(HEADER) else {
            return Ok(None);
        };
        let length = usize::try_from(header.get_u32()).unwrap_or(usize::MAX);
        let kind = Kind::of(header.get_u8())?;
        if self.control && kind.tag >= WORK {
            return Err(WireError::OutOfPlace { name: kind.name });
        }
        if self.from != Side::Either && kind.says != Side::Either && kind.says != self.from {
            return Err(WireError::OutOfPlace { name: kind.name });
        }
        kind.prefix(length)?;
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = Message::decode(kind.tag, body)?;
        self.bytes.advance(HEADER + length);
        if self.bytes.is_empty() {
            // A stream that carried one long message must not keep its buffer while it idles.
            self.bytes = BytesMut::new();
        }
        Ok(Some(message))
    }

    /// Whether the stream may end here without cutting a frame.
    pub fn is_between(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// What can go wrong between bytes and messages.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    #[error("a {name} frame of {length} bytes is over its limit of {limit}")]
    TooLong { name: &'static str, length: usize, limit: usize },
    #[error("no message has the tag {0}")]
    UnknownTag(u8),
    #[error("a {name} frame never comes from this side, or on this stream")]
    OutOfPlace { name: &'static str },
    #[error("a {name} frame does not decode: {source}")]
    Malformed { name: &'static str, source: prost::DecodeError },
    #[error("a {name} frame makes no sense: {source}")]
    Nonsense { name: &'static str, source: Nonsense },
    #[error("the stream ended inside a frame")]
    Truncated,
    #[error("the stream is gone: {0}")]
    Gone(String),
}

/// A message that decodes and still cannot be meant; says what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Nonsense(pub &'static str);

#[cfg(test)]
pub(crate) mod tests;
