//! The metrics of HTTP: requests by route, and chats by model and by how they ended.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

use super::{admission::Permit, cache::CacheKey, callers::Owner, error::ApiError};
use crate::round::Client;
use shoal_consensus::Mode;

/// From a fast answer of one member to the longest deadline. A swarm's first token comes after the
/// judging.
const SECONDS: [f64; 20] = [
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0,
    90.0, 120.0, 300.0,
];

/// Model names with a label of their own. Members name their models themselves, so that without a
/// bound a member could fill the metrics' memory. Further names are counted as [`OTHER_MODEL`].
const MODELS_MAX: usize = 64;

/// Label of a model that is not served, or beyond [`MODELS_MAX`].
const OTHER_MODEL: &str = "other";

/// The ways a chat ends.
const OUTCOMES: [&str; 6] = ["ok", "invalid", "not_found", "unavailable", "failed", "cancelled"];

/// Counters of the HTTP side. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct HttpMetrics {
    requests: IntCounterVec,
    in_flight: IntGauge,
    chats: IntCounterVec,
    chat_seconds: HistogramVec,
    first_token_seconds: HistogramVec,
    tokens: IntCounterVec,
    models: Arc<Mutex<BTreeSet<String>>>,
}

impl HttpMetrics {
    /// # Errors
    /// When the registry has a metric with one of these names already.
    pub(crate) fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let metrics = Self {
            requests: counter(
                registry,
                "shoal_http_requests_total",
                "HTTP requests answered, by route, method and status code.",
                &["route", "method", "code"],
            )?,
            in_flight: register(
                registry,
                IntGauge::new("shoal_requests_in_flight", "Chat requests being answered.")?,
            )?,
            chats: counter(
                registry,
                "shoal_requests_total",
                "Chat requests ended, by model, whether streamed, and how they ended.",
                &["model", "stream", "status"],
            )?,
            chat_seconds: seconds(
                registry,
                "shoal_request_duration_seconds",
                "Answered chat requests from their arrival to the end of the answer.",
            )?,
            first_token_seconds: seconds(
                registry,
                "shoal_time_to_first_token_seconds",
                "Answered chat requests from their arrival to the first piece of the answer.",
            )?,
            tokens: counter(
                registry,
                "shoal_tokens_total",
                "Tokens of answers that were sent, by model and direction.",
                &["model", "direction"],
            )?,
            models: Arc::default(),
        };
        Mode::ALL.iter().for_each(|mode| metrics.create(mode.model()));
        metrics.create(OTHER_MODEL);
        Ok(metrics)
    }

    /// Creates a model's counters at 0, so that `increase()` counts the first request too.
    fn create(&self, model: &str) {
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
                return OTHER_MODEL.into();
            }
            models.insert(model.into());
            self.create(model);
        }
        model.into()
    }

    /// Counts a request. `route` is the pattern and not the path, which has no bound.
    pub(super) fn count_request(&self, route: &str, method: &str, code: &str) {
        self.requests.with_label_values(&[route, method, code]).inc();
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    labels: &[&str],
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
}

/// A histogram of seconds by model.
fn seconds(registry: &Registry, name: &str, help: &str) -> Result<HistogramVec, prometheus::Error> {
    let opts = HistogramOpts::new(name, help).buckets(SECONDS.to_vec());
    register(registry, HistogramVec::new(opts, &["model", "stream"])?)
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

/// Measures one chat from its arrival. Dropped without an end, it counts a client that disconnected.
#[derive(Debug)]
pub(super) struct Measurement {
    metrics: HttpMetrics,
    /// The model's label: `other` until the model is checked.
    model: String,
    stream: &'static str,
    start: Instant,
    first_piece: bool,
    outcome: &'static str,
}

impl Measurement {
    pub(super) fn start(metrics: &HttpMetrics) -> Self {
        metrics.in_flight.inc();
        Self {
            metrics: metrics.clone(),
            model: OTHER_MODEL.into(),
            stream: "false",
            start: Instant::now(),
            first_piece: false,
            outcome: "cancelled",
        }
    }

    /// The meter of a chat that is admitted. Its model is served here.
    pub(super) fn admit(mut self, permit: Permit, model: &str, stream: bool) -> Meter {
        self.model = self.metrics.label(model);
        self.stream = if stream { "true" } else { "false" };
        Meter { measurement: self, permit, cache: None }
    }

    /// Counts a chat that was refused or that failed. Returns the error.
    pub(super) fn fail(mut self, error: ApiError) -> ApiError {
        self.outcome = error.label();
        error
    }

    fn histogram(&self, family: &HistogramVec) -> prometheus::Histogram {
        family.with_label_values(&[self.model.as_str(), self.stream])
    }
}

impl Drop for Measurement {
    fn drop(&mut self) {
        self.metrics.in_flight.dec();
        self.metrics
            .chats
            .with_label_values(&[self.model.as_str(), self.stream, self.outcome])
            .inc();
    }
}

/// Measures one chat that is admitted, and holds its permit until its end.
#[derive(Debug)]
pub(super) struct Meter {
    measurement: Measurement,
    permit: Permit,
    /// Where the answer is kept for repeated requests; `None`: nowhere.
    cache: Option<CacheKey>,
}

impl Meter {
    /// The owner of what is stored for the chat.
    pub(super) fn owner(&self) -> Owner {
        self.permit.owner()
    }

    /// Sets where the answer is kept for repeated requests.
    pub(super) fn with_cache(self, cache: Option<CacheKey>) -> Self {
        Self { cache, ..self }
    }

    /// Where the answer is kept for repeated requests; `None`: nowhere.
    pub(super) fn cache(&self) -> Option<&CacheKey> {
        self.cache.as_ref()
    }

    /// Who takes turns with others when members are busy.
    pub(super) fn client(&self) -> Client {
        Client(self.owner().0)
    }

    /// Measures the time of the first piece of the answer.
    pub(super) fn piece(&mut self) {
        let chat = &mut self.measurement;
        if !std::mem::replace(&mut chat.first_piece, true) {
            let seconds = chat.start.elapsed().as_secs_f64();
            chat.histogram(&chat.metrics.first_token_seconds).observe(seconds);
        }
    }

    /// Counts a chat that failed. Returns the error.
    pub(super) fn fail(self, error: ApiError) -> ApiError {
        self.measurement.fail(error)
    }

    /// Counts a complete answer and its tokens.
    pub(super) fn finish(mut self, input: u32, output: u32) {
        let chat = &mut self.measurement;
        chat.outcome = "ok";
        chat.histogram(&chat.metrics.chat_seconds).observe(chat.start.elapsed().as_secs_f64());
        for (direction, tokens) in [("input", input), ("output", output)] {
            let labels = [chat.model.as_str(), direction];
            chat.metrics.tokens.with_label_values(&labels).inc_by(u64::from(tokens));
        }
        self.permit.spend(f64::from(input) + f64::from(output));
    }
}
