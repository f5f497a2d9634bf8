//! The labelled option that an answer names: `B) plants`, `**C.** iron`, `The answer is (D).`

/// Words that come before the label of an option.
const MARKS: &[&str] = &["answer is", "answer:", "option is", "choice is"];

/// Signs that emphasise a label or open it.
const EMPHASIS: &[char] = &['*', '_', '`', '"', '(', '[', ':', ' '];

/// The letter of the option, in lower case: of the last statement of an answer, or of the label that
/// the text begins with. Linear in the text.
pub(super) fn letter(text: &str) -> Option<char> {
    let lower = text.to_ascii_lowercase();
    let end_of_mark = MARKS.iter().filter_map(|mark| Some(lower.rfind(mark)? + mark.len())).max();
    let statement = end_of_mark.and_then(|at| label(text.get(at..)?));
    statement.or_else(|| label(text.trim_start()))
}

/// The label at the beginning: a capital letter from A to J with a sign behind it that closes it.
fn label(text: &str) -> Option<char> {
    let mut signs = text.trim_start_matches(EMPHASIS).chars();
    let letter = signs.next().filter(|letter| ('A'..='J').contains(letter))?;
    let closes = match signs.next() {
        None | Some(')' | ']' | '.' | ':' | ',' | '*' | '_' | '`' | '"' | '\n') => true,
        Some(_) => false,
    };
    closes.then(|| letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_by_its_label() {
        for (text, expectation) in [
            ("B) plants", Some('b')),
            ("**C.** iron", Some('c')),
            ("(D) none of these", Some('d')),
            ("The answer is (A).", Some('a')),
            ("The correct answer is **B**, because light is needed.", Some('b')),
            ("A) is too small. So the answer is C) the sun.", Some('c')),
            ("Answer: D) wind", Some('d')),
            ("The answer is A good idea.", None),
            ("A plant needs light.", None),
            ("Every cell", None),
            ("Z) zebra", None),
            ("", None),
        ] {
            assert_eq!(letter(text), expectation, "{text:?}");
        }
    }
}
