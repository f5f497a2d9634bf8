//! What HTTP counts: every request by its route, every chat by its model and how it went.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

use super::{admission::Place, error::ApiError};
use shoal_api::chat::wire::Usage;
use shoal_consensus::Mode;

/// From a fast single answer to the longest deadline: a swarm's first token comes after judging.
const SECONDS: [f64; 20] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
    90.0, 120.0, 300.0,
];

/// Model names that get a label of their own. Members name their models themselves, so without a
/// bound one of them could fill the metrics' memory; the rest are counted as [`OTHER`].
const MODELS_MAX: usize = 64;

/// Label of a model that is not served, or beyond [`MODELS_MAX`].
const OTHER: &str = "other";

/// How a chat can end.
const OUTCOMES: [&str; 6] = ["ok", "invalid", "not_found", "unavailable", "failed", "cancelled"];

/// Counters of the HTTP side. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    requests: IntCounterVec,
    in_flight: IntGauge,
    chats: IntCounterVec,
    chat_seconds: HistogramVec,
    first_token_seconds: HistogramVec,
    tokens: IntCounterVec,
    models: Arc<Mutex<BTreeSet<String>>>,
}

impl Metrics {
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let seconds = |name, help| {
            let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
            register(registry, HistogramVec::new(opts, &["model", "stream"])?)
        };
        let metrics = Self {
            requests: counter(
                "shoal_http_requests_total",
                "HTTP requests answered, by route, method and status code.",
                &["route", "method", "code"],
            )?,
            in_flight: register(
                registry,
                IntGauge::new("shoal_requests_in_flight", "Chat requests being answered.")?,
            )?,
            chats: counter(
                "shoal_requests_total",
                "Chat requests ended, by model, whether streamed, and how they ended.",
                &["model", "stream", "status"],
            )?,
            chat_seconds: seconds(
                "shoal_request_duration_seconds",
                "Answered chat requests from their arrival to the end of the answer.",
            )?,
            first_token_seconds: seconds(
                "shoal_time_to_first_token_seconds",
                "Answered chat requests from their arrival to the first piece of the answer.",
            )?,
            tokens: counter(
                "shoal_tokens_total",
                "Tokens of answers that were sent, by model and direction.",
                &["model", "direction"],
            )?,
            models: Arc::default(),
        };
        Mode::ALL.iter().for_each(|mode| metrics.appear(mode.model()));
        metrics.appear(OTHER);
        Ok(metrics)
    }

    /// Shows a model's counters at 0, so that `increase()` sees the first request too.
    fn appear(&self, model: &str) {
        for stream in ["false", "true"] {
            for outcome in OUTCOMES {
                self.chats.with_label_values(&[model, stream, outcome]);
            }
            self.chat_seconds.with_label_values(&[model, stream]);
            self.first_token_seconds.with_label_values(&[model, stream]);
        }
        for direction in ["input", "output"] {
            self.tokens.with_label_values(&[model, direction]);
        }
    }

    /// The label of a model that is served.
    fn label(&self, model: &str) -> String {
        if Mode::of_model(model).is_some() {
            return model.into();
        }
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if !models.contains(model) {
            if models.len() >= MODELS_MAX {
                return OTHER.into();
            }
            models.insert(model.into());
            self.appear(model);
        }
        model.into()
    }

    /// `route` is the pattern, never the path: paths have no end.
    pub(super) fn answered(&self, route: &str, method: &str, code: &str) {
        self.requests.with_label_values(&[route, method, code]).inc();
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Measures one chat. Dropped without an end, it counts a client that left.
#[derive(Debug)]
pub(super) struct Meter {
    metrics: Metrics,
    /// Label, `other` until the model is known to be served.
    model: String,
    stream: &'static str,
    started: Instant,
    first_piece: bool,
    outcome: &'static str,
    /// As long as the chat lasts.
    place: Option<Place>,
}

impl Meter {
    pub(super) fn start(metrics: &Metrics) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics: metrics.clone(),
            model: OTHER.into(),
            stream: "false",
            started: Instant::now(),
            first_piece: false,
            outcome: "cancelled",
            place: None,
        }
    }

    /// Keeps a place until the chat has ended.
    pub(super) fn holds(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// The request could be read.
    pub(super) fn streams(&mut self, stream: bool) {
        self.stream = if stream { "true" } else { "false" };
    }

    /// The model is served.
    pub(super) fn serves(&mut self, model: &str) {
        self.model = self.metrics.label(model);
    }

    /// A piece of the answer goes out; the first one is measured.
    pub(super) fn piece(&mut self) {
        if !std::mem::replace(&mut self.first_piece, true) {
            let seconds = self.started.elapsed().as_secs_f64();
            self.labelled(&self.metrics.first_token_seconds).observe(seconds);
        }
    }

    /// The same for a whole error, which is handed back.
    pub(super) fn refuses(self, error: ApiError) -> ApiError {
        self.fails(error.label());
        error
    }

    /// Refused or failed; `outcome` is one of [`OUTCOMES`].
    pub(super) fn fails(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }

    /// The whole answer went out.
    pub(super) fn succeeds(self, usage: &Usage) {
        self.counts(usage.prompt_tokens, usage.completion_tokens);
    }

    /// The whole answer went out, which cost so many tokens.
    pub(super) fn counts(mut self, input: u32, output: u32) {
        self.outcome = "ok";
        self.labelled(&self.metrics.chat_seconds).observe(self.started.elapsed().as_secs_f64());
        for (direction, tokens) in [("input", input), ("output", output)] {
            let labels = [self.model.as_str(), direction];
            self.metrics.tokens.with_label_values(&labels).inc_by(u64::from(tokens));
        }
        if let Some(place) = &self.place {
            place.spends(f64::from(input) + f64::from(output));
        }
    }

    fn labelled(&self, histogram: &HistogramVec) -> prometheus::Histogram {
        histogram.with_label_values(&[self.model.as_str(), self.stream])
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        self.metrics
            .chats
            .with_label_values(&[self.model.as_str(), self.stream, self.outcome])
            .inc();
    }
}
