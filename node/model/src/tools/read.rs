//! One step of the call parser: text, calls, or a request for more text.

use serde_json::Value;

use super::Dialect;

/// What a text starts with.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Undecided until more text comes; at the answer's end: the text is empty.
    Wait,
    /// This many bytes, at least one, are part of no call.
    Text(usize),
    /// This many bytes are these calls, with the whitespace around them.
    Calls(usize, Vec<Call>),
}

/// A call as the model wrote it.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
    pub(super) id: Option<String>,
}

/// The state of a piece of markup.
enum Markup {
    Unfinished,
    Malformed,
    /// The calls, and the bytes of their markup.
    Calls(usize, Vec<Call>),
}

/// What precedes a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Before {
    /// Only whitespace.
    Nothing,
    /// A call.
    Calls,
    Text,
}

/// The first step through `buffer`. `at_end`: no more text follows.
pub(super) fn step(buffer: &str, dialect: Dialect, before: Before, at_end: bool) -> Step {
    let start = buffer.len() - buffer.trim_start().len();
    let bare = dialect == Dialect::Llama
        && match before {
            Before::Nothing => buffer[start..].starts_with('{'),
            Before::Calls => buffer[start..].starts_with(['{', ';']),
            Before::Text => false,
        };
    let opener = dialect.opener();
    let (at, inside) = if bare {
        (start, start)
    } else if let Some(at) = buffer.find(opener) {
        (at, at + opener.len())
    } else if at_end {
        return if buffer.is_empty() { Step::Wait } else { Step::Text(buffer.len()) };
    } else {
        return text_or_wait(decided_bytes(buffer, opener));
    };
    // The text before the call, without the whitespace that belongs to the call.
    let speech = buffer[..at].trim_end().len();
    if speech > 0 {
        return Step::Text(speech);
    }
    match markup(&buffer[inside..], dialect, at_end) {
        Markup::Calls(len, calls) => Step::Calls(inside + len, calls),
        Markup::Malformed => Step::Text(if bare { at + 1 } else { inside }),
        Markup::Unfinished if at_end => Step::Text(if bare { at + 1 } else { inside }),
        Markup::Unfinished => Step::Wait,
    }
}

fn text_or_wait(len: usize) -> Step {
    if len == 0 { Step::Wait } else { Step::Text(len) }
}

/// Bytes of a text before the whitespace and the incomplete opener that may start a call at its end.
fn decided_bytes(buffer: &str, opener: &str) -> usize {
    let partial = (1..opener.len()).rev().find(|len| buffer.ends_with(&opener[..*len]));
    buffer[..buffer.len() - partial.unwrap_or(0)].trim_end().len()
}

fn markup(body: &str, dialect: Dialect, at_end: bool) -> Markup {
    match dialect {
        Dialect::Hermes => hermes(body, at_end),
        Dialect::Llama => llama(body),
        Dialect::Mistral | Dialect::MistralArgs => mistral(body),
    }
}

/// `{..}</tool_call>`. At an answer's end the closing tag may be missing: a stop text may have cut it off.
fn hermes(body: &str, at_end: bool) -> Markup {
    let (end, value) = match json(body, '{') {
        Ok(result) => result,
        Err(markup) => return markup,
    };
    let Some(call) = call(value) else { return Markup::Malformed };
    const CLOSER: &str = "</tool_call>";
    let rest = body[end..].trim_start();
    let close = body.len() - rest.len();
    if rest.starts_with(CLOSER) {
        Markup::Calls(close + CLOSER.len(), vec![call])
    } else if !CLOSER.starts_with(rest) {
        Markup::Malformed
    } else if at_end {
        Markup::Calls(body.len(), vec![call])
    } else {
        Markup::Unfinished
    }
}

/// `{..}`, after `;` where it is not the first call.
fn llama(body: &str) -> Markup {
    let bare = body.trim_start().trim_start_matches(';');
    let offset = body.len() - bare.len();
    match json(bare, '{') {
        Ok((end, value)) => match call(value) {
            Some(call) => Markup::Calls(offset + end, vec![call]),
            None => Markup::Malformed,
        },
        Err(markup) => markup,
    }
}

/// `[{..}, {..}]`, `{..}`, or `name[CALL_ID]id[ARGS]{..}` with some of the tags missing.
fn mistral(body: &str) -> Markup {
    let first = body.trim_start().chars().next();
    match first {
        None => Markup::Unfinished,
        Some(open @ ('[' | '{')) => match json(body, open) {
            Ok((end, Value::Array(values))) => {
                let calls: Option<Vec<Call>> = values.into_iter().map(call).collect();
                calls.map_or(Markup::Malformed, |calls| Markup::Calls(end, calls))
            }
            Ok((end, value)) => {
                call(value).map_or(Markup::Malformed, |call| Markup::Calls(end, vec![call]))
            }
            Err(markup) => markup,
        },
        Some(_) => mistral_args(body),
    }
}

/// `name[CALL_ID]id[ARGS]{..}`. A longer text before the object is no name.
fn mistral_args(body: &str) -> Markup {
    const NAME_MAX: usize = 256;
    let Some(open) = body.find('{') else {
        let is_name = body.len() <= NAME_MAX && contains_only(body, " \t\r\n_-.:[]");
        return if is_name { Markup::Unfinished } else { Markup::Malformed };
    };
    let head = body[..open].trim().trim_end_matches("[ARGS]");
    let (name, id) = match head.split_once("[CALL_ID]") {
        Some((name, id)) => (name, Some(id.trim().to_owned()).filter(|id| !id.is_empty())),
        None => (head, None),
    };
    let name = name.trim();
    let is_malformed = open > NAME_MAX
        || name.is_empty()
        || !contains_only(name, "_-.:")
        || !id.as_deref().is_none_or(|id| contains_only(id, "_-.:"));
    if is_malformed {
        return Markup::Malformed;
    }
    match json(&body[open..], '{') {
        Ok((end, arguments)) => {
            let call = Call { name: name.to_owned(), arguments: arguments.to_string(), id };
            Markup::Calls(open + end, vec![call])
        }
        Err(markup) => markup,
    }
}

/// Whether a text consists of ASCII letters, digits and `punctuation`.
fn contains_only(text: &str, punctuation: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || punctuation.contains(c))
}

/// The JSON value at a text's start, after whitespace, and the index of its end.
fn json(text: &str, open: char) -> Result<(usize, Value), Markup> {
    let bare = text.trim_start();
    match bare.chars().next() {
        None => return Err(Markup::Unfinished),
        Some(first) if first != open => return Err(Markup::Malformed),
        Some(_) => {}
    }
    let end = object_end(bare).ok_or(Markup::Unfinished)?;
    match serde_json::from_str(&bare[..end]) {
        Ok(value) => Ok((text.len() - bare.len() + end, value)),
        Err(_) => Err(Markup::Malformed),
    }
}

/// The index after the bracket that closes the first one.
fn object_end(text: &str) -> Option<usize> {
    let (mut depth, mut in_string, mut after_escape) = (0_usize, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if after_escape => after_escape = false,
            b'\\' if in_string => after_escape = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(index + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// `{"name": .., "arguments" or "parameters": {..}, "id": ..}`, optionally within `"function"`.
fn call(value: Value) -> Option<Call> {
    let Value::Object(mut fields) = value else { return None };
    let id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
    if let Some(Value::Object(inner)) = fields.get_mut("function") {
        fields = std::mem::take(inner);
    }
    let name = fields.get("name")?.as_str()?.to_owned();
    let arguments = ["arguments", "parameters"].into_iter().find_map(|key| fields.remove(key))?;
    // Some models write the object as a string, as in OpenAI's API.
    let arguments = match arguments {
        Value::String(text) => serde_json::from_str(&text).ok()?,
        value => value,
    };
    arguments.is_object().then(|| Call { name, arguments: arguments.to_string(), id })
}
