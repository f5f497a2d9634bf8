//! Optional fields that an endpoint refuses: it is asked again without them, and they are left out
//! from then on.
//!
//! `max_tokens` becomes `max_completion_tokens` first, because OpenAI's newer models know no other
//! limit. A refusal of a field's value (`temperature` above 1) changes that one request only.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use serde_json::{Map, Value, json};

use super::fault::{CallError, Refusal};

/// How often one request is sent again.
const RETRIES_MAX: usize = 8;

/// After this many requests in a row that leaving fields out did not help, none are left out.
const VAIN_GUESSES_MAX: u32 = 2;

/// Fields that can be left out without changing the request much. The gateway itself checks formats
/// and calls, and this node checks stop texts and the limit.
const OPTIONAL: [&str; 19] = [
    "stream_options",
    "max_completion_tokens",
    "seed",
    "top_logprobs",
    "logprobs",
    "parallel_tool_calls",
    "response_format",
    "tool_choice",
    "stop",
    "top_k",
    "min_p",
    "repetition_penalty",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "reasoning_effort",
    "chat_template_kwargs",
    "temperature",
    "top_p",
];

/// A change that makes a request acceptable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// `max_tokens` is called `max_completion_tokens`.
    RenameLimit,
    /// A schema becomes "any JSON object".
    LoosenFormat,
    /// Functions have no `strict`.
    DropStrict,
    /// Messages have no `name`.
    DropNames,
    /// A field is left out.
    Drop(&'static str),
}

impl Change {
    fn apply(self, body: &mut Map<String, Value>) {
        match self {
            Self::RenameLimit => {
                if let Some(limit) = body.remove("max_tokens") {
                    body.insert("max_completion_tokens".to_owned(), limit);
                }
            }
            Self::LoosenFormat => {
                if let Some(format) = body.get_mut("response_format") {
                    *format = json!({ "type": "json_object" });
                }
            }
            Self::DropStrict => {
                for tool in
                    body.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    remove(tool.get_mut("function"), "strict");
                }
            }
            Self::DropNames => {
                let messages = body.get_mut("messages").and_then(Value::as_array_mut);
                for message in messages.into_iter().flatten() {
                    remove(Some(message), "name");
                }
            }
            Self::Drop(field) => {
                let value = body.remove(field);
                match field {
                    "logprobs" => drop(body.remove("top_logprobs")),
                    // A model that must not call is not shown what it could call.
                    "tool_choice" if value.is_some_and(|choice| choice == "none") => {
                        body.remove("tools");
                    }
                    _ => {}
                }
            }
        }
    }

    /// Whether `body` has what this changes.
    fn fits(self, body: &Map<String, Value>) -> bool {
        let mut changed = body.clone();
        self.apply(&mut changed);
        changed != *body
    }
}

fn remove(entry: Option<&mut Value>, key: &str) {
    if let Some(entry) = entry.and_then(Value::as_object_mut) {
        entry.remove(key);
    }
}

/// Changes that the paths of one endpoint need.
#[derive(Debug, Default)]
pub(super) struct FieldPolicy(Mutex<BTreeMap<&'static str, PathPolicy>>);

#[derive(Clone, Debug, Default)]
struct PathPolicy {
    changes: BTreeSet<Change>,
    /// Fields of requests that were taken.
    accepted: BTreeSet<String>,
    vain_guesses: u32,
}

/// One request and its changes, from attempt to attempt.
#[derive(Debug)]
pub(super) struct Adaptation<'a> {
    policy: &'a FieldPolicy,
    path: &'static str,
    pub(super) body: Value,
    /// The changes of this request, and whether the endpoint needs them for each.
    trials: Vec<(Change, bool)>,
    has_guessed: bool,
}

impl FieldPolicy {
    /// A request to `path` with the changes that are known to be needed.
    pub(super) fn adapt(&self, path: &'static str, body: Value) -> Adaptation<'_> {
        let mut body = body;
        if let Value::Object(body) = &mut body {
            self.with(path, |policy| policy.changes.iter().for_each(|change| change.apply(body)));
        }
        Adaptation { policy: self, path, body, trials: Vec::new(), has_guessed: false }
    }

    fn with<T>(&self, path: &'static str, act: impl FnOnce(&mut PathPolicy) -> T) -> T {
        let mut paths = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(paths.entry(path).or_default())
    }
}

impl Adaptation<'_> {
    /// Changes the request after an error. `false`: there is no point in asking again.
    pub(super) fn change(&mut self, error: &CallError) -> bool {
        let Some(refusal) = error.refusal() else { return false };
        if self.trials.len() >= RETRIES_MAX || !may_be_about_fields(refusal) {
            return self.give_up();
        }
        let Value::Object(body) = &mut self.body else { return false };
        let change = match named(refusal, body) {
            Some(change) => {
                self.trials.push((change, !is_about_a_value(refusal)));
                change
            }
            None => {
                let Some(change) = guess(refusal, body, self.policy, self.path) else {
                    return self.give_up();
                };
                // Of several guesses only the last is known to have helped.
                if std::mem::replace(&mut self.has_guessed, true) {
                    self.trials.iter_mut().for_each(|(_, lasts)| *lasts = false);
                }
                self.trials.push((change, true));
                change
            }
        };
        change.apply(body);
        true
    }

    fn give_up(&self) -> bool {
        if self.has_guessed {
            self.policy.with(self.path, |policy| policy.vain_guesses += 1);
        }
        false
    }

    /// The endpoint has taken the request: what it needs is remembered.
    pub(super) fn accept(&self) {
        let fields = self.body.as_object().into_iter().flat_map(Map::keys);
        self.policy.with(self.path, |policy| {
            policy.vain_guesses = 0;
            for field in
                fields.filter(|field| !policy.accepted.contains(*field)).collect::<Vec<_>>()
            {
                policy.accepted.insert(field.clone());
            }
            for (change, lasts) in &self.trials {
                if *lasts && policy.changes.insert(*change) {
                    tracing::info!(path = self.path, ?change, "the endpoint takes no such field");
                }
            }
        });
    }

    /// Whether the request has lost its limit of tokens.
    pub(super) fn has_limit(&self) -> bool {
        ["max_tokens", "max_completion_tokens"].iter().any(|key| self.body.get(key).is_some())
    }
}

/// Whether a refusal can mean a field. Servers in Python answer an argument that they do not know
/// with 500.
fn may_be_about_fields(refusal: &Refusal) -> bool {
    matches!(refusal.status, None | Some(400 | 422 | 500 | 501)) && !refusal.is_too_long()
}

/// Whether the endpoint knows the field and refuses what it says.
fn is_about_a_value(refusal: &Refusal) -> bool {
    const UNKNOWN: [&str; 9] = [
        "support",
        "unknown",
        "unrecogni",
        "permitted",
        "not allowed",
        "unexpected",
        "extra",
        "not exist",
        "unavailable",
    ];
    const BOUNDS: [&str; 13] = [
        "must be",
        "should be",
        "between",
        "less than",
        "greater than",
        "too large",
        "too small",
        "too high",
        "at most",
        "at least",
        "out of range",
        "both",
        "exceed",
    ];
    let message = refusal.message.to_lowercase();
    !UNKNOWN.iter().any(|word| message.contains(word))
        && BOUNDS.iter().any(|word| message.contains(word))
}

/// The change for the field that a refusal names: apart from its message, else in it.
fn named(refusal: &Refusal, body: &Map<String, Value>) -> Option<Change> {
    let fields = refusal.fields.iter().map(String::as_str);
    fields.chain([refusal.message.as_str()]).find_map(|text| {
        let words: BTreeSet<&str> =
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
        changes(&words).into_iter().find(|change| change.fits(body))
    })
}

/// The changes that `words` speak of, the gentlest first.
fn changes(words: &BTreeSet<&str>) -> Vec<Change> {
    let mut changes = Vec::new();
    if words.contains("max_tokens") {
        changes.extend([Change::RenameLimit, Change::Drop("max_completion_tokens")]);
    }
    if ["response_format", "json_schema"].iter().any(|word| words.contains(word)) {
        changes.extend([Change::LoosenFormat, Change::Drop("response_format")]);
    }
    if words.contains("include_usage") {
        changes.push(Change::Drop("stream_options"));
    }
    let fields = OPTIONAL.iter().filter(|field| words.contains(*field));
    changes.extend(fields.map(|field| Change::Drop(field)));
    if words.contains("strict") {
        changes.push(Change::DropStrict);
    }
    if words.contains("name") && words.contains("messages") {
        changes.push(Change::DropNames);
    }
    changes
}

/// A change for a refusal that names no field: one that the endpoint has never taken, the most
/// likely first.
fn guess(
    refusal: &Refusal,
    body: &Map<String, Value>,
    policy: &FieldPolicy,
    path: &'static str,
) -> Option<Change> {
    if !matches!(refusal.status, Some(400 | 422)) {
        return None;
    }
    let policy = policy.with(path, |policy| policy.clone());
    if policy.vain_guesses >= VAIN_GUESSES_MAX {
        return None;
    }
    let is_new = |field: &str| body.contains_key(field) && !policy.accepted.contains(field);
    if is_new("stream_options") {
        return Some(Change::Drop("stream_options"));
    }
    if is_new("max_tokens") {
        return Some(Change::RenameLimit);
    }
    // No answer is without its limit because of a guess.
    let mut fields = OPTIONAL.iter().filter(|field| **field != "max_completion_tokens");
    fields.find(|field| is_new(field)).map(|field| Change::Drop(field))
}
