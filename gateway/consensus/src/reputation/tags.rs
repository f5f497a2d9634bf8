//! What members say they are good at, which counts until rounds have shown it: which asks a tag
//! fits, and how much of it is left beside what is known.
//!
//! A tag is hashed into the same space as the n-grams of an ask, and fits an ask that holds one of
//! its words. Those of the tags below are listed; any other tag fits where all its own words occur,
//! so that `rust` or `tax-law` need nobody's permission.

use std::{collections::BTreeMap, sync::LazyLock};

use shoal_proto::hello::TAGS_MAX;

use crate::reputation::{
    features::Features,
    kinds::{BUCKETS, bucket, words},
};

/// A tag with its words (one or two, numbers as `#`), and the tags that it contains.
struct Known {
    tag: &'static str,
    of: &'static [&'static str],
    words: &'static [&'static str],
}

const fn known(
    tag: &'static str,
    of: &'static [&'static str],
    words: &'static [&'static str],
) -> Known {
    Known { tag, of, words }
}

/// PROTOCOL.md and config/node.toml name them. What a tag contains stands above it.
const KNOWN: &[Known] = &[
    known("addition", &[], &["+", "plus", "add", "sum", "total", "altogether"]),
    known("subtraction", &[], &["# -", "minus", "subtract", "difference", "away from"]),
    known("multiplication", &[], &["*", "×", "# x", "times", "multiply", "multiplied", "product"]),
    known("division", &[], &["/", "÷", "divide", "divided", "quotient", "remainder"]),
    known("arithmetic", &["addition", "subtraction", "multiplication", "division"], &[]),
    known(
        "comparison",
        &[],
        &[
            "largest", "biggest", "highest", "greatest", "maximum", "smallest", "lowest", "least",
            "minimum", "compare", "larger", "smaller", "greater", "less",
        ],
    ),
    known("sorting", &[], &["sort", "ascending", "descending", "arrange", "order from", "order"]),
    known("equations", &[], &["equation", "solve", "# =", "x +", "x -", "of x", "is x", "find x"]),
    known(
        "word-problems",
        &[],
        &["how many", "how much", "gives", "gets", "buys", "sells", "left", "each", "shares"],
    ),
    known(
        "math",
        &["arithmetic", "comparison", "sorting", "equations", "word-problems"],
        &[
            "calculate",
            "compute",
            "number",
            "numbers",
            "percent",
            "%",
            "fraction",
            "integral",
            "derivative",
            "triangle",
            "circle",
            "probability",
            "prime",
            "proof",
            "theorem",
        ],
    ),
    known("maths", &["math"], &[]),
    known("mathematics", &["math"], &[]),
    known(
        "letters",
        &[],
        &[
            "letter",
            "letters",
            "word",
            "words",
            "spell",
            "spelled",
            "reverse",
            "backwards",
            "vowel",
            "vowels",
            "alphabet",
            "rhymes",
            "anagram",
        ],
    ),
    known(
        "calendar",
        &[],
        &[
            "day",
            "days",
            "weekday",
            "week",
            "weeks",
            "month",
            "months",
            "year",
            "date",
            "today",
            "tomorrow",
            "yesterday",
            "monday",
            "tuesday",
            "wednesday",
            "thursday",
            "friday",
            "saturday",
            "sunday",
        ],
    ),
    known(
        "time",
        &[],
        &["time", "clock", "hour", "hours", "minute", "minutes", "# :", "noon", "midnight"],
    ),
    known(
        "units",
        &[],
        &[
            "convert",
            "express",
            "metres",
            "meters",
            "m",
            "cm",
            "mm",
            "km",
            "kilometres",
            "kilometers",
            "centimetres",
            "centimeters",
            "grams",
            "g",
            "kg",
            "kilograms",
            "litres",
            "liters",
            "ml",
            "inches",
            "feet",
            "miles",
            "pounds",
            "hours",
            "minutes",
            "seconds",
        ],
    ),
    known(
        "code",
        &[],
        &[
            "code",
            "function",
            "program",
            "programming",
            "script",
            "algorithm",
            "implement",
            "compile",
            "compiler",
            "bug",
            "debug",
            "refactor",
            "regex",
            "api",
            "json",
            "html",
            "css",
            "sql",
            "python",
            "javascript",
            "typescript",
            "java",
            "rust",
            "bash",
            "def",
            "return",
            "class",
            "array",
            "`",
        ],
    ),
    known("coding", &["code"], &[]),
    known("programming", &["code"], &[]),
    known(
        "translation",
        &[],
        &["translate", "translation", "english", "german", "french", "spanish", "chinese"],
    ),
    known(
        "writing",
        &[],
        &[
            "write",
            "poem",
            "essay",
            "story",
            "article",
            "email",
            "rewrite",
            "summarise",
            "summarize",
        ],
    ),
];

/// The n-grams of each known tag, sorted.
static GRAMS: LazyLock<BTreeMap<&'static str, Vec<u16>>> = LazyLock::new(|| {
    let mut all: BTreeMap<&'static str, Vec<u16>> = BTreeMap::new();
    for Known { tag, of, words } in KNOWN {
        let parts = of.iter().filter_map(|part| all.get(part)).flatten().copied();
        let mut grams: Vec<u16> = parts.chain(words.iter().map(|gram| bucket(gram))).collect();
        grams.sort_unstable();
        grams.dedup();
        all.insert(tag, grams);
    }
    all
});

/// The tags of a member that fit an ask, by their buckets, and what share of them is left beside
/// what is known of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    tags: Vec<u16>,
    share: f64,
}

impl Claims {
    /// Of these tags those that fit; each counts once, however it is written.
    pub fn of(tags: &[String], ask: &Features) -> Self {
        let fitting = tags.iter().take(TAGS_MAX).filter_map(|tag| fits(tag, ask));
        let mut tags: Vec<u16> = fitting.collect();
        tags.sort_unstable();
        tags.dedup();
        Self { tags, share: 1.0 }
    }

    /// The same beside `seen` gold answers to this kind of question, when a tag is worth `worth` of
    /// them: squared, because gold shows what a tag only says.
    #[must_use]
    pub fn beside(self, seen: f64, worth: f64) -> Self {
        let left = worth.max(0.0) / (worth.max(0.0) + seen.max(0.0)).max(1e-9);
        Self { share: self.share * left * left, ..self }
    }

    /// Each fitting tag and its feature: together they are the share that is left.
    pub fn each(&self) -> impl Iterator<Item = (u16, f64)> {
        let feature = self.share / self.tags.len().max(1) as f64;
        self.tags.iter().map(move |tag| (*tag, feature))
    }

    /// In [0, 1]: 0 when no tag fits.
    pub fn share(&self) -> f64 {
        if self.tags.is_empty() { 0.0 } else { self.share }
    }
}

/// Where what is known of a tag is kept: above the n-grams, in the same numbers.
pub fn place(tag: &str) -> u16 {
    let above = u16::try_from(BUCKETS).unwrap_or(u16::MAX);
    above.saturating_add(bucket(&name(tag)))
}

fn fits(tag: &str, ask: &Features) -> Option<u16> {
    let name = name(tag);
    let fits = match GRAMS.get(name.as_str()) {
        Some(grams) => grams.iter().any(|gram| ask.holds(*gram)),
        None => {
            let own = words(&name);
            let mut own = own.iter().filter(|word| *word != "-").peekable();
            own.peek().is_some() && own.all(|word| ask.holds(bucket(word)))
        }
    };
    fits.then(|| place(tag))
}

/// `Word Problems`, `word_problems` and `word-problems` are one tag.
fn name(tag: &str) -> String {
    tag.trim().to_lowercase().replace([' ', '_'], "-")
}

#[cfg(test)]
mod tests;
