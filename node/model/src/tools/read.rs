//! One step through an answer's text: text, calls, or more has to come first.

use serde_json::Value;

use super::Dialect;

/// What the beginning of a text is.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Nothing certain, until more comes. At an answer's end: nothing is left.
    Wait,
    /// So many bytes, at least one, are no part of a call.
    Text(usize),
    /// So many bytes are these calls, with blanks around them.
    Calls(usize, Vec<Call>),
}

/// A call as it was written.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    pub(super) name: String,
    /// A JSON object.
    pub(super) arguments: String,
    pub(super) id: Option<String>,
}

/// What the markup at hand is.
enum Markup {
    Unfinished,
    Malformed,
    /// So many bytes of it.
    Calls(usize, Vec<Call>),
}

/// What was before a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Before {
    /// Nothing but blanks.
    Nothing,
    /// A call.
    Calls,
    Text,
}

/// `over`: nothing follows.
pub(super) fn step(held: &str, dialect: Dialect, before: Before, over: bool) -> Step {
    let start = held.len() - held.trim_start().len();
    let bare = dialect == Dialect::Llama
        && match before {
            Before::Nothing => held[start..].starts_with('{'),
            Before::Calls => held[start..].starts_with(['{', ';']),
            Before::Text => false,
        };
    let opener = dialect.opener();
    let (at, inside) = if bare {
        (start, start)
    } else if let Some(at) = held.find(opener) {
        (at, at + opener.len())
    } else if over {
        return if held.is_empty() { Step::Wait } else { Step::Text(held.len()) };
    } else {
        return text(undecided(held, opener));
    };
    // The text before it, without the blanks that belong to the call.
    let spoken = held[..at].trim_end().len();
    if spoken > 0 {
        return Step::Text(spoken);
    }
    match markup(&held[inside..], dialect, over) {
        Markup::Calls(len, calls) => Step::Calls(inside + len, calls),
        Markup::Malformed => Step::Text(if bare { at + 1 } else { inside }),
        Markup::Unfinished if over => Step::Text(if bare { at + 1 } else { inside }),
        Markup::Unfinished => Step::Wait,
    }
}

fn text(len: usize) -> Step {
    if len == 0 { Step::Wait } else { Step::Text(len) }
}

/// Where the end of a text begins that may be blanks before a call, and the beginning of one.
fn undecided(held: &str, opener: &str) -> usize {
    let begun = (1..opener.len()).rev().find(|len| held.ends_with(&opener[..*len]));
    held[..held.len() - begun.unwrap_or(0)].trim_end().len()
}

fn markup(body: &str, dialect: Dialect, over: bool) -> Markup {
    match dialect {
        Dialect::Hermes => hermes(body, over),
        Dialect::Llama => llama(body),
        Dialect::Mistral | Dialect::MistralArgs => mistral(body),
    }
}

/// `{..}</tool_call>`; at an answer's end without the closing mark, which may be what ended it.
fn hermes(body: &str, over: bool) -> Markup {
    let (end, value) = match json(body, '{') {
        Ok(found) => found,
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
    } else if over {
        Markup::Calls(body.len(), vec![call])
    } else {
        Markup::Unfinished
    }
}

/// `{..}`, behind `;` where it is not the first.
fn llama(body: &str) -> Markup {
    let bare = body.trim_start().trim_start_matches(';');
    let skipped = body.len() - bare.len();
    match json(bare, '{') {
        Ok((end, value)) => match call(value) {
            Some(call) => Markup::Calls(skipped + end, vec![call]),
            None => Markup::Malformed,
        },
        Err(markup) => markup,
    }
}

/// `[{..}, {..}]`, `{..}`, or `name[CALL_ID]id[ARGS]{..}` without some of the marks.
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
        Some(_) => named(body),
    }
}

/// `name[CALL_ID]id[ARGS]{..}`. A name is short: what goes on for longer is text.
fn named(body: &str) -> Markup {
    const NAME_MAX: usize = 256;
    let Some(open) = body.find('{') else {
        let plain = |c: char| c.is_ascii_alphanumeric() || " \t\r\n_-.:[]".contains(c);
        let name = body.len() <= NAME_MAX && body.chars().all(plain);
        return if name { Markup::Unfinished } else { Markup::Malformed };
    };
    let head = body[..open].trim().trim_end_matches("[ARGS]");
    let (name, id) = match head.split_once("[CALL_ID]") {
        Some((name, id)) => (name, Some(id.trim().to_owned()).filter(|id| !id.is_empty())),
        None => (head, None),
    };
    let name = name.trim();
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.:".contains(c);
    let odd = |text: &str| !text.chars().all(plain);
    if open > NAME_MAX || name.is_empty() || odd(name) || id.as_deref().is_some_and(odd) {
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

/// The JSON value that a text begins with, behind blanks, and where it ends.
fn json(text: &str, open: char) -> Result<(usize, Value), Markup> {
    let bare = text.trim_start();
    match bare.chars().next() {
        None => return Err(Markup::Unfinished),
        Some(first) if first != open => return Err(Markup::Malformed),
        Some(_) => {}
    }
    let end = closing(bare).ok_or(Markup::Unfinished)?;
    match serde_json::from_str(&bare[..end]) {
        Ok(value) => Ok((text.len() - bare.len() + end, value)),
        Err(_) => Err(Markup::Malformed),
    }
}

/// Behind the bracket that closes the first one.
fn closing(text: &str) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// `{"name": .., "arguments" or "parameters": {..}, "id": ..}`, may be inside of `"function"`.
fn call(value: Value) -> Option<Call> {
    let Value::Object(mut fields) = value else { return None };
    let id = fields.get("id").and_then(Value::as_str).map(str::to_owned);
    if let Some(Value::Object(inner)) = fields.get_mut("function") {
        fields = std::mem::take(inner);
    }
    let name = fields.get("name")?.as_str()?.to_owned();
    let arguments = ["arguments", "parameters"].into_iter().find_map(|key| fields.remove(key))?;
    // Some write the object as a string, as OpenAI's interface does.
    let arguments = match arguments {
        Value::String(text) => serde_json::from_str(&text).ok()?,
        other => other,
    };
    arguments.is_object().then(|| Call { name, arguments: arguments.to_string(), id })
}
