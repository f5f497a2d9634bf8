//! Rules that a text must keep to, as instructions to a model state them.

use crate::statement::{tokens, without_list_mark};

/// One property of a text that a program can check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// It has exactly this many words.
    Words(usize),
    /// No letter is upper case.
    LowerCase,
    /// No letter is lower case.
    UpperCase,
    /// It has this word.
    Contains(String),
    /// It has at least this many words.
    WordsMin(usize),
    /// It does not have this letter, in any case.
    Avoids(char),
    /// Its first word.
    StartsWith(String),
    /// Its last word.
    EndsWith(String),
    /// It has exactly this many lines, each of which begins with `- `.
    Bullets(usize),
    /// It is a JSON object with exactly these keys and values, and nothing stands around it but a code
    /// fence. A value is a string or a number.
    Json(Vec<(String, String)>),
    /// It has these words in this order, and no other words.
    List(Vec<String>),
}

impl Rule {
    /// Whether the text keeps to the rule. Quotes and markdown around the whole text do not matter.
    pub fn holds(&self, text: &str) -> bool {
        let text = text.trim().trim_matches(['"', '*', '`', '\u{201c}', '\u{201d}']).trim();
        let words = tokens(text);
        match self {
            Self::Words(count) => text.split_whitespace().filter(is_word).count() == *count,
            Self::WordsMin(count) => text.split_whitespace().filter(is_word).count() >= *count,
            Self::LowerCase => !text.chars().any(char::is_uppercase),
            Self::UpperCase => !text.chars().any(char::is_lowercase),
            Self::Contains(word) => words.contains(&word.to_lowercase()),
            Self::Avoids(letter) => !text.to_lowercase().contains(*letter),
            Self::StartsWith(word) => words.first() == Some(&word.to_lowercase()),
            Self::EndsWith(word) => words.last() == Some(&word.to_lowercase()),
            Self::Bullets(count) => {
                let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
                lines.len() == *count && lines.iter().all(|line| line.trim().starts_with("- "))
            }
            Self::Json(fields) => json_fields(text).is_some_and(|read| is_same(&read, fields)),
            Self::List(list) => {
                let lines: Vec<&str> = text.lines().map(without_list_mark).collect();
                tokens(&lines.join(" ")) == *list
            }
        }
    }
}

fn is_word(word: &&str) -> bool {
    word.chars().any(char::is_alphanumeric)
}

fn is_same(read: &[(String, String)], fields: &[(String, String)]) -> bool {
    read.len() == fields.len() && fields.iter().all(|field| read.contains(field))
}

/// The fields of a flat JSON object of strings, numbers and words without escapes. None for any other
/// text, also for one with text around the object.
fn json_fields(text: &str) -> Option<Vec<(String, String)>> {
    let text = text.trim().strip_prefix("json").unwrap_or(text);
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim();
    let mut fields = Vec::new();
    while !rest.is_empty() {
        let (key, tail) = string(rest)?;
        let tail = tail.trim_start().strip_prefix(':')?.trim_start();
        let (value, tail) = if tail.starts_with('"') { string(tail)? } else { bare(tail)? };
        fields.push((key.to_owned(), value.to_owned()));
        rest = match tail.trim_start() {
            "" => "",
            tail => Some(tail.strip_prefix(',')?.trim_start()).filter(|tail| !tail.is_empty())?,
        };
    }
    Some(fields)
}

/// The content of a string without escapes, and what follows it.
fn string(text: &str) -> Option<(&str, &str)> {
    let (content, rest) = text.strip_prefix('"')?.split_once('"')?;
    (!content.contains(['\\', '\n'])).then_some((content, rest))
}

/// A number, `true`, `false` or `null`, and what follows it.
fn bare(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| c == ',' || c.is_whitespace()).unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    let is_value = matches!(value, "true" | "false" | "null") || value.parse::<f64>().is_ok();
    is_value.then_some((value, rest))
}
