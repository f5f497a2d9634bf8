//! The final answer of a text, and the equality of answers.
//!
//! Numbers are equal by value: `$1,800`, `1800.0` and `1,800 dollars` are one answer. A number without
//! a unit equals a number with a unit, unless two answers name different units: then the meaning of
//! the bare number is unknown, and it has its own pool. A percentage is not a bare number, a fraction
//! is not an integer, and `10 million` is not 10. All other answers are compared as text, without
//! regard to case, spaces and the punctuation around them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    option,
    sentence::{Question, Statement},
};

/// An answer in normal form. Equal answers have equal forms, except for omitted units and options with
/// their text ([`forms`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    form: String,
    /// The number alone, if the answer has a unit.
    bare: Option<String>,
    /// The letter of the option that the text names beside its words.
    option: Option<String>,
    /// What the text adds to the question, if it is a short sentence.
    statement: Option<Statement>,
}

impl Answer {
    /// An answer with this form, without normalisation.
    pub fn exact(form: String) -> Self {
        Self { form, bare: None, option: None, statement: None }
    }

    /// The final answer of a text: the last `\boxed{}`, the text after the last `Answer:`, the
    /// letter of a choice, the last number of a short last line, or the whole text. Linear in the
    /// text.
    pub(crate) fn from_text(text: &str) -> Self {
        Self::new(text, &Question::default())
    }

    /// As [`Self::from_text`], of a text that answers this question.
    pub(crate) fn new(text: &str, question: &Question) -> Self {
        let option = option::letter(text).map(String::from);
        Self { option, ..Self::marked(text).unwrap_or_else(|| Self::whole(text, question)) }
    }

    /// The answer that a text marks as its answer, or a number.
    fn marked(text: &str) -> Option<Self> {
        if let Some(content) = last_boxed(text) {
            return Some(normal(&plain(content)));
        }
        if let Some(statement) = after_answer(text) {
            return Some(normal(&plain(statement)));
        }
        let lines = text.lines().rev().map(str::trim);
        let last_line = lines.into_iter().find(|line| !line.is_empty()).unwrap_or("");
        if let Some(letter) = choice(last_line) {
            return Some(Self::exact(letter.to_string()));
        }
        in_prose(last_line)
    }

    fn whole(text: &str, question: &Question) -> Self {
        Self { statement: Statement::new(text, question), ..normal(text) }
    }

    /// The form that is compared.
    pub(crate) fn normal_form(&self) -> &str {
        &self.form
    }

    /// Whether it is the letter of an option and nothing else.
    fn is_letter(&self) -> bool {
        matches!(self.form.as_bytes(), [b'a'..=b'j'])
    }
}

/// The pool of each answer, numbered in order of appearance.
pub fn pools(answers: &[Answer]) -> Vec<usize> {
    let mut pools: BTreeMap<&str, usize> = BTreeMap::new();
    let forms = forms(answers).into_iter();
    forms
        .map(|form| {
            let next = pools.len();
            *pools.entry(form).or_insert(next)
        })
        .collect()
}

/// The form of each answer, given the others. A bare number is the same number with a unit, if there is only one
/// such unit. `B) plants` is `B` if another answer is a letter alone, or if all name an option. A sentence is what it
/// adds to the question, if the sentences that add the same do not contradict each other.
pub(super) fn forms(answers: &[Answer]) -> Vec<&str> {
    let has_options = answers.iter().any(Answer::is_letter)
        || (answers.len() > 1 && answers.iter().all(|answer| answer.option.is_some()));
    let mut units: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for answer in answers {
        if let Some(bare) = &answer.bare {
            units.entry(bare).or_default().insert(&answer.form);
        }
    }
    answers
        .iter()
        .map(|answer| {
            let option = answer.option.as_deref().filter(|_| has_options && !answer.is_letter());
            let with_unit = units.get(answer.form.as_str());
            match with_unit.map(|forms| (forms.len(), forms.first().copied())) {
                Some((1, Some(form_with_unit))) => form_with_unit,
                _ => option.or_else(|| gist(answer, answers)).unwrap_or(&answer.form),
            }
        })
        .collect()
}

/// What a sentence adds to the question, where the other sentences that add the same agree with it and with each
/// other.
fn gist<'a>(answer: &'a Answer, answers: &[Answer]) -> Option<&'a str> {
    let statement = answer.statement.as_ref()?;
    let statements = answers.iter().filter_map(|answer| answer.statement.as_ref());
    let alike: Vec<&Statement> = statements.filter(|other| other.gist == statement.gist).collect();
    let agree = alike.iter().all(|one| alike.iter().all(|other| one.agrees_with(other)));
    agree.then_some(statement.gist.as_str())
}

/// Words of a last line. In a longer line, the last number need not be the answer.
const MAX_WORDS: usize = 12;

/// The last number of a short line. None if the last word with digits is not a number but a time, a
/// fraction or a name.
fn in_prose(line: &str) -> Option<Answer> {
    let words: Vec<&str> = line.split_whitespace().take(MAX_WORDS + 1).collect();
    if words.len() > MAX_WORDS || words.iter().any(|word| bare(word) == "remainder") {
        return None;
    }
    let at = words.iter().rposition(|word| word.bytes().any(|byte| byte.is_ascii_digit()))?;
    let word = words.get(at)?;
    let next = words.get(at + 1).map(|word| bare(word));
    match next.filter(|word| matches!(word.as_str(), "%" | "percent")) {
        Some(_) => quantity(&format!("{}%", within(word))),
        // `x=5` says 5.
        None => quantity(word.split_once('=').map_or(word, |(_, value)| value)),
    }
}

fn bare(word: &str) -> String {
    word.trim_matches(AROUND).to_lowercase()
}

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
    rest.lines().map(str::trim).find(|line| !line.trim_matches(AROUND).trim_matches('$').is_empty())
}

/// Replaces the notation of TeX: `18\%`, `\$18`, `1{,}800`, `18\text{ dollars}`.
fn plain(answer: &str) -> String {
    let mut answer = answer.to_owned();
    for (tex, plain) in [("\\%", "%"), ("\\$", "$"), ("{,}", ","), ("\\,", " "), ("\\!", "")] {
        answer = answer.replace(tex, plain);
    }
    match answer.split_once("\\text{") {
        Some((before, unit)) if unit.ends_with('}') && unit.matches('}').count() == 1 => {
            format!("{before} {}", unit.trim_end_matches('}'))
        }
        _ => answer,
    }
}

/// Signs around an answer that are not part of it.
const AROUND: &[char] =
    &['*', '`', '"', '\'', '.', ',', ';', ':', '!', '?', '=', ' ', '\u{201c}', '\u{201d}'];

/// The text without the signs around it; the point of `.5` stays.
fn within(text: &str) -> &str {
    let text = text.trim_end_matches(AROUND);
    let bare = text.trim_start_matches(AROUND);
    let (before, _) = text.split_at(text.len() - bare.len());
    let is_point = before.ends_with('.') && !before.ends_with("..");
    match before.len().checked_sub(1).and_then(|at| text.get(at..)) {
        Some(with_point) if is_point && bare.starts_with(|c: char| c.is_ascii_digit()) => {
            with_point
        }
        _ => bare,
    }
}

/// `B`, `(B)`, `B.` or `b)` alone on a line.
fn choice(line: &str) -> Option<char> {
    let bare =
        line.trim_matches(|letter: char| AROUND.contains(&letter) || "()[]$".contains(letter));
    let mut letters = bare.chars();
    let letter = letters.next().filter(char::is_ascii_alphabetic)?;
    letters.next().is_none().then(|| letter.to_ascii_lowercase())
}

/// The normal form: a quantity by its value, a choice by its letter, and any other text in lower case
/// with single spaces and without the signs around it.
fn normal(answer: &str) -> Answer {
    let bare = within(answer);
    if let Some(letter) = choice(bare) {
        return Answer::exact(letter.to_string());
    }
    if let Some(quantity) = quantity(bare) {
        return quantity;
    }
    let inside = bare.strip_prefix('$').and_then(|bare| bare.strip_suffix('$')).unwrap_or(bare);
    let words: Vec<String> = inside.split_whitespace().map(str::to_lowercase).collect();
    Answer::exact(words.join(" ").replace('\u{2019}', "'"))
}

/// A number, with a unit or without: `$18`, `18.0`, `18 dollars`, `18 %`. None for any other
/// text, such as `3/4`, `14:05` and `7 remainder 2`.
fn quantity(text: &str) -> Option<Answer> {
    let text = within(within(text).trim_matches(['(', ')']));
    // Dollar signs on the two sides are those of TeX.
    let text = match text.strip_prefix('$').and_then(|text| text.strip_suffix('$')) {
        Some(inside) => within(inside),
        None => text,
    };
    let (negative, text) = split_sign(text);
    let (money, text) = match text.chars().next().and_then(currency) {
        Some(unit) => (Some(unit), text.trim_start_matches(['$', '\u{20ac}', '\u{a3}', ' '])),
        None => (None, text),
    };
    let (also_negative, text) = if negative { (false, text) } else { split_sign(text) };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',');
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let value = number(digits.trim_end_matches(','), negative || also_negative)?;
    let rest = rest.trim();
    if rest == "%" || rest.eq_ignore_ascii_case("percent") {
        return money.is_none().then(|| Answer::exact(format!("{value}%")));
    }
    let suffix_unit = match rest.chars().next() {
        None => None,
        Some(sign) if rest.len() == sign.len_utf8() && currency(sign).is_some() => {
            currency(sign).map(str::to_owned)
        }
        Some(_) => Some(unit(rest)?),
    };
    let unit = match (money, suffix_unit) {
        (None, None) => return Some(Answer::exact(value)),
        (Some(money), None) => money.to_owned(),
        (None, Some(unit)) => unit,
        // `$18 million` is not eighteen dollars, `$18 each` may be another sum.
        (Some(money), Some(unit)) => (unit == money).then_some(unit)?,
    };
    Some(Answer { bare: Some(value.clone()), ..Answer::exact(format!("{value} {unit}")) })
}

fn split_sign(text: &str) -> (bool, &str) {
    match text.strip_prefix(['-', '\u{2212}']) {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    }
}

fn currency(sign: char) -> Option<&'static str> {
    match sign {
        '$' => Some("dollar"),
        '\u{20ac}' => Some("euro"),
        '\u{a3}' => Some("pound"),
        _ => None,
    }
}

/// Words after a number that change it to another number or make it no number. Any other word is a
/// unit: these belong to word classes with few members.
const NO_UNITS: &[&str] = &[
    // Multiples and parts.
    "hundred thousand million billion trillion mn bn dozen score gross percent percentage \
     permille half halve third quarter fourth fifth sixth seventh eighth ninth tenth \
     hundredth thousandth pi root one two three four five six seven eight nine ten eleven \
     twelve",
    // What is done with it.
    "plus minus time over under squared cubed mod modulo remainder rem divided factorial \
     power base",
    // What it is compared and joined with.
    "or and to not no nor than more less fewer most least about if unless but before after \
     ago earlier later past until out of in by above below between either negative positive",
    // Of the day and of the calendar; ordinals.
    "am pm bc ad st nd rd th",
];

/// A unit in the singular: up to four words. None if the words are not a unit.
fn unit(text: &str) -> Option<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let word = word.to_lowercase();
        let singular = match word.strip_suffix('s') {
            Some(stem) if stem.len() > 1 && !stem.ends_with('s') => stem,
            _ => &word,
        };
        let is_symbol = matches!(word.as_str(), "m" | "g" | "s" | "h" | "l") && words.is_empty();
        let is_word = word.chars().count() > 1 && word.chars().all(char::is_alphabetic);
        let mut no_units = NO_UNITS.iter().flat_map(|words| words.split(' '));
        let says_more = no_units.any(|no_unit| no_unit == singular || no_unit == word);
        if says_more || !(is_word || is_symbol) {
            return None;
        }
        words.push(singular.to_owned());
    }
    let unit = words.join(" ");
    let canonical_unit = match unit.as_str() {
        "usd" | "us dollar" | "buck" => "dollar",
        "eur" => "euro",
        "hr" | "h" => "hour",
        "min" => "minute",
        "sec" | "s" => "second",
        "metre" | "m" => "meter",
        "kilometre" | "km" => "kilometer",
        "centimetre" | "cm" => "centimeter",
        "kg" => "kilogram",
        "g" => "gram",
        "litre" | "l" => "liter",
        "feet" | "ft" => "foot",
        "inche" => "inch",
        unit => unit,
    };
    (1..=4).contains(&words.len()).then(|| canonical_unit.to_owned())
}

/// `1,024.50` is `1024.5`, `007` is `7`, `-0` is `0`; None if it is not a decimal number. Digits
/// are kept as text: floats would make long integers equal that are not.
fn number(digits: &str, negative: bool) -> Option<String> {
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let whole: String = without_commas(whole)?;
    let is_empty = whole.is_empty() && part.is_empty();
    if is_empty || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit()) {
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

/// `1,024` without its comma; None if the commas do not group thousands: `1,2,3` is a list.
fn without_commas(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let mut rest = groups.peekable();
    let first_fits = rest.peek().is_none() || (1..=3).contains(&first.len());
    let threes = rest.all(|group| group.len() == 3);
    (first_fits && threes).then(|| whole.replace(',', ""))
}

#[cfg(test)]
mod tests;
