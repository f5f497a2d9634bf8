//! What the batch counts.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Up to as many as a small machine ever runs.
const SEQUENCES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Counters of one model; clones count into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) sequences: Histogram,
    tokens: IntCounterVec,
    prefix: IntCounterVec,
    drafts: IntCounterVec,
    pub(super) gave_way: IntCounter,
    pages: IntGaugeVec,
    pub(super) waiting: IntGauge,
}

impl Metrics {
    /// Counters that nobody reads yet.
    ///
    /// # Errors
    /// When one of them is not made as Prometheus wants it.
    pub fn new() -> Result<Self, prometheus::Error> {
        let counters = |name, help, label| IntCounterVec::new(Opts::new(name, help), &[label]);
        let sequences = HistogramOpts::new(
            "shoal_node_batch_sequences",
            "Sequences that the model read in one step.",
        );
        let pages = Opts::new("shoal_node_cache_pages", "Pages of the KV cache.");
        let metrics = Self {
            sequences: Histogram::with_opts(sequences.buckets(SEQUENCES.to_vec()))?,
            tokens: counters(
                "shoal_node_step_tokens_total",
                "Tokens that the model read, in prompts and in answers, guesses included.",
                "of",
            )?,
            prefix: counters(
                "shoal_node_prefix_tokens_total",
                "Tokens of prompts that were read before (hit) or not (miss).",
                "found",
            )?,
            drafts: counters(
                "shoal_node_draft_tokens_total",
                "Tokens of answers that were guessed, by whether the guess was right.",
                "guess",
            )?,
            gave_way: IntCounter::new(
                "shoal_node_gave_way_total",
                "Sequences that left the cache for want of pages and came back later.",
            )?,
            pages: IntGaugeVec::new(pages, &["state"])?,
            waiting: IntGauge::new(
                "shoal_node_batch_waiting",
                "Sequences that wait for a place in the batch.",
            )?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// Makes the counters known; fails when they are known already.
    ///
    /// # Errors
    /// As Prometheus says it.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.sequences.clone()))?;
        for counters in [&self.tokens, &self.prefix, &self.drafts] {
            registry.register(Box::new(counters.clone()))?;
        }
        registry.register(Box::new(self.gave_way.clone()))?;
        registry.register(Box::new(self.pages.clone()))?;
        registry.register(Box::new(self.waiting.clone()))
    }

    /// A counter that first appears at 1 hides its first event from `increase()`.
    fn start_at_zero(&self) {
        self.read(0, 0);
        self.found(0, 0);
        self.guessed(0, 0);
        self.pages(0, 0);
    }

    /// Tokens of answers and of prompts in one step.
    pub(super) fn read(&self, answers: usize, prompts: usize) {
        self.tokens.with_label_values(&["answer"]).inc_by(wide(answers));
        self.tokens.with_label_values(&["prompt"]).inc_by(wide(prompts));
    }

    /// Tokens of a prompt that were read before, of all.
    pub(super) fn found(&self, hit: usize, all: usize) {
        self.prefix.with_label_values(&["hit"]).inc_by(wide(hit));
        self.prefix.with_label_values(&["miss"]).inc_by(wide(all.saturating_sub(hit)));
    }

    /// Guessed tokens that were right, of all.
    pub(super) fn guessed(&self, right: usize, all: usize) {
        self.drafts.with_label_values(&["right"]).inc_by(wide(right));
        self.drafts.with_label_values(&["wrong"]).inc_by(wide(all.saturating_sub(right)));
    }

    /// Pages that sequences use, and those that none does.
    pub(super) fn pages(&self, used: usize, idle: usize) {
        let gauge = |state, pages: usize| {
            let pages = i64::try_from(pages).unwrap_or(i64::MAX);
            self.pages.with_label_values(&[state]).set(pages);
        };
        gauge("used", used);
        gauge("idle", idle);
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_is_there_from_the_start() {
        let registry = Registry::new();
        Metrics::new().unwrap().register(&registry).unwrap();
        let names: Vec<String> =
            registry.gather().iter().map(|family| family.name().to_owned()).collect();
        assert_eq!(names.len(), 7, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("shoal_node_")));
    }
}
