//! Metrics of the batch.

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

/// Buckets up to the most sequences that one machine runs.
const SEQUENCES: [f64; 8] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Metrics of one model; clones share them.
#[derive(Clone, Debug)]
pub struct Metrics {
    pub(super) sequences: Histogram,
    tokens: IntCounterVec,
    prefix: IntCounterVec,
    drafts: IntCounterVec,
    pub(super) gave_way: IntCounter,
    pages: IntGaugeVec,
    cache_bytes: IntGauge,
    pub(super) queue_length: IntGauge,
}

impl Metrics {
    /// Unregistered metrics.
    ///
    /// # Errors
    /// When Prometheus refuses a name or a help text.
    pub fn new() -> Result<Self, prometheus::Error> {
        let sequences = HistogramOpts::new(
            "shoal_node_batch_sequences",
            "Sequences that the model read in one step.",
        );
        let pages = Opts::new("shoal_node_cache_pages", "Pages of the KV cache.");
        let metrics = Self {
            sequences: Histogram::with_opts(sequences.buckets(SEQUENCES.to_vec()))?,
            tokens: counter_vec(
                "shoal_node_step_tokens_total",
                "Tokens that the model read, in prompts and in answers, guesses included.",
                "of",
            )?,
            prefix: counter_vec(
                "shoal_node_prefix_tokens_total",
                "Tokens of prompts that were read before (hit) or not (miss).",
                "found",
            )?,
            drafts: counter_vec(
                "shoal_node_draft_tokens_total",
                "Tokens of answers that were guessed, by whether the guess was right.",
                "guess",
            )?,
            gave_way: IntCounter::new(
                "shoal_node_gave_way_total",
                "Sequences that left the cache for want of pages and came back later.",
            )?,
            pages: IntGaugeVec::new(pages, &["state"])?,
            cache_bytes: IntGauge::new(
                "shoal_node_cache_bytes",
                "Memory that the KV cache has now.",
            )?,
            queue_length: IntGauge::new(
                "shoal_node_batch_waiting",
                "Sequences that wait for a place in the batch.",
            )?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of them is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.sequences.clone()))?;
        for counters in [&self.tokens, &self.prefix, &self.drafts] {
            registry.register(Box::new(counters.clone()))?;
        }
        registry.register(Box::new(self.gave_way.clone()))?;
        registry.register(Box::new(self.pages.clone()))?;
        registry.register(Box::new(self.cache_bytes.clone()))?;
        registry.register(Box::new(self.queue_length.clone()))
    }

    /// Starts each counter at 0: one that first appears at 1 hides its first event from `increase()`.
    fn start_at_zero(&self) {
        self.count_tokens(0, 0);
        self.count_prefix(0, 0);
        self.count_draft(0, 0);
        self.pages(0, 0);
    }

    /// Counts the tokens of answers and of prompts in one step.
    pub(super) fn count_tokens(&self, answers: usize, prompts: usize) {
        self.tokens.with_label_values(&["answer"]).inc_by(wide(answers));
        self.tokens.with_label_values(&["prompt"]).inc_by(wide(prompts));
    }

    /// Counts the tokens of a prompt of `total` tokens, of which the cache held `hit`.
    pub(super) fn count_prefix(&self, hit: usize, total: usize) {
        self.prefix.with_label_values(&["hit"]).inc_by(wide(hit));
        self.prefix.with_label_values(&["miss"]).inc_by(wide(total.saturating_sub(hit)));
    }

    /// Counts a draft of `total` tokens, of which `right` were right.
    pub(super) fn count_draft(&self, right: usize, total: usize) {
        self.drafts.with_label_values(&["right"]).inc_by(wide(right));
        self.drafts.with_label_values(&["wrong"]).inc_by(wide(total.saturating_sub(right)));
    }

    /// Sets the number of pages that sequences use, and of the rest.
    pub(super) fn pages(&self, used: usize, idle: usize) {
        for (state, pages) in [("used", used), ("idle", idle)] {
            let pages = i64::try_from(pages).unwrap_or(i64::MAX);
            self.pages.with_label_values(&[state]).set(pages);
        }
    }

    /// Sets the memory of the KV cache.
    pub(super) fn set_cache_bytes(&self, bytes: usize) {
        self.cache_bytes.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn counter_vec(name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(name, help), &[label])
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
        assert_eq!(names.len(), 8, "{names:?}");
        assert!(names.iter().all(|name| name.starts_with("shoal_node_")));
    }
}
