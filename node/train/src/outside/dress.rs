//! What people put around a question: politeness, case, missing marks, typing errors.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{Part, template::entry};

/// A question of the syllabus. Its words keep their spelling, and lose at most capitals.
pub(super) fn inside(text: String, rng: &mut ChaCha8Rng) -> String {
    let text = match rng.random_range(0..4) {
        0 => text.to_lowercase(),
        1 => without_end(&text),
        _ => text,
    };
    if rng.random_bool(0.6) { polite(text, Part::Train, rng) } else { text }
}

/// Any other question.
pub(super) fn outside(text: String, part: Part, rng: &mut ChaCha8Rng) -> String {
    let text = match rng.random_range(0..20) {
        0..=2 => text.to_lowercase(),
        3..=5 => without_end(&text),
        6 => text.to_uppercase(),
        7 | 8 => with_typos(&text, rng),
        9 => without_end(&text).to_lowercase(),
        _ => text,
    };
    if rng.random_bool(0.25) { polite(text, part, rng) } else { text }
}

fn without_end(text: &str) -> String {
    text.trim_end_matches(['?', '.', '!', ':']).to_owned()
}

fn polite(text: String, part: Part, rng: &mut ChaCha8Rng) -> String {
    let before = entry("before", part, rng).unwrap_or_default();
    let after = entry("after", part, rng).unwrap_or_default();
    let between = [" ", " ", " ", "\n"].choose(rng).copied().unwrap_or_default();
    match rng.random_range(0..5) {
        0 | 1 => format!("{before}{between}{text}"),
        2 | 3 => format!("{text}{between}{after}"),
        _ => format!("{before}{between}{text}{between}{after}"),
    }
}

/// One or two letters dropped, doubled or exchanged with the next.
fn with_typos(text: &str, rng: &mut ChaCha8Rng) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    for _ in 0..rng.random_range(1..=2) {
        if letters.len() < 2 {
            break;
        }
        let place = rng.random_range(0..letters.len() - 1);
        match rng.random_range(0..3) {
            0 => {
                letters.remove(place);
            }
            1 => letters.swap(place, place + 1),
            _ => letters.insert(place, letters.get(place).copied().unwrap_or_default()),
        }
    }
    letters.into_iter().collect()
}
