//! Templates: `{table}` stands for an entry of a table, `{3}` for a number of three digits, and
//! `{this|that}` for one of the texts. Other braces are text.

use std::{collections::HashMap, sync::LazyLock};

use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::Part;

/// Every eighth entry of a table is held out, from this index on.
const HELD_OUT: usize = 5;
const EVERY: usize = 8;

/// The tables by name.
static TABLES: LazyLock<HashMap<&'static str, Entries>> = LazyLock::new(|| {
    let files = [include_str!("words.txt"), include_str!("parts.txt"), include_str!("dress.txt")];
    let lines = files.into_iter().flat_map(str::lines);
    lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, entries)| (name, Entries(entries.split(" | ").map(str::trim).collect())))
        .collect()
});

/// The entries of a table.
pub(super) struct Entries(Vec<&'static str>);

impl Entries {
    /// A table with one entry in a line.
    pub(super) fn lines(text: &'static str) -> Self {
        Self(text.lines().filter(|line| !line.is_empty()).collect())
    }

    /// A random entry of that part. Tables of fewer than eight entries belong to both parts.
    pub(super) fn pick(&self, part: Part, rng: &mut ChaCha8Rng) -> &'static str {
        let shared_table = self.0.len() < EVERY;
        let entries = self.0.iter().enumerate().filter(|(index, _)| {
            shared_table || (index % EVERY == HELD_OUT) == (part == Part::HeldOut)
        });
        let entries: Vec<&'static str> = entries.map(|(_, entry)| *entry).collect();
        entries.choose(rng).copied().unwrap_or_default()
    }
}

/// A random entry of a named table, `None` if there is no such table.
pub(super) fn entry(table: &str, part: Part, rng: &mut ChaCha8Rng) -> Option<&'static str> {
    Some(TABLES.get(table)?.pick(part, rng))
}

/// Fills templates with entries of one part.
#[derive(Clone, Copy)]
pub(super) struct Template {
    pub part: Part,
}

impl Template {
    /// The text of a template.
    pub(super) fn expand(self, template: &str, rng: &mut ChaCha8Rng) -> String {
        let mut text = String::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            text += &before.replace("\\n", "\n");
            let Some(end) = end(after) else {
                text.push('{');
                rest = after;
                continue;
            };
            let (slot, tail) = after.split_at(end);
            text += &self.slot(slot, rng);
            rest = tail.strip_prefix('}').unwrap_or(tail);
        }
        text + &rest.replace("\\n", "\n")
    }

    fn slot(self, slot: &str, rng: &mut ChaCha8Rng) -> String {
        let alternatives = alternatives(slot);
        if alternatives.len() > 1 {
            let choice = alternatives.choose(rng).copied().unwrap_or_default();
            return self.expand(choice, rng);
        }
        if let Some(value) = value(slot, rng) {
            return value;
        }
        match entry(slot, self.part, rng) {
            Some(entry) => self.expand(entry, rng),
            None => format!("{{{}}}", self.expand(slot, rng)),
        }
    }
}

/// Slots that are drawn without a table.
fn value(slot: &str, rng: &mut ChaCha8Rng) -> Option<String> {
    match slot {
        "n" => {
            let digits = *[1, 1, 2, 2, 2, 3, 3, 4].choose(rng)?;
            Some(number(digits, rng))
        }
        "word" => Some(word(rng)),
        "letter" => Some(char::from(rng.random_range(b'a'..=b'z')).to_string()),
        _ => {
            let digits: u32 = slot.parse().ok()?;
            (1..=7).contains(&digits).then(|| number(digits, rng))
        }
    }
}

/// A word that can be pronounced and is in no dictionary.
pub(super) fn word(rng: &mut ChaCha8Rng) -> String {
    let syllables = rng.random_range(1..=4);
    let mut word = String::new();
    for _ in 0..syllables {
        for letters in [b"bcdfghjklmnprstvwz".as_slice(), b"aeiou"] {
            word.extend(letters.choose(rng).copied().map(char::from));
        }
        if rng.random_bool(0.3) {
            word.extend(b"nrstlkm".choose(rng).copied().map(char::from));
        }
    }
    word
}

fn number(digits: u32, rng: &mut ChaCha8Rng) -> String {
    let low = if digits == 1 { 1 } else { 10u32.pow(digits - 1) };
    rng.random_range(low..10u32.pow(digits)).to_string()
}

/// Where the brace that was opened before `text` is closed.
fn end(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (index, letter) in text.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// The texts between the bars that are in no inner braces.
fn alternatives(slot: &str) -> Vec<&str> {
    let (mut depth, mut start, mut texts) = (0, 0, Vec::new());
    for (index, letter) in slot.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            '|' if depth == 0 => {
                texts.push(slot.get(start..index).unwrap_or_default());
                start = index + 1;
            }
            _ => {}
        }
    }
    texts.push(slot.get(start..).unwrap_or_default());
    texts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand::SeedableRng;

    use super::*;
    use crate::outside::Kind;

    fn picks(entries: &Entries, part: Part) -> HashSet<&'static str> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..8000).map(|_| entries.pick(part, &mut rng)).collect()
    }

    #[test]
    fn training_and_measurement_share_no_template_and_no_word_of_a_long_table() {
        let templates = Kind::ALL.into_iter().filter_map(Kind::templates).map(Entries::lines);
        let templates: Vec<Entries> = templates.collect();
        for entries in templates.iter().chain(TABLES.values()) {
            let (train, held_out) = (picks(entries, Part::Train), picks(entries, Part::HeldOut));
            if entries.0.len() < EVERY {
                assert_eq!(train, held_out);
                continue;
            }
            assert!(train.is_disjoint(&held_out), "{:?}", entries.0);
            assert_eq!(train.len() + held_out.len(), entries.0.len(), "{:?}", entries.0);
            assert!(!held_out.is_empty());
        }
    }

    #[test]
    fn a_template_is_filled_to_the_last_slot() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let mut expand = |template: &str| Template { part: Part::Train }.expand(template, &mut rng);
        assert_eq!(expand("f(x) { return [x]; }\\n{}"), "f(x) { return [x]; }\n{}");
        assert_eq!(expand("an open { brace"), "an open { brace");
        for _ in 0..50 {
            assert!(["ab", "acd", "a"].contains(&expand("a{b|c{d|d}|}").as_str()));
            let number: u32 = expand("{3}").parse().unwrap();
            assert!((100..1000).contains(&number));
            let text = expand("{sentence} {fact} {ask} {mcq} {opt} {nums} {date}");
            assert!(!text.contains(['{', '}']), "{text}");
        }
    }
}
