//! GGUF: one file with the weights, the shape, the vocabulary and the chat template of a model. The
//! format is described at <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! The file is not trusted: every count, offset and length is checked against the file's size before it
//! is used.

mod read;
mod metadata;
mod texts;
mod block;
mod architecture;
mod config;

use std::{collections::BTreeMap, path::Path};

pub(crate) use architecture::Architecture;
pub(crate) use block::Kind;
pub(crate) use metadata::Metadata;
#[cfg(test)]
pub(crate) use metadata::Value;
pub(crate) use read::Fault;
pub(crate) use texts::Texts;

use super::{LoadError, bytes::Bytes};
use read::Cursor;

/// An open file. Its weights stay in the file until they are read.
#[derive(Debug)]
pub(crate) struct Gguf {
    place: String,
    bytes: Bytes,
    metadata: Metadata,
    tensors: BTreeMap<String, Entry>,
}

/// The position of a tensor in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Outermost dimension first, `[out, in]`. The file has the reverse order.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// From the start of the file, in bytes.
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// More than any model has; each tensor costs memory.
const TENSORS_MAX: usize = 1 << 16;
/// Used if the file sets none.
const ALIGNMENT: u64 = 32;

impl Gguf {
    /// Maps a file and parses everything but its weights.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let bytes = Bytes::map(path)
            .map_err(|source| LoadError::Folder { path: path.to_owned(), source })?;
        Self::parse(path.display().to_string(), bytes)
    }

    pub(crate) fn parse(place: String, bytes: Bytes) -> Result<Self, LoadError> {
        match layout(&bytes) {
            Ok((metadata, tensors)) => Ok(Self { place, bytes, metadata, tensors }),
            Err(why) => Err(LoadError::Gguf { place, why }),
        }
    }

    /// The file's path for messages.
    #[cfg(test)]
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// `general.architecture`, the prefix of the keys that describe the model's shape.
    pub(crate) fn architecture(&self) -> &str {
        self.metadata.text("general.architecture").unwrap_or_default()
    }

    /// Drops the lists of the vocabulary, which are most of the metadata.
    pub(crate) fn forget_vocabulary(&mut self) {
        for list in ["tokens", "merges", "scores", "token_type"] {
            self.metadata.forget(&format!("tokenizer.ggml.{list}"));
        }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// A tensor by its name in the file.
    pub(crate) fn tensor(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(name)
    }

    pub(crate) fn tensors(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.tensors.iter().map(|(name, entry)| (name.as_str(), entry))
    }

    /// An error that names the file.
    pub(crate) fn fault(&self, why: impl Into<String>) -> LoadError {
        LoadError::Gguf { place: self.place.clone(), why: why.into() }
    }
}

type Layout = (Metadata, BTreeMap<String, Entry>);

fn layout(bytes: &[u8]) -> Result<Layout, Fault> {
    let mut cursor = Cursor::new(bytes);
    if cursor.array::<4>()? != *b"GGUF" {
        return Err("not a GGUF file: it does not begin with GGUF".to_owned());
    }
    match cursor.u32()? {
        2 | 3 => {}
        1 => {
            return Err("GGUF version 1, which nobody writes any more: convert it again".to_owned());
        }
        version if version.swap_bytes() <= 3 => {
            return Err("a GGUF file for big-endian machines: convert it again".to_owned());
        }
        version => return Err(format!("GGUF version {version}: versions 2 and 3 are read")),
    }
    // A tensor takes at least the length of its name, a dimension, a type and an offset; a pair at least
    // the length of its key, a type and a byte.
    let tensors = cursor.u64()?;
    let pairs = cursor.count("keys", 13)?;
    let max = (cursor.rest() / 24).min(TENSORS_MAX);
    let count = usize::try_from(tensors).ok().filter(|count| *count <= max);
    let count = count.ok_or_else(|| {
        format!("cut off or corrupt: {tensors} tensors do not fit into the rest of the file")
    })?;
    let metadata = Metadata::read(&mut cursor, pairs)?;
    if let Some(parts) = metadata.unsigned("split.count").filter(|parts| *parts > 1) {
        return Err(format!(
            "one of {parts} parts of a model: join them with llama-gguf-split --merge"
        ));
    }
    let tensors = table(&mut cursor, count, alignment(&metadata)?)?;
    Ok((metadata, tensors))
}

fn alignment(metadata: &Metadata) -> Result<u64, Fault> {
    let Some(_) = metadata.get("general.alignment") else { return Ok(ALIGNMENT) };
    metadata
        .unsigned("general.alignment")
        .filter(|bytes| bytes.is_power_of_two() && *bytes <= 1 << 20)
        .ok_or_else(|| "general.alignment is not a power of two up to a million".to_owned())
}

fn table(
    cursor: &mut Cursor<'_>,
    count: usize,
    alignment: u64,
) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut heads = Vec::new();
    for _ in 0..count {
        let name = cursor.text()?;
        let head = Head::read(cursor).map_err(|fault| format!("{name:.80}: {fault}"))?;
        heads.push((name, head));
    }
    let start = (cursor.position() as u64).next_multiple_of(alignment);
    let size = (cursor.position() + cursor.rest()) as u64;
    let mut tensors = BTreeMap::new();
    for (name, head) in heads {
        let entry =
            head.place(start, size, alignment).map_err(|fault| format!("{name:.80}: {fault}"))?;
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(format!("{name:.80} is there twice"));
        }
    }
    Ok(tensors)
}

/// An entry of the tensor table as the file has it.
struct Head {
    shape: Vec<usize>,
    kind: Kind,
    offset: u64,
}

impl Head {
    fn read(cursor: &mut Cursor<'_>) -> Result<Self, Fault> {
        let dimensions = cursor.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!("{dimensions} dimensions: there are 1 to 4"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = cursor.u64()?;
            shape.push(usize::try_from(size).map_err(|_| format!("a dimension of {size}"))?);
        }
        shape.reverse();
        let kind = Kind::from_code(cursor.u32()?)?;
        Ok(Self { shape, kind, offset: cursor.u64()? })
    }

    /// The position of the tensor in a file of `size` bytes whose weights start at `start`.
    fn place(self, start: u64, size: u64, alignment: u64) -> Result<Entry, Fault> {
        let Self { shape, kind, offset } = self;
        let block = kind.layout();
        let inner = shape.last().copied().unwrap_or_default();
        if !inner.is_multiple_of(block.weights) {
            let weights = block.weights;
            return Err(format!("{kind:?} keeps {weights} weights together, rows have {inner}"));
        }
        if !offset.is_multiple_of(alignment) {
            return Err(format!("it starts at {offset}, which is not aligned to {alignment}"));
        }
        let weights = shape.iter().try_fold(1_usize, |count, size| count.checked_mul(*size));
        let len = weights.and_then(|count| (count / block.weights).checked_mul(block.bytes));
        let first = start.checked_add(offset);
        let end = first.zip(len).and_then(|(first, len)| first.checked_add(len as u64));
        let fits = end.is_some_and(|end| end <= size);
        let start_index = first.and_then(|first| usize::try_from(first).ok()).filter(|_| fits);
        match (start_index, len) {
            (Some(start), Some(len)) => Ok(Entry { shape, kind, start, len }),
            _ => Err(format!(
                "cut off or corrupt: a tensor of {shape:?} at {offset} ends beyond the file's {size} bytes"
            )),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
