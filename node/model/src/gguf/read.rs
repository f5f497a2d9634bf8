//! Reading numbers and text from bytes that nobody vouches for.

/// What is wrong with a file, in words that follow its name.
pub(crate) type Fault = String;

/// A place in the bytes; every step is checked.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Bytes that are left: an upper bound for every claimed size.
    pub(super) fn left(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let found = end.and_then(|end| self.bytes.get(self.at..end));
        let (at, size) = (self.at, self.bytes.len());
        let bytes = found.ok_or_else(|| {
            format!("cut off: {len} bytes are missing at {at} of the {size} that there are")
        })?;
        self.at += len;
        Ok(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| format!("{N} bytes are not {}", bytes.len()))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_le_bytes)
    }

    /// A count of things that take at least `each` bytes in the file: never more than can follow.
    pub(super) fn count(&mut self, what: &str, each: usize) -> Result<usize, Fault> {
        let claimed = self.u64()?;
        let most = self.left() / each.max(1);
        usize::try_from(claimed).ok().filter(|count| *count <= most).ok_or_else(|| {
            format!("cut off or corrupt: {claimed} {what} do not fit into the rest of the file")
        })
    }

    /// Text with its length before it. Bytes that are no UTF-8 become U+FFFD.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let len = self.count("bytes of text", 1)?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }
}
