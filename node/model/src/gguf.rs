//! GGUF: one file that holds weights, shape, words and template of a model. The format is described
//! at <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! Nothing that the file says is believed: every count, offset and length is checked against the
//! bytes that there are before it is used.

mod read;
mod metadata;
mod texts;
mod block;
mod architecture;
mod config;
#[cfg(test)]
pub(crate) mod made;

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

/// An opened file. Its weights stay in the file until they are read.
#[derive(Debug)]
pub(crate) struct Gguf {
    place: String,
    bytes: Bytes,
    metadata: Metadata,
    tensors: BTreeMap<String, Entry>,
}

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Outermost first, `[out, in]`: the other way round than in the file.
    pub(crate) shape: Vec<usize>,
    pub(crate) kind: Kind,
    /// From the file's first byte.
    pub(crate) start: usize,
    pub(crate) len: usize,
}

/// More than any model has; each of them costs memory.
const TENSORS_MAX: usize = 1 << 16;
/// Where a file says nothing.
const ALIGNMENT: u64 = 32;

impl Gguf {
    /// Maps a file and reads all of it but its weights.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let failed = |source| LoadError::Folder { path: path.to_owned(), source };
        Self::parse(path.display().to_string(), Bytes::map(path).map_err(failed)?)
    }

    pub(crate) fn parse(place: String, bytes: Bytes) -> Result<Self, LoadError> {
        match layout(&bytes) {
            Ok((metadata, tensors)) => Ok(Self { place, bytes, metadata, tensors }),
            Err(why) => Err(LoadError::Gguf { place, why }),
        }
    }

    /// How to name the file in a message.
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

    /// Drops the lists of the vocabulary, which are most of what a file says of itself.
    pub(crate) fn forget_words(&mut self) {
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
    let mut from = Cursor::new(bytes);
    if from.array::<4>()? != *b"GGUF" {
        return Err("not a GGUF file: it does not begin with GGUF".to_owned());
    }
    match from.u32()? {
        2 | 3 => {}
        1 => return Err("GGUF version 1, which nobody writes any more: convert it anew".to_owned()),
        other if other.swap_bytes() <= 3 => {
            return Err("a GGUF file for big-endian machines: convert it anew".to_owned());
        }
        other => return Err(format!("GGUF version {other}: versions 2 and 3 are read")),
    }
    // A tensor takes at least a name's length, a dimension, a type and an offset; a pair its key's
    // length, a type and a byte.
    let tensors = from.u64()?;
    let pairs = from.count("keys", 13)?;
    let most = (from.left() / 24).min(TENSORS_MAX);
    let count = usize::try_from(tensors).ok().filter(|count| *count <= most);
    let count = count.ok_or_else(|| {
        format!("cut off or corrupt: {tensors} tensors do not fit into the rest of the file")
    })?;
    let metadata = Metadata::read(&mut from, pairs)?;
    if let Some(parts) = metadata.unsigned("split.count").filter(|parts| *parts > 1) {
        return Err(format!(
            "one of {parts} parts of a model: join them with llama-gguf-split --merge"
        ));
    }
    let tensors = table(&mut from, count, alignment(&metadata)?)?;
    Ok((metadata, tensors))
}

fn alignment(metadata: &Metadata) -> Result<u64, Fault> {
    let Some(_) = metadata.get("general.alignment") else { return Ok(ALIGNMENT) };
    let found = metadata.unsigned("general.alignment");
    found
        .filter(|bytes| bytes.is_power_of_two() && *bytes <= 1 << 20)
        .ok_or_else(|| "general.alignment is no power of two up to a million".to_owned())
}

fn table(
    from: &mut Cursor<'_>,
    count: usize,
    alignment: u64,
) -> Result<BTreeMap<String, Entry>, Fault> {
    let mut found = Vec::new();
    for _ in 0..count {
        let name = from.text()?;
        let entry = Head::read(from).map_err(|fault| format!("{name:.80}: {fault}"))?;
        found.push((name, entry));
    }
    let start = (from.at() as u64).next_multiple_of(alignment);
    let size = (from.at() + from.left()) as u64;
    let mut tensors = BTreeMap::new();
    for (name, head) in found {
        let entry =
            head.place(start, size, alignment).map_err(|fault| format!("{name:.80}: {fault}"))?;
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(format!("{name:.80} is there twice"));
        }
    }
    Ok(tensors)
}

/// An entry of the table of tensors as the file has it.
struct Head {
    shape: Vec<usize>,
    kind: Kind,
    offset: u64,
}

impl Head {
    fn read(from: &mut Cursor<'_>) -> Result<Self, Fault> {
        let dimensions = from.u32()?;
        if !(1..=4).contains(&dimensions) {
            return Err(format!("{dimensions} dimensions: there are 1 to 4"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let size = from.u64()?;
            shape.push(usize::try_from(size).map_err(|_| format!("a dimension of {size}"))?);
        }
        shape.reverse();
        let kind = Kind::from_code(from.u32()?)?;
        Ok(Self { shape, kind, offset: from.u64()? })
    }

    /// Where the tensor lies in a file of `size` bytes whose weights begin at `start`.
    fn place(self, start: u64, size: u64, alignment: u64) -> Result<Entry, Fault> {
        let Self { shape, kind, offset } = self;
        let each = kind.layout();
        let inner = shape.last().copied().unwrap_or_default();
        if !inner.is_multiple_of(each.weights) {
            let weights = each.weights;
            return Err(format!("{kind:?} keeps {weights} weights together, rows have {inner}"));
        }
        if !offset.is_multiple_of(alignment) {
            return Err(format!("it begins at {offset}, which is not aligned to {alignment}"));
        }
        let weights = shape.iter().try_fold(1_usize, |all, size| all.checked_mul(*size));
        let len = weights.and_then(|all| (all / each.weights).checked_mul(each.bytes));
        let begin = start.checked_add(offset);
        let end = begin.zip(len).and_then(|(begin, len)| begin.checked_add(len as u64));
        let fits = end.is_some_and(|end| end <= size);
        let at = begin.and_then(|begin| usize::try_from(begin).ok()).filter(|_| fits);
        match (at, len) {
            (Some(start), Some(len)) => Ok(Entry { shape, kind, start, len }),
            _ => Err(format!(
                "cut off or corrupt: a tensor of {shape:?} at {offset} ends behind the file's {size} bytes"
            )),
        }
    }
}

#[cfg(test)]
mod tests;
