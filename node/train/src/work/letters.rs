//! Words letter by letter.

/// The running count after each letter: `b0 a1 n1 a2 n2 a3.`
pub(super) fn count(word: &str, letter: char) -> String {
    let mut count = 0;
    let steps: Vec<String> = word
        .chars()
        .map(|c| {
            count += u32::from(c == letter);
            format!("{c}{count}")
        })
        .collect();
    format!("{letter}: {}.", steps.join(" "))
}

/// `s t o n e.`
pub(super) fn spell(word: &str) -> String {
    let letters: Vec<String> = word.chars().map(String::from).collect();
    format!("{}.", letters.join(" "))
}

/// Numbered forwards, then backwards: `1 red 2 sea, 2 sea 1 red.`
pub(super) fn number(words: &[String]) -> String {
    let numbers: Vec<String> =
        words.iter().enumerate().map(|(i, word)| format!("{} {word}", i + 1)).collect();
    let backwards: Vec<&str> = numbers.iter().rev().map(String::as_str).collect();
    format!("{}, {}.", numbers.join(" "), backwards.join(" "))
}
