//! The metadata of a GGUF file: keys and typed values.

use std::collections::BTreeMap;

use super::{
    read::{Cursor, Fault},
    texts::Texts,
};

/// A value. Numbers of every width are stored in the widest type of their kind.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Flag(bool),
    Text(String),
    Unsigneds(Vec<u64>),
    Signeds(Vec<i64>),
    Floats(Vec<f32>),
    Flags(Vec<bool>),
    Texts(Texts),
}

/// All keys of a file with their values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metadata(BTreeMap<String, Value>);

impl Metadata {
    /// Reads `count` pairs of key and value.
    pub(super) fn read(cursor: &mut Cursor<'_>, count: usize) -> Result<Self, Fault> {
        let mut values = BTreeMap::new();
        for _ in 0..count {
            let key = cursor.text()?;
            let kind = cursor.u32()?;
            let value = value(cursor, kind).map_err(|fault| format!("{key:.80}: {fault}"))?;
            if values.insert(key.clone(), value).is_some() {
                return Err(format!("{key:.80} is there twice"));
            }
        }
        Ok(Self(values))
    }

    pub(super) fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    #[cfg(test)]
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let Value::Text(text) = self.get(key)? else { return None };
        Some(text)
    }

    /// A whole number that is not negative. A list with one value for each layer counts as that value if
    /// all of its values are equal.
    pub(crate) fn unsigned(&self, key: &str) -> Option<u64> {
        match self.get(key)? {
            Value::Unsigned(number) => Some(*number),
            Value::Signed(number) => u64::try_from(*number).ok(),
            Value::Unsigneds(numbers) => common(numbers).copied(),
            Value::Signeds(numbers) => u64::try_from(*common(numbers)?).ok(),
            _ => None,
        }
    }

    /// A number, whole or not.
    pub(crate) fn float(&self, key: &str) -> Option<f64> {
        match self.get(key)? {
            Value::Float(number) => Some(*number),
            Value::Unsigned(number) => Some(*number as f64),
            Value::Signed(number) => Some(*number as f64),
            _ => None,
        }
    }

    pub(crate) fn flag(&self, key: &str) -> Option<bool> {
        let Value::Flag(flag) = self.get(key)? else { return None };
        Some(*flag)
    }

    pub(crate) fn texts(&self, key: &str) -> Option<&Texts> {
        let Value::Texts(texts) = self.get(key)? else { return None };
        Some(texts)
    }

    pub(crate) fn floats(&self, key: &str) -> Option<&[f32]> {
        let Value::Floats(floats) = self.get(key)? else { return None };
        Some(floats)
    }

    /// Whole numbers of either sign.
    pub(crate) fn integers(&self, key: &str) -> Option<Vec<i64>> {
        match self.get(key)? {
            Value::Signeds(numbers) => Some(numbers.clone()),
            Value::Unsigneds(numbers) => {
                numbers.iter().map(|number| i64::try_from(*number).ok()).collect()
            }
            _ => None,
        }
    }
}

/// The value of all items, if they are equal.
fn common<T: PartialEq>(items: &[T]) -> Option<&T> {
    let first = items.first()?;
    items.iter().all(|item| item == first).then_some(first)
}

const ARRAY: u32 = 9;

fn value(cursor: &mut Cursor<'_>, kind: u32) -> Result<Value, Fault> {
    if kind == ARRAY {
        return array(cursor);
    }
    Ok(match kind {
        0 => Value::Unsigned(cursor.array::<1>().map(u8::from_le_bytes)?.into()),
        1 => Value::Signed(cursor.array().map(i8::from_le_bytes)?.into()),
        2 => Value::Unsigned(cursor.array().map(u16::from_le_bytes)?.into()),
        3 => Value::Signed(cursor.array().map(i16::from_le_bytes)?.into()),
        4 => Value::Unsigned(cursor.u32()?.into()),
        5 => Value::Signed(cursor.array().map(i32::from_le_bytes)?.into()),
        6 => Value::Float(cursor.array().map(f32::from_le_bytes)?.into()),
        7 => Value::Flag(flag(cursor)?),
        8 => Value::Text(cursor.text()?),
        10 => Value::Unsigned(cursor.u64()?),
        11 => Value::Signed(cursor.array().map(i64::from_le_bytes)?),
        12 => Value::Float(cursor.array().map(f64::from_le_bytes)?),
        kind => return Err(format!("a value of kind {kind}, which GGUF does not have")),
    })
}

fn array(cursor: &mut Cursor<'_>) -> Result<Value, Fault> {
    let kind = cursor.u32()?;
    let item_bytes = match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        ARRAY => return Err("an array of arrays, which is not supported".to_owned()),
        kind => return Err(format!("an array of kind {kind}, which GGUF does not have")),
    };
    let count = cursor.count("values", item_bytes)?;
    fn repeat<T>(count: usize, read: impl FnMut() -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
        std::iter::repeat_with(read).take(count).collect()
    }
    Ok(match kind {
        0 => Value::Unsigneds(cursor.take(count)?.iter().map(|byte| u64::from(*byte)).collect()),
        1 => Value::Signeds(repeat(count, || cursor.array().map(|b| i8::from_le_bytes(b).into()))?),
        2 => Value::Unsigneds(repeat(count, || {
            cursor.array().map(|b| u16::from_le_bytes(b).into())
        })?),
        3 => {
            Value::Signeds(repeat(count, || cursor.array().map(|b| i16::from_le_bytes(b).into()))?)
        }
        4 => Value::Unsigneds(repeat(count, || cursor.u32().map(u64::from))?),
        5 => {
            Value::Signeds(repeat(count, || cursor.array().map(|b| i32::from_le_bytes(b).into()))?)
        }
        6 => Value::Floats(repeat(count, || cursor.array().map(f32::from_le_bytes))?),
        7 => Value::Flags(repeat(count, || flag(cursor))?),
        8 => {
            let mut texts = Texts::default();
            for _ in 0..count {
                texts.push(&cursor.text()?);
            }
            Value::Texts(texts)
        }
        10 => Value::Unsigneds(repeat(count, || cursor.u64())?),
        11 => Value::Signeds(repeat(count, || cursor.array().map(i64::from_le_bytes))?),
        // No key of a model needs more than single precision.
        _ => Value::Floats(repeat(count, || cursor.array().map(|b| f64::from_le_bytes(b) as f32))?),
    })
}

fn flag(cursor: &mut Cursor<'_>) -> Result<bool, Fault> {
    match cursor.array::<1>()? {
        [0] => Ok(false),
        [1] => Ok(true),
        [byte] => Err(format!("a truth value of {byte}")),
    }
}
