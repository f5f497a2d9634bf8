//! What templates expect of Python.

use std::fmt::Write as _;

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value,
    value::{Kwargs, ValueKind},
};
use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

use super::{error, now};

/// Deeper values are no tool descriptions.
const DEPTH_MAX: usize = 64;

pub(super) fn add_to(environment: &mut Environment<'static>) {
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    environment.add_filter("string", |value: &Value| text(value));
    environment.set_formatter(print);
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(error(message))
}

/// Python's `datetime.now().strftime(format)`, in UTC.
fn strftime_now(format: String) -> Result<String, Error> {
    let mut text = String::new();
    write!(text, "{}", now().format(&format))
        .map_err(|_| error(format!("strftime_now: no such format as {format:?}")))?;
    Ok(text)
}

/// Values print as in Python: `True`, `None`, `{'a': 1}`.
fn print(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    out.write_str(&text(value)).map_err(Error::from)
}

/// Python's `str(value)`.
fn text(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None if value.is_undefined() => String::new(),
        None => {
            let mut text = String::new();
            repr(value, 0, &mut text);
            text
        }
    }
}

/// Python's `repr(value)`.
fn repr(value: &Value, depth: usize, into: &mut String) {
    if depth > DEPTH_MAX {
        into.push_str("...");
        return;
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => into.push_str("None"),
        ValueKind::Bool => into.push_str(if value.is_true() { "True" } else { "False" }),
        ValueKind::String => quoted(value.as_str().unwrap_or_default(), into),
        ValueKind::Number => into.push_str(&number(value)),
        ValueKind::Seq => {
            into.push('[');
            for (index, item) in value.try_iter().into_iter().flatten().enumerate() {
                into.push_str(if index == 0 { "" } else { ", " });
                repr(&item, depth + 1, into);
            }
            into.push(']');
        }
        ValueKind::Map => {
            into.push('{');
            for (index, key) in value.try_iter().into_iter().flatten().enumerate() {
                into.push_str(if index == 0 { "" } else { ", " });
                repr(&key, depth + 1, into);
                into.push_str(": ");
                repr(&value.get_item(&key).unwrap_or_default(), depth + 1, into);
            }
            into.push('}');
        }
        _ => into.push_str(&value.to_string()),
    }
}

/// In single quotes, in double ones where there are single ones inside.
fn quoted(text: &str, into: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    into.push(quote);
    for letter in text.chars() {
        match letter {
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            '\\' => into.push_str("\\\\"),
            letter if letter == quote => into.extend(['\\', letter]),
            letter if letter.is_ascii_control() => {
                into.push_str(&format!("\\x{:02x}", u32::from(letter)));
            }
            letter => into.push(letter),
        }
    }
    into.push(quote);
}

fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    f64::try_from(value.clone()).map_or_else(|_| value.to_string(), float)
}

/// Python's shortest form: with an exponent below 1e-4 and from 1e16 on.
fn float(value: f64) -> String {
    let size = value.abs();
    if value.is_nan() {
        return "nan".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{value:e}");
        let Some((digits, exponent)) = text.split_once('e') else { return text };
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{value:?}")
}

/// As Python's `json.dumps(value, ensure_ascii=False, ..)`: a space after commas and colons,
/// nothing escaped for HTML. Tool prompts differ with any other form.
fn tojson(value: &Value, options: Kwargs) -> Result<Value, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ascii = options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false);
    let sorted = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let separators: Option<Vec<String>> = options.get("separators")?;
    options.assert_all_used()?;
    let (comma, colon) = match separators.as_deref() {
        Some([comma, colon]) => (comma.clone(), colon.clone()),
        // Python leaves out the space where a line ends.
        _ => (if indent.is_some() { "," } else { ", " }.to_owned(), ": ".to_owned()),
    };
    let form = Python {
        indent: indent.map(|spaces| spaces.min(16)),
        ascii,
        comma,
        colon,
        depth: 0,
        empty: false,
    };
    let text = if sorted { dumped(&in_order(value)?, form) } else { dumped(value, form) };
    text.map(Value::from_safe_string)
}

/// The same with default options.
pub(super) fn json(value: &Value) -> String {
    let form = Python {
        indent: None,
        ascii: false,
        comma: ", ".to_owned(),
        colon: ": ".to_owned(),
        depth: 0,
        empty: false,
    };
    dumped(value, form).unwrap_or_default()
}

fn in_order(value: &Value) -> Result<serde_json::Value, Error> {
    let failed =
        |error: serde_json::Error| Error::new(ErrorKind::BadSerialization, error.to_string());
    let mut json = serde_json::to_value(value).map_err(failed)?;
    json.sort_all_objects();
    Ok(json)
}

fn dumped(value: &impl Serialize, form: Python) -> Result<String, Error> {
    let mut bytes = Vec::new();
    let written = value.serialize(&mut Serializer::with_formatter(&mut bytes, form));
    written.map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The spaces, escapes and numbers that Python writes.
struct Python {
    indent: Option<usize>,
    ascii: bool,
    comma: String,
    colon: String,
    depth: usize,
    empty: bool,
}

type Io = std::io::Result<()>;

impl Python {
    fn line<W: ?Sized + std::io::Write>(&self, writer: &mut W) -> Io {
        match self.indent {
            Some(spaces) => write!(writer, "\n{}", " ".repeat(spaces * self.depth)),
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Io {
        self.depth += 1;
        self.empty = true;
        writer.write_all(bracket)
    }

    fn close<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Io {
        self.depth -= 1;
        if !self.empty {
            self.line(writer)?;
        }
        self.empty = false;
        writer.write_all(bracket)
    }

    fn item<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> Io {
        self.empty = false;
        if !first {
            writer.write_all(self.comma.as_bytes())?;
        }
        self.line(writer)
    }
}

impl Formatter for Python {
    fn begin_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Io {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Io {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> Io {
        self.item(writer, first)
    }

    fn begin_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Io {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Io {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> Io {
        self.item(writer, first)
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> Io {
        writer.write_all(self.colon.as_bytes())
    }

    fn write_f64<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, value: f64) -> Io {
        writer.write_all(float(value).as_bytes())
    }

    fn write_string_fragment<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        text: &str,
    ) -> Io {
        if !self.ascii {
            return writer.write_all(text.as_bytes());
        }
        let mut units = [0; 2];
        for letter in text.chars() {
            match letter.is_ascii() {
                true => write!(writer, "{letter}")?,
                false => {
                    for unit in letter.encode_utf16(&mut units) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }

    fn write_char_escape<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        escape: CharEscape,
    ) -> Io {
        match escape {
            CharEscape::Quote => writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => writer.write_all(b"\\\\"),
            CharEscape::Solidus => writer.write_all(b"/"),
            CharEscape::Backspace => writer.write_all(b"\\b"),
            CharEscape::FormFeed => writer.write_all(b"\\f"),
            CharEscape::LineFeed => writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => writer.write_all(b"\\r"),
            CharEscape::Tab => writer.write_all(b"\\t"),
            CharEscape::AsciiControl(byte) => write!(writer, "\\u{byte:04x}"),
        }
    }
}
