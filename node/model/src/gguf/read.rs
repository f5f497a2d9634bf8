//! Reads numbers and text from bytes that are not trusted.

/// What is wrong with a file, as a phrase that follows its name.
pub(crate) type Fault = String;

/// A position in the bytes. Every read is checked.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// Bytes after the position: an upper bound for every size in the file.
    pub(super) fn rest(&self) -> usize {
        self.bytes.len().saturating_sub(self.position)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let (start, size) = (self.position, self.bytes.len());
        let bytes = start.checked_add(len).and_then(|end| self.bytes.get(start..end));
        let bytes = bytes.ok_or_else(|| {
            format!("cut off: {len} bytes are missing at {start} of the {size} that there are")
        })?;
        self.position += len;
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

    /// A count of `items` that take at least `item_bytes` each: never more than can follow.
    pub(super) fn count(&mut self, items: &str, item_bytes: usize) -> Result<usize, Fault> {
        let count = self.u64()?;
        let max = self.rest() / item_bytes.max(1);
        usize::try_from(count).ok().filter(|count| *count <= max).ok_or_else(|| {
            format!("cut off or corrupt: {count} {items} do not fit into the rest of the file")
        })
    }

    /// Text after its length. Bytes that are not UTF-8 become U+FFFD.
    pub(super) fn text(&mut self) -> Result<String, Fault> {
        let len = self.count("bytes of text", 1)?;
        Ok(String::from_utf8_lossy(self.take(len)?).into_owned())
    }
}
