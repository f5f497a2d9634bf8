//! GGUF files made on the spot, for tests.

use super::metadata::Value;

/// A file in the making.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) version: Option<u32>,
    pub(crate) pairs: Vec<(String, Value)>,
    /// Name, dimensions (innermost first, as the file has them), code of the kind, bytes.
    pub(crate) tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
}

impl Made {
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
    fn array<T>(out: &mut Vec<u8>, kind: u32, all: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((all.len() as u64).to_le_bytes());
        all.iter().for_each(|one| put(out, one));
    }
    let plain = |out: &mut Vec<u8>, kind: u32, bytes: &[u8]| {
        out.extend(kind.to_le_bytes());
        out.extend(bytes);
    };
    match value {
        Value::Unsigned(number) => plain(out, 10, &number.to_le_bytes()),
        Value::Signed(number) => plain(out, 11, &number.to_le_bytes()),
        Value::Float(number) => plain(out, 6, &(*number as f32).to_le_bytes()),
        Value::Flag(flag) => plain(out, 7, &[u8::from(*flag)]),
        Value::Text(said) => {
            out.extend(8_u32.to_le_bytes());
            text(out, said);
        }
        Value::Unsigneds(all) => array(out, 10, all, |out, one| out.extend(one.to_le_bytes())),
        Value::Signeds(all) => array(out, 11, all, |out, one| out.extend(one.to_le_bytes())),
        Value::Floats(all) => array(out, 6, all, |out, one| out.extend(one.to_le_bytes())),
        Value::Flags(all) => array(out, 7, all, |out, one| out.push(u8::from(*one))),
        Value::Texts(all) => {
            let all: Vec<&str> = all.iter().collect();
            array(out, 8, &all, |out, one| text(out, one));
        }
    }
}
