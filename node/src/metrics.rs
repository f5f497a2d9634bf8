//! The metrics of a node. Names follow Prometheus: one unit for each metric, `_total` on counters, closed
//! label sets, and every counter exists from the start.

pub mod page;

use std::time::Duration;

use prometheus::{
    Counter, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, core::Collector,
};
use shoal_proto::generate::{Done, Fault};

/// From an answer of a tiny model to a long one of a slow upstream.
const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

/// Kinds of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Generate,
    Judge,
    Embed,
    /// The stream began with something else.
    Unknown,
}

/// How work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The engine failed.
    Failed,
    /// No slot and no place in the queue.
    Busy,
    /// The request was at fault: malformed, too long, or not supported by the model.
    Refused,
    /// The gateway cancelled it.
    Cancelled,
}

/// A node's counters; clones count into the same ones.
#[derive(Clone, Debug)]
pub struct Metrics {
    work: IntCounterVec,
    duration: HistogramVec,
    first_token: Histogram,
    tokens: IntCounterVec,
    decode: Counter,
    busy_slots: IntGauge,
    queue_length: IntGauge,
    links: IntGauge,
    /// Attempts to connect after the first.
    pub(crate) reconnects: IntCounter,
}

/// Counts a condition that lasts until this is dropped.
#[derive(Debug)]
pub(crate) struct GaugeGuard(IntGauge);

impl GaugeGuard {
    fn new(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Kind {
    const ALL: [Self; 4] = [Self::Generate, Self::Judge, Self::Embed, Self::Unknown];

    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Judge => "judge",
            Self::Embed => "embed",
            Self::Unknown => "unknown",
        }
    }
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Done, Self::Failed, Self::Busy, Self::Refused, Self::Cancelled];

    const fn label(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Busy => "busy",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
        }
    }

    /// The outcome for a fault.
    pub(crate) const fn from_fault(fault: Fault) -> Self {
        match fault {
            Fault::Busy => Self::Busy,
            Fault::ContextLength | Fault::Unsupported | Fault::BadRequest | Fault::Draining => {
                Self::Refused
            }
            Fault::Engine | Fault::Unspecified => Self::Failed,
        }
    }
}

impl Metrics {
    /// Registers the counters with `registry`; fails if they are registered already.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counters = |name, help, labels: &[&str]| {
            register(registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let gauge = |name, help| register(registry, IntGauge::new(name, help)?);
        let duration = seconds(
            "shoal_node_work_duration_seconds",
            "From a piece of work's arrival to its last word.",
        );
        let first_token = seconds(
            "shoal_node_time_to_first_token_seconds",
            "From the arrival of an ask to the first text.",
        );
        let decode = Counter::new(
            "shoal_node_decode_seconds_total",
            "Time spent writing after the first text.",
        );
        let reconnects = IntCounter::new(
            "shoal_node_reconnects_total",
            "Tries to reach a gateway after the first.",
        );
        let metrics = Self {
            work: counters(
                "shoal_node_work_total",
                "Pieces of work by kind and how they ended.",
                &["kind", "outcome"],
            )?,
            duration: register(registry, HistogramVec::new(duration, &["kind"])?)?,
            first_token: register(registry, Histogram::with_opts(first_token)?)?,
            tokens: counters(
                "shoal_node_tokens_total",
                "Tokens read (input) and written (output).",
                &["type"],
            )?,
            decode: register(registry, decode?)?,
            busy_slots: gauge("shoal_node_running", "Pieces of work that have a slot.")?,
            queue_length: gauge("shoal_node_waiting", "Pieces of work that wait for a slot.")?,
            links: gauge("shoal_node_links", "Gateways that the node is a member of now.")?,
            reconnects: register(registry, reconnects?)?,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// A counter that first appears at 1 hides its first event from `increase()`.
    fn start_at_zero(&self) {
        for kind in Kind::ALL {
            self.duration.with_label_values(&[kind.label()]);
            for outcome in Outcome::ALL {
                self.work.with_label_values(&[kind.label(), outcome.label()]);
            }
        }
        for direction in ["input", "output"] {
            self.tokens.with_label_values(&[direction]);
        }
    }

    pub(crate) fn record_work(&self, kind: Kind, outcome: Outcome, took: Duration) {
        self.work.with_label_values(&[kind.label(), outcome.label()]).inc();
        self.duration.with_label_values(&[kind.label()]).observe(took.as_secs_f64());
    }

    /// Records that the first text of an answer came `after` its request; returns `after`.
    pub(crate) fn first_token(&self, after: Duration) -> Duration {
        self.first_token.observe(after.as_secs_f64());
        after
    }

    pub(crate) fn record_answer(&self, usage: &Done, decode_time: Duration) {
        self.read(usage.prompt_tokens);
        self.tokens.with_label_values(&["output"]).inc_by(usage.completion_tokens.into());
        self.decode.inc_by(decode_time.as_secs_f64());
    }

    pub(crate) fn read(&self, tokens: u32) {
        self.tokens.with_label_values(&["input"]).inc_by(tokens.into());
    }

    pub(crate) fn slot_guard(&self) -> GaugeGuard {
        GaugeGuard::new(&self.busy_slots)
    }

    pub(crate) fn queue_guard(&self) -> GaugeGuard {
        GaugeGuard::new(&self.queue_length)
    }

    pub(crate) fn link_guard(&self) -> GaugeGuard {
        GaugeGuard::new(&self.links)
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

fn seconds(name: &str, help: &str) -> HistogramOpts {
    HistogramOpts::new(name, help).buckets(SECONDS.to_vec())
}
