//! A builder of GGUF files, for tests.

use crate::gguf::Value;

/// The content of a file.
#[derive(Clone, Debug, Default)]
pub(crate) struct GgufBuilder {
    pub(crate) version: Option<u32>,
    pub(crate) pairs: Vec<(String, Value)>,
    /// Name, dimensions (innermost first, as the file has them), code of the kind, bytes.
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

impl GgufBuilder {
    pub(crate) fn pair(mut self, key: &str, value: Value) -> Self {
        self.pairs.push((key.to_owned(), value));
        self
    }

    pub(crate) fn text(self, key: &str, text: &str) -> Self {
        self.pair(key, Value::Text(text.to_owned()))
    }

    pub(crate) fn size(self, key: &str, size: u64) -> Self {
        self.pair(key, Value::Unsigned(size))
    }

    pub(crate) fn floats(mut self, name: &str, shape: &[u64], floats: &[f32]) -> Self {
        let bytes = floats.iter().flat_map(|float| float.to_le_bytes()).collect();
        let dimensions = shape.iter().rev().copied().collect();
        self.tensors.push((name.to_owned(), dimensions, 0, bytes));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(self.version.unwrap_or(3).to_le_bytes());
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.pairs.len() as u64).to_le_bytes());
        for (key, value) in &self.pairs {
            text(&mut out, key);
            self::value(&mut out, value);
        }
        let mut offset = 0;
        for (name, dimensions, kind, bytes) in &self.tensors {
            text(&mut out, name);
            out.extend((dimensions.len() as u32).to_le_bytes());
            dimensions.iter().for_each(|size| out.extend(size.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend((offset as u64).to_le_bytes());
            offset += bytes.len().next_multiple_of(32);
        }
        for (_, _, _, bytes) in &self.tensors {
            out.resize(out.len().next_multiple_of(32), 0);
            out.extend(bytes);
        }
        out
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn value(out: &mut Vec<u8>, value: &Value) {
    fn array<T>(out: &mut Vec<u8>, kind: u32, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((items.len() as u64).to_le_bytes());
        items.iter().for_each(|item| put(out, item));
    }
    match value {
        Value::Unsigned(number) => scalar(out, 10, &number.to_le_bytes()),
        Value::Signed(number) => scalar(out, 11, &number.to_le_bytes()),
        Value::Float(number) => scalar(out, 6, &(*number as f32).to_le_bytes()),
        Value::Flag(flag) => scalar(out, 7, &[u8::from(*flag)]),
        Value::Text(string) => {
            out.extend(8_u32.to_le_bytes());
            text(out, string);
        }
        Value::Unsigneds(items) => {
            array(out, 10, items, |out, item| out.extend(item.to_le_bytes()));
        }
        Value::Signeds(items) => array(out, 11, items, |out, item| out.extend(item.to_le_bytes())),
        Value::Floats(items) => array(out, 6, items, |out, item| out.extend(item.to_le_bytes())),
        Value::Flags(items) => array(out, 7, items, |out, item| out.push(u8::from(*item))),
        Value::Texts(items) => {
            let items: Vec<&str> = items.iter().collect();
            array(out, 8, &items, |out, item| text(out, item));
        }
    }
}

fn scalar(out: &mut Vec<u8>, kind: u32, bytes: &[u8]) {
    out.extend(kind.to_le_bytes());
    out.extend(bytes);
}
