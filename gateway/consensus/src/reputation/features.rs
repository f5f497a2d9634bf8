//! The features of an ask for routing: its words and pairs of words, hashed.

use std::collections::BTreeSet;

use super::kinds::{bucket, words};

/// N-grams of one ask at most: a bound on the work and on the weights that one ask can displace.
const GRAMS_MAX: usize = 256;

/// The buckets of the distinct 1- and 2-grams of an ask, in order. All numbers are the same word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Features(Vec<u16>);

impl Features {
    /// The features of a text.
    pub fn extract(ask: &str) -> Self {
        let words = words(ask);
        let pairs = words.windows(2).map(|pair| pair.join(" "));
        let grams = words.iter().cloned().chain(pairs).map(|gram| bucket(&gram));
        let distinct: BTreeSet<u16> = grams.take(2 * GRAMS_MAX).collect();
        Self(distinct.into_iter().take(GRAMS_MAX).collect())
    }

    /// The buckets of its distinct 1- and 2-grams, in order.
    pub(super) fn buckets(&self) -> &[u16] {
        &self.0
    }

    pub(super) fn contains(&self, gram: u16) -> bool {
        self.0.binary_search(&gram).is_ok()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
