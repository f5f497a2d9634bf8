//! Texts without sense: random letters, words, digits and marks.

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{
    Part,
    template::{Template, entry, word},
};

/// Tables whose entries make random word lists.
const WORDS: [&str; 8] = ["noun", "adj", "verb", "animal", "adverb", "material", "name", "food"];
const MARKS: &[u8] = b"?!.,;:-_#*+/\\()[]{}<>=&%$@~^|'\"`";
/// Rows of a keyboard: a mash stays in one of them for a while.
const KEYS: [&[u8]; 5] = [b"qwertyuiop", b"asdfghjkl", b"zxcvbnm", b"asdf", b"1234567890"];

/// One text.
pub(super) fn text(part: Part, rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..10) {
        0 => letters(rng),
        1 => mash(rng),
        2 => marks(rng),
        3 => list(rng, " ", word),
        4 | 5 => list(rng, " ", |rng| known_word(part, rng)),
        6 => repetition(rng),
        7 => bytes(rng),
        8 => list(rng, " ", mixed_word),
        _ => format!("{}?", list(rng, " ", |rng| known_word(part, rng))),
    }
}

fn known_word(part: Part, rng: &mut ChaCha8Rng) -> String {
    let table = WORDS.choose(rng).copied().unwrap_or_default();
    Template { part }.expand(entry(table, part, rng).unwrap_or_default(), rng)
}

fn list(
    rng: &mut ChaCha8Rng,
    between: &str,
    mut next: impl FnMut(&mut ChaCha8Rng) -> String,
) -> String {
    let count = rng.random_range(1..=12);
    let words: Vec<String> = (0..count).map(|_| next(rng)).collect();
    words.join(between)
}

fn mixed_word(rng: &mut ChaCha8Rng) -> String {
    match rng.random_range(0..3) {
        0 => rng.random_range(0..10_000).to_string(),
        1 => word(rng),
        _ => from(MARKS, 3, rng),
    }
}

fn letters(rng: &mut ChaCha8Rng) -> String {
    let letters = if rng.random() {
        b"abcdefghijklmnopqrstuvwxyz".as_slice()
    } else {
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789   "
    };
    from(letters, 60, rng)
}

fn mash(rng: &mut ChaCha8Rng) -> String {
    let runs = rng.random_range(1..=5);
    let runs = (0..runs).map(|_| from(KEYS.choose(rng).copied().unwrap_or_default(), 8, rng));
    runs.collect()
}

fn marks(rng: &mut ChaCha8Rng) -> String {
    let spaced_letters = rng.random_bool(0.3);
    from(MARKS, 20, rng)
        .chars()
        .flat_map(|mark| [Some(mark), spaced_letters.then_some(' ')])
        .flatten()
        .collect()
}

fn repetition(rng: &mut ChaCha8Rng) -> String {
    let unit = if rng.random() { word(rng) } else { from(b"a?.x0!z ", 2, rng) };
    unit.repeat(rng.random_range(1..=20))
}

/// Letters of other scripts and symbols.
fn bytes(rng: &mut ChaCha8Rng) -> String {
    let starts: [u32; 8] = [0x410, 0x3b1, 0x5d0, 0x627, 0x3042, 0x4e00, 0x1f600, 0xe0];
    let start = starts.choose(rng).copied().unwrap_or(0x410);
    let count = rng.random_range(1..=12);
    (0..count).filter_map(|_| char::from_u32(start + rng.random_range(0..24))).collect()
}

/// Up to `most` random bytes of `letters`, at least one.
fn from(letters: &[u8], most: usize, rng: &mut ChaCha8Rng) -> String {
    let count = rng.random_range(1..=most);
    (0..count).filter_map(|_| letters.choose(rng)).map(|byte| char::from(*byte)).collect()
}
