//! Which candidates say the same, and whether enough of them do to spare the judging.
//!
//! The whole candidate is judged; the final answer is extracted for pooling only.

use serde::{Deserialize, Serialize};
use shoal_proto::NodeId;

use crate::{
    ask::{Candidate, form},
    reputation::{KindPosterior, Standing, calibration::sigmoid},
};

/// When agreement alone decides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Share of the writers asked, and of their weight, that must say the same. 1 or more never
    /// ends a round early. At two thirds, four of six ended a round and were wrong in one of
    /// twelve; at .75 the swarm was right 1.2 points more often (520 gold questions).
    pub share: f64,
    /// Writers at least: two that agree may have learned the same mistake.
    pub writers_min: usize,
    /// How often an agreement is judged all the same, so that the short cut itself is measured.
    pub audit: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { share: 0.75, writers_min: 3, audit: 0.05 }
    }
}

/// What agreement makes of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// Too few say the same.
    TooLittle,
    /// This pool wins without judging.
    Ends(usize),
    /// This pool would win without judging, and the round is judged all the same: so that it can
    /// be said how often the short cut is right.
    Audited(usize),
}

impl Agreement {
    /// The pool that wins without judging.
    pub fn ends(self) -> Option<usize> {
        match self {
            Self::Ends(pool) => Some(pool),
            Self::TooLittle | Self::Audited(_) => None,
        }
    }
}

/// What [`enough`] makes of the round: `audit_draw` is a number in [0, 1) from the round's seed;
/// below `audit` the round is judged all the same.
pub fn agreement(
    candidates: &[Candidate],
    asked: usize,
    standing: &Standing,
    kind: &KindPosterior,
    settings: &Settings,
    audit_draw: f64,
) -> Agreement {
    match enough(candidates, asked, standing, kind, settings) {
        Some(pool) if audit_draw < settings.audit => Agreement::Audited(pool),
        Some(pool) => Agreement::Ends(pool),
        None => Agreement::TooLittle,
    }
}

/// The pool of each text; pools are numbered in order of appearance.
pub fn pools<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<usize> {
    numbered(texts.into_iter().map(final_answer))
}

fn numbered(said: impl IntoIterator<Item = String>) -> Vec<usize> {
    let mut answers: Vec<String> = Vec::new();
    said.into_iter()
        .map(|answer| {
            answers.iter().position(|known| *known == answer).unwrap_or_else(|| {
                answers.push(answer);
                answers.len() - 1
            })
        })
        .collect()
}

/// The pool of each candidate: calls are equal by name and arguments, answers that are JSON by
/// value, and others by what they say in the end.
pub fn pools_of(candidates: &[Candidate], json: bool) -> Vec<usize> {
    let said: Vec<String> = candidates.iter().map(|one| said(one, json)).collect();
    numbered(said)
}

/// What a candidate says, in a form in which equal candidates are equal.
pub fn said(candidate: &Candidate, json: bool) -> String {
    if !candidate.tool_calls.is_empty() {
        return format!("calls {}", form::canonical_calls(&candidate.tool_calls));
    }
    let value = json.then(|| serde_json::from_str(&candidate.text).ok()).flatten();
    value.map_or_else(|| final_answer(&candidate.text), |value| form::canonical(&value))
}

/// The pool that ends the round without judging, if there is one: at least `share` of the
/// `asked` writers and of the weight of those that answered.
pub fn enough(
    candidates: &[Candidate],
    asked: usize,
    standing: &Standing,
    kind: &KindPosterior,
    settings: &Settings,
) -> Option<usize> {
    // A writer that gold shows to be usually wrong on this kind should not carry an agreement, and
    // neither should many keys of one operator.
    let writers: Vec<NodeId> = candidates.iter().map(|candidate| candidate.writer).collect();
    let shares = standing.shares(&writers);
    let weight = |(candidate, share): (&Candidate, &f64)| {
        let right = sigmoid(standing.writer_log_odds(&candidate.writer, kind));
        share * standing.writer_weight(&candidate.writer) * right
    };
    let weighed = || candidates.iter().zip(&shares);
    let total: f64 = weighed().map(weight).sum();
    let pools = candidates.iter().map(|candidate| candidate.pool).max()? + 1;
    (0..pools).find(|pool| {
        let members = || weighed().filter(|(candidate, _)| candidate.pool == *pool);
        let count = members().count();
        let held: f64 = members().map(weight).sum();
        count >= settings.writers_min
            && count as f64 >= settings.share * asked.max(candidates.len()) as f64
            && total > 0.0
            && held >= settings.share * total
    })
}

/// What a text says in the end, in a form in which equal answers are equal: the last
/// `\boxed{}`, the text after the last `Answer:`, the letter of a choice, the last number of a
/// short last line, or the whole text. Linear in the text.
pub fn final_answer(text: &str) -> String {
    if let Some(boxed) = last_boxed(text) {
        return normal(boxed);
    }
    if let Some(stated) = after_answer(text) {
        return normal(stated);
    }
    let last_line = text.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("");
    if let Some(letter) = choice(last_line) {
        return letter.to_string();
    }
    if last_line.split_whitespace().take(MAX_WORDS + 1).count() <= MAX_WORDS
        && let Some(number) = last_line.split_whitespace().rev().find_map(number)
    {
        return number;
    }
    normal(text)
}

/// A last line longer than this is prose, where the last number is not what it says.
const MAX_WORDS: usize = 12;

/// Inside of the last `\boxed{...}` with balanced braces.
fn last_boxed(text: &str) -> Option<&str> {
    const OPEN: &str = "\\boxed{";
    let inside = text.get(text.rfind(OPEN)? + OPEN.len()..)?;
    let mut depth = 1usize;
    for (at, letter) in inside.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return inside.get(..at);
        }
    }
    None
}

/// What follows the last `Answer:` on its line, or on the next one that is not empty.
fn after_answer(text: &str) -> Option<&str> {
    const MARK: &[u8] = b"answer:";
    let at = text.as_bytes().windows(MARK.len()).rposition(|w| w.eq_ignore_ascii_case(MARK))?;
    let rest = text.get(at + MARK.len()..)?;
    rest.lines().map(str::trim).find(|line| !line.trim_matches(DECORATION).is_empty())
}

/// Signs around an answer that are no part of it.
const DECORATION: &[char] = &['*', '$', '`', '"', '\'', '.', '!', ' ', '\u{201c}', '\u{201d}'];

/// `B`, `(B)`, `B.` or `b)` alone on a line.
fn choice(line: &str) -> Option<char> {
    let bare =
        line.trim_matches(|letter: char| DECORATION.contains(&letter) || "()[]:".contains(letter));
    let mut letters = bare.chars();
    let letter = letters.next().filter(char::is_ascii_alphabetic)?;
    letters.next().is_none().then(|| letter.to_ascii_lowercase())
}

/// Lower case, single spaces, no decoration; numbers in their shortest form.
fn normal(answer: &str) -> String {
    let bare = answer.trim().trim_matches(DECORATION);
    if let Some(letter) = choice(bare) {
        return letter.to_string();
    }
    if let Some(number) = number(bare) {
        return number;
    }
    let words: Vec<String> = bare.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ")
}

/// `1,024.50` is `1024.5`, `+7` is `7`, `-0` is `0`; None when it is no decimal number. Digits
/// are kept as text: floats would make long integers equal that are not.
fn number(word: &str) -> Option<String> {
    let word = word
        .trim_matches(|letter: char| DECORATION.contains(&letter) || "(),;:=?%".contains(letter));
    let (negative, digits) = match word.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, word.strip_prefix('+').unwrap_or(word)),
    };
    let digits = digits.trim_start_matches('$');
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: String = ungrouped(whole)?;
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(&whole) || !all_digits(part) {
        return None;
    }
    let whole = whole.trim_start_matches('0');
    let part = part.trim_end_matches('0');
    let zero = whole.is_empty() && part.is_empty();
    let sign = if negative && !zero { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    let dot = if part.is_empty() { "" } else { "." };
    Some(format!("{sign}{whole}{dot}{part}"))
}

/// `1,024` without its comma; None when the commas do not group thousands: `1,2,3` is a list.
fn ungrouped(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let mut rest = groups.peekable();
    let grouped = rest.peek().is_none() || first.len() <= 3;
    let threes = rest.all(|group| group.len() == 3);
    (grouped && threes).then(|| whole.replace(',', ""))
}

#[cfg(test)]
mod tests;
