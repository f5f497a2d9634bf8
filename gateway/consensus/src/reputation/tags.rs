//! Tags: the skills that members claim. This module decides which asks a tag fits, and how much a tag
//! counts beside gold answers.
//!
//! A tag is hashed into the same space as the n-grams of an ask. A tag of the list below fits an ask
//! that contains one of its listed words. Any other tag fits an ask that contains all words of its
//! name, so that operators may invent tags such as `rust` or `tax-law`.

use std::{collections::BTreeMap, sync::LazyLock};

use shoal_proto::hello::TAGS_MAX;

use crate::reputation::{
    features::Features,
    kinds::{BUCKETS, bucket, words},
};

/// A tag with its terms (one or two words, numbers as `#`; separated by commas), and the tags that it contains.
struct TagWords {
    tag: &'static str,
    parts: &'static [&'static str],
    terms: &'static str,
}

const fn tag(tag: &'static str, parts: &'static [&'static str], terms: &'static str) -> TagWords {
    TagWords { tag, parts, terms }
}

impl TagWords {
    fn terms(&self) -> impl Iterator<Item = &'static str> {
        self.terms.split_terminator(", ")
    }
}

/// The tags that PROTOCOL.md and config/node.toml name. A tag follows the tags that it contains.
const VOCABULARY: &[TagWords] = &[
    tag("addition", &[], "+, plus, add, sum, total, altogether"),
    tag("subtraction", &[], "# -, minus, subtract, difference, away from"),
    tag("multiplication", &[], "*, ×, # x, times, multiply, multiplied, product"),
    tag("division", &[], "/, ÷, divide, divided, quotient, remainder"),
    tag("arithmetic", &["addition", "subtraction", "multiplication", "division"], ""),
    tag(
        "comparison",
        &[],
        "largest, biggest, highest, greatest, maximum, smallest, lowest, least, minimum, \
         compare, larger, smaller, greater, less",
    ),
    tag("sorting", &[], "sort, ascending, descending, arrange, order from, order"),
    tag("equations", &[], "equation, solve, # =, x +, x -, of x, is x, find x"),
    tag("word-problems", &[], "how many, how much, gives, gets, buys, sells, left, each, shares"),
    tag(
        "math",
        &["arithmetic", "comparison", "sorting", "equations", "word-problems"],
        "calculate, compute, number, numbers, percent, %, fraction, integral, derivative, \
         triangle, circle, probability, prime, proof, theorem",
    ),
    tag("maths", &["math"], ""),
    tag("mathematics", &["math"], ""),
    tag(
        "letters",
        &[],
        "letter, letters, word, words, spell, spelled, reverse, backwards, vowel, vowels, \
         alphabet, rhymes, anagram",
    ),
    tag(
        "calendar",
        &[],
        "day, days, weekday, week, weeks, month, months, year, date, today, tomorrow, \
         yesterday, monday, tuesday, wednesday, thursday, friday, saturday, sunday",
    ),
    tag("time", &[], "time, clock, hour, hours, minute, minutes, # :, noon, midnight"),
    tag(
        "units",
        &[],
        "convert, express, metres, meters, m, cm, mm, km, kilometres, kilometers, \
         centimetres, centimeters, grams, g, kg, kilograms, litres, liters, ml, inches, \
         feet, miles, pounds, hours, minutes, seconds",
    ),
    tag(
        "code",
        &[],
        "code, function, program, programming, script, algorithm, implement, compile, \
         compiler, bug, debug, refactor, regex, api, json, html, css, sql, python, \
         javascript, typescript, java, rust, bash, def, return, class, array, `",
    ),
    tag("coding", &["code"], ""),
    tag("programming", &["code"], ""),
    tag("translation", &[], "translate, translation, english, german, french, spanish, chinese"),
    tag("writing", &[], "write, poem, essay, story, article, email, rewrite, summarise, summarize"),
];

/// The n-grams of each tag of the vocabulary, sorted.
static GRAMS: LazyLock<BTreeMap<&'static str, Vec<u16>>> = LazyLock::new(|| {
    let mut tags: BTreeMap<&'static str, Vec<u16>> = BTreeMap::new();
    for entry in VOCABULARY {
        #[expect(clippy::indexing_slicing, reason = "a tag follows the tags that it contains")]
        let parts = entry.parts.iter().flat_map(|part| &tags[part]).copied();
        let mut grams: Vec<u16> = parts.chain(entry.terms().map(bucket)).collect();
        grams.sort_unstable();
        grams.dedup();
        tags.insert(entry.tag, grams);
    }
    tags
});

/// The tags of a member that fit an ask, by their buckets, and the share that counts beside its gold
/// answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    tags: Vec<u16>,
    share: f64,
}

impl Claims {
    /// The tags that fit; each counts once, however it is written.
    pub fn new(tags: &[String], ask: &Features) -> Self {
        let mut tags: Vec<u16> =
            tags.iter().take(TAGS_MAX).filter_map(|tag| bucket_if_fit(tag, ask)).collect();
        tags.sort_unstable();
        tags.dedup();
        Self { tags, share: 1.0 }
    }

    /// The claims beside `count` gold answers to this kind of question, when a tag is worth `worth` of
    /// them. The share is squared, because gold is proof and a tag only a claim.
    #[must_use]
    pub fn beside(self, count: f64, worth: f64) -> Self {
        let share = worth.max(0.0) / (worth.max(0.0) + count.max(0.0)).max(1e-9);
        Self { share: self.share * share * share, ..self }
    }

    /// Each tag that fits, with its feature; the features sum to [`Self::share`].
    pub fn features(&self) -> impl Iterator<Item = (u16, f64)> {
        let feature = self.share / self.tags.len().max(1) as f64;
        self.tags.iter().map(move |tag| (*tag, feature))
    }

    /// In [0, 1]: 0 when no tag fits.
    pub fn share(&self) -> f64 {
        if self.tags.is_empty() { 0.0 } else { self.share }
    }
}

/// The bucket of a tag's weight: above those of the n-grams.
pub(crate) fn tag_bucket(tag: &str) -> u16 {
    BUCKETS + bucket(&name(tag))
}

fn bucket_if_fit(tag: &str, ask: &Features) -> Option<u16> {
    let name = name(tag);
    let fits = match GRAMS.get(name.as_str()) {
        Some(grams) => grams.iter().any(|gram| ask.contains(*gram)),
        None => {
            let words = words(&name);
            let mut words = words.iter().filter(|word| *word != "-").peekable();
            words.peek().is_some() && words.all(|word| ask.contains(bucket(word)))
        }
    };
    fits.then(|| tag_bucket(tag))
}

/// `Word Problems`, `word_problems` and `word-problems` are one tag.
fn name(tag: &str) -> String {
    tag.trim().to_lowercase().replace([' ', '_'], "-")
}

#[cfg(test)]
mod tests;
