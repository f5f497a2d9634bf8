//! Unpacks one member of a wheel, which is a zip file, while the wheel is downloaded. It reads only the
//! local headers (APPNOTE.TXT 4.3), so it needs no directory, which is at the end of the file.

use flate2::{Decompress, FlushDecompress, Status};

/// Why a wheel cannot be unpacked.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum WheelError {
    #[error("not a zip file")]
    NotZip,
    #[error("no member like {0:?} in it")]
    NoMember(String),
    #[error("a member is encrypted or packed in a way that is not read (method {0})")]
    Method(u16),
    #[error("a member is stored without its length")]
    NoLength,
    #[error("the packed data is damaged")]
    Damaged,
    #[error("it ends too early")]
    Short,
}

/// Reads a zip file in pieces of any length.
pub(super) struct Unzip {
    /// Text that only the path of the member to unpack contains.
    member: String,
    /// The first bytes of an incomplete header.
    head: Vec<u8>,
    state: State,
    /// A buffer for unpacked bytes.
    out: Vec<u8>,
}

enum State {
    Header,
    Packed {
        is_member: bool,
        inflate: Box<Decompress>,
        descriptor: Option<Descriptor>,
    },
    Stored {
        is_member: bool,
        left: u64,
    },
    /// Length and checksum behind the data, which are skipped.
    Trailer(Descriptor),
    /// The member is complete; the rest is ignored.
    Complete,
}

/// How long a data descriptor is: numbers of 8 bytes in a zip64.
#[derive(Clone, Copy)]
struct Descriptor {
    wide: bool,
}

/// A local header.
struct Header {
    length: usize,
    name: String,
    flags: u16,
    method: u16,
    packed: u64,
    wide: bool,
}

const LOCAL: u32 = 0x0403_4b50;
const DIRECTORY: u32 = 0x0201_4b50;
const DESCRIPTOR: u32 = 0x0807_4b50;
const HEADER_BYTES: usize = 30;

impl Unzip {
    pub(super) fn new(member: &str) -> Self {
        Self {
            member: member.to_owned(),
            head: Vec::new(),
            state: State::Header,
            out: vec![0; 128 << 10],
        }
    }

    /// Whether the whole member was unpacked.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Unpacks these bytes and calls `give` with the result.
    pub(super) fn take<E: From<WheelError>>(
        &mut self,
        mut bytes: &[u8],
        give: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() && !self.is_complete() {
            bytes = match &mut self.state {
                State::Complete => break,
                State::Header => self.header(bytes)?,
                State::Trailer(descriptor) => {
                    let descriptor = *descriptor;
                    self.trailer(bytes, descriptor)
                }
                State::Stored { is_member, left } => {
                    let here = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    let (data, rest) = bytes.split_at(here);
                    if *is_member {
                        give(data)?;
                    }
                    *left -= here as u64;
                    if *left == 0 {
                        self.state = if *is_member { State::Complete } else { State::Header };
                    }
                    rest
                }
                State::Packed { is_member, inflate, descriptor } => {
                    let (rest, is_end) = unpack(inflate, bytes, &mut self.out, *is_member, give)?;
                    if is_end {
                        self.state = match (*is_member, *descriptor) {
                            (true, _) => State::Complete,
                            (false, Some(descriptor)) => State::Trailer(descriptor),
                            (false, None) => State::Header,
                        };
                    }
                    rest
                }
            };
        }
        Ok(())
    }

    /// Collects the bytes of a local header and returns the rest.
    fn header<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], WheelError> {
        let before = self.head.len();
        self.head.extend_from_slice(bytes);
        if number(&self.head, 0, 4) == Some(u64::from(DIRECTORY)) {
            return Err(WheelError::NoMember(self.member.clone()));
        }
        if number(&self.head, 0, 4).is_some_and(|signature| signature != u64::from(LOCAL)) {
            return Err(WheelError::NotZip);
        }
        let Some(header) = Header::read(&self.head) else { return Ok(&[]) };
        let rest = bytes.get(header.length.saturating_sub(before)..).unwrap_or_default();
        self.head.clear();
        let is_member = header.name.contains(&self.member);
        let descriptor = (header.flags & 8 != 0).then_some(Descriptor { wide: header.wide });
        self.state = match (header.method, descriptor) {
            _ if header.flags & 1 != 0 => return Err(WheelError::Method(header.method)),
            (8, descriptor) => {
                let inflate = Box::new(Decompress::new(false));
                State::Packed { is_member, inflate, descriptor }
            }
            (0, Some(_)) => return Err(WheelError::NoLength),
            (0, None) if header.packed == 0 && !is_member => State::Header,
            (0, None) => State::Stored { is_member, left: header.packed },
            (method, _) => return Err(WheelError::Method(method)),
        };
        Ok(rest)
    }

    /// Collects the bytes of a data descriptor, with or without its signature, and returns the rest.
    fn trailer<'a>(&mut self, bytes: &'a [u8], descriptor: Descriptor) -> &'a [u8] {
        let before = self.head.len();
        self.head.extend_from_slice(bytes.get(..bytes.len().min(24)).unwrap_or_default());
        let Some(first) = number(&self.head, 0, 4) else { return &[] };
        let signature = if first == u64::from(DESCRIPTOR) { 4 } else { 0 };
        let length = signature + if descriptor.wide { 20 } else { 12 };
        if self.head.len() < length {
            return &[];
        }
        self.head.clear();
        self.state = State::Header;
        bytes.get(length.saturating_sub(before)..).unwrap_or_default()
    }
}

/// Unpacks until the input or the member ends. Returns the rest, and whether the member ended.
fn unpack<'a, E: From<WheelError>>(
    inflate: &mut Decompress,
    mut bytes: &'a [u8],
    out: &mut [u8],
    is_member: bool,
    give: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(&'a [u8], bool), E> {
    loop {
        let (read, output_bytes) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(bytes, out, FlushDecompress::None)
            .map_err(|_| WheelError::Damaged)?;
        let read = usize::try_from(inflate.total_in() - read).map_err(|_| WheelError::Damaged)?;
        let output_bytes =
            usize::try_from(inflate.total_out() - output_bytes).map_err(|_| WheelError::Damaged)?;
        bytes = bytes.get(read..).ok_or(WheelError::Damaged)?;
        if is_member && output_bytes > 0 {
            give(out.get(..output_bytes).ok_or(WheelError::Damaged)?)?;
        }
        match status {
            Status::StreamEnd => return Ok((bytes, true)),
            // All input is used and the buffer was not full: more input is needed.
            _ if bytes.is_empty() && output_bytes < out.len() => return Ok((bytes, false)),
            _ if read == 0 && output_bytes == 0 => return Err(WheelError::Damaged.into()),
            _ => {}
        }
    }
}

impl Header {
    /// `None` until the header is complete.
    fn read(head: &[u8]) -> Option<Self> {
        let (name, extra) = (number(head, 26, 2)? as usize, number(head, 28, 2)? as usize);
        let length = HEADER_BYTES + name + extra;
        let fields = head.get(HEADER_BYTES + name..length)?;
        let wide = wide(fields);
        Some(Self {
            length,
            name: String::from_utf8_lossy(head.get(HEADER_BYTES..HEADER_BYTES + name)?)
                .into_owned(),
            flags: number(head, 6, 2)? as u16,
            method: number(head, 8, 2)? as u16,
            // A zip64 field gives the unpacked length first, then the packed one.
            packed: wide.and_then(|field| number(field, 8, 8)).unwrap_or(number(head, 18, 4)?),
            wide: wide.is_some(),
        })
    }
}

/// The zip64 field among the extra ones (4.5.3).
fn wide(mut fields: &[u8]) -> Option<&[u8]> {
    loop {
        let (id, length) = (number(fields, 0, 2)?, number(fields, 2, 2)? as usize);
        let field = fields.get(4..4 + length)?;
        if id == 1 {
            return Some(field);
        }
        fields = fields.get(4 + length..)?;
    }
}

/// Little endian, `width` bytes of them.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at + width)?;
    Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

impl std::fmt::Debug for Unzip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unzip").field("member", &self.member).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
