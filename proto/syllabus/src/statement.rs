//! The answer that a free text states. General models answer in sentences, with markdown, and after
//! some reasoning; few of them write `Answer:`.
//!
//! A checker says what one sentence mentions: candidates for the answer. This module finds the sentence
//! that counts, and refuses a text that offers several candidates.

/// The candidates that a sentence mentions, in the order of the sentence.
pub(crate) type Mentions<'a> = &'a dyn Fn(&str) -> Vec<String>;

/// Which sentence counts where several sentences mention different candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// The last one: a calculation ends with its result.
    Last,
    /// The last one, if it says that it is a conclusion. Otherwise the text is a list of candidates.
    Conclusion,
}

/// The only candidate that the text states. None for no candidate and for several.
pub(crate) fn statement(text: &str, mentions: Mentions<'_>, weight: Weight) -> Option<String> {
    let text = plain(text);
    if let Some(claim) = claim(&text).filter(|claim| !mentions(claim).is_empty()) {
        return only(claim, mentions);
    }
    let sentences: Vec<&str> =
        sentences(&text).into_iter().filter(|sentence| !mentions(sentence).is_empty()).collect();
    let last = *sentences.last()?;
    if is_list(&sentences, mentions) {
        return None;
    }
    let bold: Vec<&str> = last.split("**").skip(1).step_by(2).collect();
    if let [bold] = bold.as_slice()
        && !mentions(bold).is_empty()
        && !is_hedged(last)
    {
        return only(bold, mentions);
    }
    let mut candidates: Vec<String> = sentences.iter().flat_map(|part| mentions(part)).collect();
    candidates.dedup();
    let agree = candidates.len() == 1 && !sentences.iter().any(|sentence| is_hedged(sentence));
    if agree || weight == Weight::Last || is_conclusion(last) { only(last, mentions) } else { None }
}

/// What stands after the last mark of a final answer: `\boxed{}`, `Answer:`, `the answer is`. One
/// sentence of it.
pub(crate) fn claim(text: &str) -> Option<&str> {
    const MARKS: &[&str] = &["\\boxed{", "answer:", "answer is", "answer would be", "answer**:"];
    // The lower case of ASCII letters keeps every position.
    let lower = text.to_ascii_lowercase();
    let end = MARKS.iter().filter_map(|mark| lower.rfind(mark).map(|at| at + mark.len())).max()?;
    let rest = text.get(end..)?;
    let line = rest.lines().map(str::trim).find(|line| line.chars().any(char::is_alphanumeric))?;
    sentences(line).into_iter().find(|part| part.chars().any(char::is_alphanumeric))
}

/// The sentences of a text, without empty ones. A line ends a sentence.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    for line in text.lines() {
        let mut rest = line;
        while let Some(at) = end_of_sentence(rest) {
            let (sentence, tail) = rest.split_at(at);
            sentences.push(sentence.trim());
            rest = tail;
        }
        sentences.push(rest.trim());
    }
    sentences.retain(|sentence| !sentence.is_empty());
    sentences
}

/// The position after the first full stop, question mark or exclamation mark that a space follows. The
/// number of a list item (`1. `) ends no sentence.
fn end_of_sentence(line: &str) -> Option<usize> {
    let mut start = 0;
    loop {
        let tail = line.get(start..)?;
        let at = [". ", "! ", "? ", ".** ", "!** "]
            .iter()
            .filter_map(|end| tail.find(end).map(|at| at + end.len()))
            .min()?;
        let before = line.get(..start + at)?.trim();
        let digits = before.trim_end_matches('.');
        if digits.len() > 3 || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Some(start + at);
        }
        start += at;
    }
}

/// The only candidate of one sentence.
fn only(sentence: &str, mentions: Mentions<'_>) -> Option<String> {
    let mut candidates = mentions(sentence);
    candidates.dedup();
    match candidates.as_slice() {
        [candidate] if !is_hedged(sentence) => Some(candidate.clone()),
        _ => None,
    }
}

/// Whether two sentences have the same words but for the candidate: "It is 4. It is 5." Steps of a
/// calculation (`2 + 2 = 4`) may look alike.
fn is_list(sentences: &[&str], mentions: Mentions<'_>) -> bool {
    let mut frames: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for sentence in sentences.iter().filter(|sentence| !sentence.contains(['=', '+', '*'])) {
        let candidates = mentions(sentence);
        let words = tokens(sentence);
        let frame: Vec<String> = words
            .into_iter()
            .filter(|word| !candidates.iter().any(|candidate| tokens(candidate).contains(word)))
            .collect();
        if frames
            .iter()
            .any(|(earlier_frame, values)| *earlier_frame == frame && *values != candidates)
        {
            return true;
        }
        frames.push((frame, candidates));
    }
    false
}

/// Whether a sentence offers alternatives.
pub(crate) fn is_hedged(sentence: &str) -> bool {
    const HEDGES: &[&str] =
        &["or", "either", "maybe", "perhaps", "possibly", "might", "could", "unsure"];
    tokens(sentence).iter().any(|word| HEDGES.contains(&word.as_str()))
}

fn is_conclusion(sentence: &str) -> bool {
    const CONCLUSIONS: &[&str] =
        &["so", "therefore", "thus", "hence", "answer", "final", "finally", "conclusion", "result"];
    tokens(sentence).iter().any(|word| CONCLUSIONS.contains(&word.as_str()))
}

/// The text without code fences, with ASCII quotes and with spaces around dashes.
pub(crate) fn plain(text: &str) -> String {
    let text = text
        .replace(['\u{2018}', '\u{2019}'], "'")
        .replace(['\u{201c}', '\u{201d}'], "\"")
        .replace(['\u{2013}', '\u{2014}'], " - ")
        .replace('\u{2212}', "-")
        .replace("\\text", " ");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("```")).collect();
    lines.join("\n")
}

/// A line without `- `, `* ` or `1. ` at its beginning.
pub(crate) fn without_list_mark(line: &str) -> &str {
    let line = line.trim();
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_numbered = rest.len() < line.len() && line.len() - rest.len() < 3;
    if let Some(item) = rest.strip_prefix(['.', ')']).filter(|item| item.starts_with(' '))
        && is_numbered
    {
        return item.trim();
    }
    line.strip_prefix(['-', '*', '\u{2022}'])
        .filter(|item| item.starts_with(' '))
        .unwrap_or(line)
        .trim()
}

/// The words of a text in lower case, without the signs around them and without a final `'s`. A comma
/// or a point within a number stays.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let mut parts = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let follows_digit = at.checked_sub(1).is_some_and(|before| is_digit(&letters, before));
        let in_number = follows_digit && is_digit(&letters, at + 1);
        match letter {
            ',' if in_number => {}
            ',' | '/' | '=' | '(' | ')' | '[' | ']' | '{' | '}' | ':' | ';' | '"' | '|' | '<'
            | '>' => parts.push(' '),
            letter => parts.extend(letter.to_lowercase()),
        }
    }
    let words = parts.split_whitespace().map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '$' && c != '\u{20ac}');
        word.strip_suffix("'s").unwrap_or(word).to_owned()
    });
    words.filter(|word| !word.is_empty()).collect()
}

/// The decimal numbers of a text, without thousands separators and final zeros of a fraction. Of
/// equations only the last side counts. Words for numbers up to twenty count where there are no digits.
pub(crate) fn numbers(text: &str) -> Vec<String> {
    let last_side = text.rsplit('=').next().unwrap_or(text);
    let has_digits = last_side.bytes().any(|byte| byte.is_ascii_digit());
    let numbers = digits(if has_digits { last_side } else { text });
    if numbers.is_empty() { number_words(text) } else { numbers }
}

fn is_digit(letters: &[char], at: usize) -> bool {
    letters.get(at).is_some_and(char::is_ascii_digit)
}

/// As [`numbers`], for all sides of an equation.
pub(crate) fn digits(text: &str) -> Vec<String> {
    let letters: Vec<char> = text.chars().collect();
    let (mut numbers, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        if !is_digit(&letters, at) {
            at += 1;
            continue;
        }
        let before = letters.get(..at).unwrap_or_default();
        let start = at;
        while is_digit(&letters, at)
            || (matches!(letters.get(at), Some('.' | ',')) && is_digit(&letters, at + 1))
        {
            // A comma separates thousands only before three digits.
            let is_group =
                (1..=3).all(|n| is_digit(&letters, at + n)) && !is_digit(&letters, at + 4);
            if letters.get(at) == Some(&',') && !is_group {
                break;
            }
            at += 1;
        }
        let number: String = letters.get(start..at).unwrap_or_default().iter().collect();
        numbers.push(format!("{}{}", sign(before), canonical(&number)));
    }
    numbers
}

/// `-` if the signs before a number make it negative: a minus after a number, a bracket or within a
/// word is none.
fn sign(before: &[char]) -> &'static str {
    let Some(('-', rest)) = before.split_last() else { return "" };
    let value = rest.iter().rev().find(|letter| !letter.is_whitespace());
    let is_separate = rest.last().is_none_or(|letter| letter.is_whitespace());
    let subtracts = match value {
        Some(letter) if letter.is_alphabetic() => !is_separate,
        Some(letter) => letter.is_numeric() || *letter == ')',
        None => false,
    };
    if subtracts { "" } else { "-" }
}

fn canonical(number: &str) -> String {
    let number = number.replace(',', "");
    let (whole, part) = number.split_once('.').unwrap_or((&number, ""));
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match part.trim_end_matches('0') {
        "" => whole.to_owned(),
        part => format!("{whole}.{part}"),
    }
}

const NUMBER_WORDS: [&str; 21] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
    "twenty",
];

fn number_words(text: &str) -> Vec<String> {
    let mut numbers: Vec<String> = tokens(text)
        .iter()
        .filter_map(|token| NUMBER_WORDS.iter().position(|word| word == token))
        .map(|number| number.to_string())
        .collect();
    // "One" is also a pronoun.
    if numbers.iter().any(|number| number != "1") {
        numbers.retain(|number| number != "1");
    }
    numbers
}
