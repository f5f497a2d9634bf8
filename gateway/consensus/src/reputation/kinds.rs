//! Guesses the kind of a question from its words: naive Bayes over hashed n-grams, learned from gold
//! questions as they are asked. The kind selects which of a member's accuracies applies;
//! [`crate::reputation::routing`] learns the rest from rounds.
//!
//! Whether the question is of any known kind is a second question. Each kind has a unigram model, smoothed
//! by the background of ordinary questions as I. Witten and T. Bell do (1991): a kind with c occurrences of
//! a word among N, of T distinct words, has `P(word | kind) = (c + T P(word)) / (N + T)`. So "what is the"
//! is no evidence for a kind, a word that is typical of one is, and a word that a kind of few words never
//! had speaks against it. The likelihood ratio to the background is the odds that the kind is known.

mod background;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::reputation::calibration::sigmoid;

/// The name of a kind of question, as the gold set names it (a family of the syllabus).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KindId(pub String);

impl KindId {
    /// Whether it is a kind of the general exam.
    pub fn is_general(&self) -> bool {
        self.0.starts_with("general/")
    }

    /// The kind of this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }
}

/// The kinds of gold whose answer is the letter of an option. A question on anything else is rather as hard as
/// those of the first.
const CHOICES: [&str; 2] = ["general/science", "general/choice"];

/// Whether at least three lines begin with the labels of options: `A)`, `B.`, `(C)`.
fn offers_options(question: &str) -> bool {
    const OPTIONS_MIN: usize = 3;
    let mut labels = 'A'..='J';
    let mut next = labels.next();
    let mut count = 0;
    for line in question.lines() {
        let line = line.trim_start().trim_start_matches(['(', '*']);
        let mut signs = line.chars();
        let is_next = signs.next().is_some_and(|letter| Some(letter) == next);
        if is_next && matches!(signs.next(), Some(')' | '.' | ':')) {
            count += 1;
            next = labels.next();
        }
    }
    count >= OPTIONS_MIN
}

/// Buckets that n-grams are hashed into: collisions among a few hundred phrasings are rare.
pub(super) const BUCKETS: u16 = 1 << 14;

/// Words of a question that are read: a bound on the work.
const MAX_WORDS: usize = 256;

/// Factor on the naive log-likelihood. N-grams of one phrase are not independent, so that without
/// it every guess would be certain.
const TEMPER: f64 = 0.3;

/// Words that count as independent evidence of a known kind.
const WORDS_INDEPENDENT: f64 = 12.0;

/// A kind with a posterior below this is left out.
const NEGLIGIBLE: f64 = 1e-3;

/// Added to each count: an n-gram that never occurred in a kind is unlikely there, not impossible.
const PSEUDO_COUNT: f64 = 0.1;

/// Counts of n-grams by kind. Serialises to JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KindModel {
    kinds: BTreeMap<KindId, Counts>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Counts {
    questions: f64,
    /// Questions of this kind that hold the n-gram, by bucket.
    grams: BTreeMap<u16, f64>,
    /// The same for single words, by bucket.
    words: BTreeMap<u16, f64>,
}

/// P(kind | question) of the likely kinds. The sum is at most 1; the rest belongs to no known kind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KindPosterior(Vec<(KindId, f64)>);

impl KindPosterior {
    /// This kind with probability 1.
    pub fn certain(kind: KindId) -> Self {
        Self(vec![(kind, 1.0)])
    }

    /// The kinds with their probabilities.
    pub fn iter(&self) -> impl Iterator<Item = (&KindId, f64)> {
        self.0.iter().map(|(kind, p)| (kind, *p))
    }

    /// The mean of a value over the kinds, with `overall` for the part that belongs to no known kind.
    pub(super) fn mean(&self, overall: f64, value: impl Fn(&KindId) -> f64) -> f64 {
        let kinds: f64 = self.iter().map(|(kind, p)| p * value(kind)).sum();
        let rest = (1.0 - self.iter().map(|(_, p)| p).sum::<f64>()).max(0.0);
        kinds + rest * overall
    }

    /// The likeliest kind and its probability.
    pub fn top(&self) -> Option<(&KindId, f64)> {
        self.iter().max_by(|x, y| x.1.total_cmp(&y.1))
    }
}

impl KindModel {
    /// Learns one gold question.
    pub fn learn(&mut self, question: &str, kind: &KindId) {
        self.count(question, kind, 1.0);
    }

    /// The model without a question that it learned: what it would say of this question if it were new.
    #[must_use]
    pub fn without(&self, question: &str, kind: &KindId) -> Self {
        let mut model = self.clone();
        model.count(question, kind, -1.0);
        model
    }

    fn count(&mut self, question: &str, kind: &KindId, by: f64) {
        let counts = self.kinds.entry(kind.clone()).or_default();
        counts.questions += by;
        for gram in grams(question) {
            *counts.grams.entry(gram).or_default() += by;
        }
        for word in distinct_words(question) {
            *counts.words.entry(bucket(&word)).or_default() += by;
        }
        counts.grams.retain(|_, count| *count > 0.0);
        counts.words.retain(|_, count| *count > 0.0);
        if counts.questions <= 0.0 {
            self.kinds.remove(kind);
        }
    }

    /// True before the first question was learned.
    pub fn is_empty(&self) -> bool {
        self.kinds.is_empty()
    }

    /// P(kind | question); empty when nothing was learned. The rest to 1 is P(of no known kind). What the
    /// words leave open, labelled options decide: to choose a letter is a skill of its own, whatever the
    /// question is about.
    pub(crate) fn posterior(&self, question: &str) -> KindPosterior {
        /// P(a question with labelled options is answered like those of the exam).
        const FORM: f64 = 0.9;
        let KindPosterior(mut kinds) = self.by_words(question);
        let choices = CHOICES.map(KindId::new);
        let choice = choices.into_iter().find(|kind| self.kinds.contains_key(kind));
        if let Some(choice) = choice.filter(|_| offers_options(question)) {
            let rest = 1.0 - kinds.iter().map(|(_, p)| p).sum::<f64>();
            let share = FORM * rest.max(0.0);
            match kinds.iter_mut().find(|(kind, _)| *kind == choice) {
                Some((_, p)) => *p += share,
                None => kinds.push((choice, share)),
            }
        }
        KindPosterior(kinds)
    }

    fn by_words(&self, question: &str) -> KindPosterior {
        let grams = grams(question);
        let familiar_grams: Vec<&u16> = grams
            .iter()
            .filter(|gram| self.kinds.values().any(|kind| kind.grams.contains_key(gram)))
            .collect();
        if familiar_grams.is_empty() {
            return KindPosterior::default();
        }
        let words: Vec<String> = distinct_words(question).into_iter().collect();
        let any_kind = Counts::sum(self.kinds.values());
        let ratios: Vec<f64> = (self.kinds.values())
            .map(|counts| counts.log_ratio(&words, |word| any_kind.ratio(word, 1.0)))
            .collect();
        let scores: Vec<(&KindId, f64)> = (self.kinds.iter().zip(&ratios))
            .map(|((kind, counts), ratio)| {
                (kind, TEMPER * (counts.log_score(&familiar_grams) + ratio))
            })
            .collect();
        let best = scores.iter().map(|(_, score)| *score).fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = scores.iter().map(|(_, score)| (score - best).exp()).sum();
        let familiarity = familiarity(&ratios, words.len());
        let posterior = scores
            .into_iter()
            .map(|(kind, score)| (kind.clone(), familiarity * (score - best).exp() / total))
            .filter(|(_, p)| *p > NEGLIGIBLE)
            .collect();
        KindPosterior(posterior)
    }
}

/// P(the question is of a known kind), by the kind that explains its words best: `ratios` are ln of
/// P(words | kind) / P(words | no known kind).
fn familiarity(ratios: &[f64], words: usize) -> f64 {
    let best = ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Words of one phrase are not independent, and there are always more of them in a long text: a
    // question has the evidence of so many words at most.
    let independent = (WORDS_INDEPENDENT / words.max(1) as f64).min(1.0);
    sigmoid(independent * best)
}

impl Counts {
    /// The words of all these kinds together.
    fn sum<'a>(kinds: impl Iterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        for (word, count) in kinds.flat_map(Self::unigrams) {
            *sum.words.entry(*word).or_default() += count;
        }
        sum
    }

    /// A model of an earlier build has no words of its own; its n-grams are nearest.
    fn unigrams(&self) -> &BTreeMap<u16, f64> {
        if self.words.is_empty() { &self.grams } else { &self.words }
    }

    /// P(word | kind) / P(word | no known kind), where `prior` is this ratio for what the kind is
    /// smoothed with.
    fn ratio(&self, word: &str, prior: f64) -> f64 {
        let counts = self.unigrams();
        let (total, distinct) = (counts.values().sum::<f64>(), counts.len() as f64);
        let count = counts.get(&bucket(word)).copied().unwrap_or(0.0);
        (count / background::share(word) + distinct * prior) / (total + distinct)
    }

    /// ln of P(these words | kind) / P(these words | no known kind).
    fn log_ratio(&self, words: &[String], prior: impl Fn(&str) -> f64) -> f64 {
        words.iter().map(|word| self.ratio(word, prior(word)).ln()).sum()
    }

    /// ln P(these n-grams | kind), each with its own smoothed document frequency.
    fn log_score(&self, grams: &[&u16]) -> f64 {
        grams
            .iter()
            .map(|gram| {
                let count = self.grams.get(gram).copied().unwrap_or(0.0);
                ((count + PSEUDO_COUNT) / (self.questions + 2.0 * PSEUDO_COUNT)).ln()
            })
            .sum()
    }
}

/// The distinct buckets of 1- to 3-grams over words. All numbers are the same word: "47 + 385" and
/// "12 + 100" are the same kind of question.
fn grams(question: &str) -> Vec<u16> {
    let words = words(question);
    let mut buckets: Vec<u16> = (1..=3)
        .flat_map(|n| words.windows(n).map(|window| bucket(&window.join(" "))).collect::<Vec<_>>())
        .collect();
    buckets.sort_unstable();
    buckets.dedup();
    buckets
}

/// The distinct words of a question, in the order of the alphabet.
fn distinct_words(question: &str) -> BTreeSet<String> {
    words(question).into_iter().collect()
}

/// Lower-case words, numbers as `#`, and every other sign by itself.
pub(super) fn words(question: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open: Option<Class> = None;
    for letter in question.chars() {
        let class = Class::from_letter(letter);
        if class == Class::Space || words.len() > MAX_WORDS {
            open = None;
            continue;
        }
        let continues = open == Some(class) && class != Class::Sign;
        match (continues, class, words.last_mut()) {
            (true, Class::Digit, _) => {}
            (true, _, Some(word)) => word.extend(letter.to_lowercase()),
            (_, Class::Digit, _) => words.push("#".to_owned()),
            _ => words.push(letter.to_lowercase().collect()),
        }
        open = Some(class);
    }
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Space,
    Digit,
    Letter,
    Sign,
}

impl Class {
    fn from_letter(letter: char) -> Self {
        match letter {
            letter if letter.is_whitespace() => Self::Space,
            letter if letter.is_numeric() => Self::Digit,
            letter if letter.is_alphabetic() => Self::Letter,
            _ => Self::Sign,
        }
    }
}

/// The bucket of an n-gram by FNV-1a: stored models need the same hash on every machine and build.
pub(super) fn bucket(text: &str) -> u16 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    // The remainder is below a `u16`.
    ((hash ^ (hash >> 32)) % u64::from(BUCKETS)) as u16
}

#[cfg(test)]
mod tests;
