//! Checks of free texts against the known answer.

use crate::statement::{
    Weight, claim, digits, is_hedged, numbers, plain, sentences, statement, tokens,
    without_list_mark,
};

use super::rules::Rule;

/// How a text is graded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// A name or a short phrase.
    Name(Names),
    /// A number.
    Number(Number),
    /// Several values in order.
    Sequence(Sequence),
    /// One of several options with letters.
    Choice(Choice),
    /// This text, with at most an introduction before it. Case matters for a text in capital letters;
    /// list marks, quotes, commas and line breaks do not matter.
    Exact(String),
    /// All of these rules.
    Rules(Vec<Rule>),
    /// A statement that the answer is not known.
    Unknown(Unknown),
}

impl Check {
    /// Whether the text is right.
    pub fn grade(&self, text: &str) -> bool {
        match self {
            Self::Name(names) => names.is_right(text),
            Self::Number(number) => number.is_right(text),
            Self::Sequence(sequence) => sequence.is_right(text),
            Self::Choice(choice) => choice.is_right(text),
            Self::Exact(right) => is_exact(text, right),
            Self::Rules(rules) => rules.iter().all(|rule| rule.holds(text)),
            Self::Unknown(unknown) => unknown.is_right(text),
        }
    }
}

/// A right phrase and the phrases that are other answers to the same question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The right phrase and its synonyms, as lower-case words.
    right: Vec<Vec<String>>,
    rivals: Vec<Vec<String>>,
}

impl Names {
    /// The first of `right` is the usual one. Phrases of the question are no rivals, because an answer
    /// in a sentence repeats the question.
    pub fn new<'a>(
        right: &[&str],
        rivals: impl IntoIterator<Item = &'a str>,
        question: &str,
    ) -> Self {
        let question = tokens(question);
        let right: Vec<Vec<String>> = right.iter().map(|name| tokens(name)).collect();
        let rivals = rivals.into_iter().map(tokens).filter(|rival| {
            let is_given = question.windows(rival.len().max(1)).any(|words| words == rival);
            !rival.is_empty() && !is_given && !right.contains(rival)
        });
        let rivals: Vec<Vec<String>> = rivals.collect();
        Self { right, rivals }
    }

    /// The candidates in a sentence, except after a negation: "not Paris".
    pub(super) fn mentions(&self, sentence: &str) -> Vec<String> {
        let words = tokens(sentence);
        let (mut mentions, mut at) = (Vec::new(), 0);
        while let Some(rest) = words.get(at..).filter(|rest| !rest.is_empty()) {
            let phrases = self.right.iter().chain(&self.rivals);
            let longest = phrases.filter(|name| starts_with(rest, name)).max_by_key(|n| n.len());
            let Some(phrase) = longest else {
                at += 1;
                continue;
            };
            let before = words.get(at.saturating_sub(2)..at).unwrap_or_default();
            if !before.iter().any(|word| is_negation(word)) {
                let name = if self.right.contains(phrase) { self.right.first() } else { None };
                mentions.push(name.unwrap_or(phrase).join(" "));
            }
            at += phrase.len();
        }
        mentions
    }

    pub(crate) fn is_right(&self, text: &str) -> bool {
        let candidate = statement(text, &|sentence| self.mentions(sentence), Weight::Conclusion);
        candidate.is_some() && candidate == self.right.first().map(|name| name.join(" "))
    }
}

/// Whether the words begin with the phrase. The plural of the last word is the same phrase.
fn starts_with(words: &[String], phrase: &[String]) -> bool {
    let Some((last, first)) = phrase.split_last() else { return false };
    let Some(word) = words.get(first.len()) else { return false };
    words.starts_with(first) && (word == last || word.strip_suffix('s') == Some(last))
}

fn is_negation(word: &str) -> bool {
    matches!(word, "not" | "never" | "nor" | "neither" | "rather" | "instead" | "unlike")
        || word.ends_with("n't")
}

/// A right number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    right: String,
    /// The numbers of the question: an answer in a sentence repeats them.
    operands: Vec<String>,
}

impl Number {
    /// `right` is a decimal number.
    pub fn new(right: &str, question: &str) -> Self {
        Self {
            right: digits(right).into_iter().next().unwrap_or_default(),
            operands: digits(question),
        }
    }

    /// The numbers of a sentence without those of the question; a number of the question counts where
    /// it is the only one.
    fn mentions(&self, sentence: &str) -> Vec<String> {
        let numbers = numbers(sentence);
        let rest = without(&numbers, &self.operands);
        if rest.is_empty() && numbers.len() == 1 { numbers } else { rest }
    }

    pub(crate) fn is_right(&self, text: &str) -> bool {
        let candidate = statement(text, &|sentence| self.mentions(sentence), Weight::Last);
        candidate.as_ref() == Some(&self.right)
    }
}

/// The values without the first occurrence of each of `given`.
fn without(values: &[String], operands: &[String]) -> Vec<String> {
    let mut operands = operands.to_vec();
    let mut rest = Vec::new();
    for value in values {
        match operands.iter().position(|number| number == value) {
            Some(at) => drop(operands.remove(at)),
            None => rest.push(value.clone()),
        }
    }
    rest
}

/// Values in order: numbers, or words of a known set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    right: Vec<String>,
    /// The values of the question, which an answer may repeat before its own.
    operands: Vec<String>,
    /// Whether the values are numbers.
    is_numeric: bool,
}

impl Sequence {
    /// Numbers in order.
    pub fn numbers(right: &str, question: &str) -> Self {
        Self { right: digits(right), operands: digits(question), is_numeric: true }
    }

    /// Words in order. All of them are in `given`.
    pub fn words(right: &str, operands: &str) -> Self {
        Self { right: tokens(right), operands: tokens(operands), is_numeric: false }
    }

    fn values(&self, text: &str) -> Vec<String> {
        if self.is_numeric {
            let lines: Vec<&str> = text.lines().map(without_list_mark).collect();
            return numbers(&lines.join("\n"));
        }
        tokens(text).into_iter().filter(|word| self.right.contains(word)).collect()
    }

    /// The last list in brackets decides, otherwise the final answer, the last sentence or the whole
    /// text.
    pub(crate) fn is_right(&self, text: &str) -> bool {
        let text = plain(text);
        if let Some(list) = last_brackets(&text) {
            return self.values(list) == self.right;
        }
        if let Some(claim) = claim(&text).filter(|claim| !self.values(claim).is_empty()) {
            // A list below the mark has one value a line.
            let start = claim.as_ptr() as usize - text.as_ptr() as usize;
            let rest = text.get(start..).unwrap_or(claim);
            return self.fits(claim) || self.fits(rest);
        }
        let parts = sentences(&text);
        let last = parts.iter().rev().find(|part| !self.values(part).is_empty());
        let earlier = parts.iter().filter(|part| Some(*part) != last);
        let repeats = earlier.filter(|part| self.values(part).len() >= self.right.len()).count();
        let first_half = last.is_some_and(|last| self.fits(last)) && repeats == 0;
        let last_line = text.lines().rev().find(|line| !self.values(line).is_empty());
        let of_steps = text.contains('\n') && last_line.is_some_and(|line| self.fits(line));
        first_half || of_steps || self.fits(&text)
    }

    fn fits(&self, part: &str) -> bool {
        let values = self.values(part);
        !is_hedged(part) && (values == self.right || without(&values, &self.operands) == self.right)
    }
}

/// Inside of the last `[...]` with a comma, but not an index such as `xs[1:2]`.
fn last_brackets(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some((before, tail)) = rest.rsplit_once('[') {
        let list = tail.split(']').next().unwrap_or(tail);
        if list.contains(',') && !list.contains(':') {
            return Some(list);
        }
        rest = before;
    }
    None
}

/// A multiple choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    right: usize,
    options: Vec<Names>,
}

impl Choice {
    /// The options in the order of their letters, and the index of the right one.
    pub fn new(options: &[&str], right: usize, question: &str) -> Self {
        let options = options.iter().map(|option| Names::new(&[option], [], question)).collect();
        Self { right, options }
    }

    /// The letters that a sentence names, as such or by the text of their option.
    fn mentions(&self, sentence: &str) -> Vec<String> {
        let words: Vec<&str> = sentence.split_whitespace().collect();
        let mut letters = Vec::new();
        for (at, word) in words.iter().enumerate() {
            let core = word.trim_matches(|c: char| !c.is_alphanumeric());
            let index = (0..self.options.len()).find(|index| core == letter(*index));
            let is_article = *word == "A" && words.len() > 1 && !self.is_option(&words, at);
            letters.extend(index.filter(|_| !is_article).map(letter));
        }
        for (index, option) in self.options.iter().enumerate() {
            if !option.mentions(sentence).is_empty() {
                letters.push(letter(index));
            }
        }
        letters.sort();
        letters
    }

    /// Whether a bare `A` stands for the option: after "is" or "option", or before the option's text.
    fn is_option(&self, words: &[&str], at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| words.get(at)).map(|w| w.to_lowercase());
        let is_named = matches!(before.as_deref(), Some("is" | "option" | "choice" | "letter"));
        let rest = words.get(at + 1..).unwrap_or_default();
        let text = self.options.first().map(|option| option.mentions(&rest.join(" ")));
        (is_named && rest.is_empty()) || text.is_some_and(|mentions| !mentions.is_empty())
    }

    fn is_right(&self, text: &str) -> bool {
        let bare = text.trim_matches(|c: char| !c.is_alphanumeric());
        if bare.len() == 1 {
            return bare.eq_ignore_ascii_case(&letter(self.right));
        }
        let candidate = statement(text, &|sentence| self.mentions(sentence), Weight::Conclusion);
        candidate == Some(letter(self.right))
    }
}

/// `A` for 0, `B` for 1, and so on.
pub(super) fn letter(index: usize) -> String {
    let offset = u8::try_from(index).unwrap_or(25).min(25);
    char::from(b'A' + offset).to_string()
}

/// Answers that a passage does not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Values of the kind that is asked for, which stand nowhere in the passage.
    guesses: Vec<Vec<String>>,
}

impl Unknown {
    /// `guesses`: answers that a model may invent.
    pub fn new<'a>(guesses: impl IntoIterator<Item = &'a str>) -> Self {
        Self { guesses: guesses.into_iter().map(tokens).collect() }
    }

    fn is_right(&self, text: &str) -> bool {
        const STATEMENTS: &[&str] = &[
            "unknown",
            "not known",
            "not say",
            "not mention",
            "not state",
            "not specif",
            "not provide",
            "not given",
            "not give",
            "not tell",
            "not include",
            "not contain",
            "not indicate",
            "not reveal",
            "no information",
            "no mention",
            "not enough information",
            "cannot be determined",
            "can't be determined",
            "cannot determine",
            "can't determine",
            "cannot tell",
            "can't tell",
            "cannot say",
            "cannot answer",
            "unable to determine",
            "not possible to",
            "n't say",
            "n't mention",
            "n't state",
            "n't specif",
            "n't provide",
            "n't give",
            "n't tell",
            "n't include",
            "n't contain",
            "n't indicate",
            "n't known",
            "n't stated",
            "not described",
            "unspecified",
            "unstated",
        ];
        const GUESSES: &[&str] = &["probably", "likely", "presumably", "guess", "assume", "maybe"];
        let lower = plain(text).to_lowercase();
        let words = tokens(&lower);
        let guesses = self.guesses.iter().any(|guess| {
            !guess.is_empty() && words.windows(guess.len()).any(|window| window == guess)
        });
        let is_guess = words.iter().any(|word| GUESSES.contains(&word.as_str()));
        STATEMENTS.iter().any(|statement| lower.contains(statement)) && !guesses && !is_guess
    }
}

/// Words of an introduction: "Sure! Here is the text in upper case".
const INTRODUCTION_WORDS_MAX: usize = 14;

fn is_exact(text: &str, right: &str) -> bool {
    let (mut text, mut right) = (bare_words(text), bare_words(right));
    if right.chars().any(char::is_lowercase) {
        (text, right) = (text.to_lowercase(), right.to_lowercase());
    }
    let Some((before, after)) = text.split_once(&right) else { return false };
    let begins_word = before.chars().next_back().is_none_or(char::is_whitespace);
    // Nothing but spaces may follow.
    if !begins_word || !after.trim().is_empty() {
        return false;
    }
    let introduction = before.trim();
    let is_short = introduction.split_whitespace().count() <= INTRODUCTION_WORDS_MAX;
    let introduces = introduction.ends_with(':')
        || ["is", "becomes", "are"].iter().any(|verb| introduction.ends_with(verb));
    introduction.is_empty() || (is_short && introduces && !is_hedged(introduction))
}

/// The words of a text with single spaces, without markdown, quotes, commas, list marks and a final
/// full stop.
fn bare_words(text: &str) -> String {
    let text = plain(text);
    let lines: Vec<String> = text
        .lines()
        .map(|line| without_list_mark(line).replace(['*', '`', '"', '\'', ','], " "))
        .collect();
    let words: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
    words.join(" ").trim_end_matches(['.', ' ']).to_owned()
}
