//! The metrics of rounds.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
    core::Collector,
};

use shoal_consensus::{Outcome, outcome::Decision};
use shoal_consensus::{RoundError, agree::Agreement};
use shoal_swarm::WorkError;

/// From a cached answer of a small model to the longest deadline.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];

/// Shares of a round's candidates; panels are small, so that no other shares occur.
const SHARES: &[f64] = &[0.2, 0.25, 0.34, 0.4, 0.5, 0.6, 0.67, 0.75, 0.8, 0.99, 1.0];

/// Models with their own label: nodes choose the names of models, and the labels must stay few.
const MODELS_MAX: usize = 64;

/// Counters and histograms of rounds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct RoundMetrics {
    rounds: IntCounterVec,
    phases: HistogramVec,
    candidates: IntCounterVec,
    ballots: IntCounterVec,
    hedges: IntCounterVec,
    winners: IntCounterVec,
    agreement: Histogram,
    audits: IntCounterVec,
    fusions: IntCounterVec,
    rankings: IntCounterVec,
    waves: IntCounter,
    learn_drops: IntCounter,
    waiting: IntGauge,
    models: Arc<Mutex<BTreeSet<String>>>,
}

impl RoundMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let (phases, agreement) = histograms(registry)?;
        let metrics = Self {
            rounds: counter(
                registry,
                "shoal_rounds_total",
                "Rounds by how they were decided, or why they have no answer.",
                "outcome",
            )?,
            phases,
            candidates: counter(
                registry,
                "shoal_candidates_total",
                "Answers asked of writers, by outcome.",
                "outcome",
            )?,
            ballots: counter(
                registry,
                "shoal_ballots_total",
                "Ballots asked of judges, by outcome.",
                "outcome",
            )?,
            hedges: counter(
                registry,
                "shoal_hedges_total",
                "Spare writers started, by reason.",
                "reason",
            )?,
            winners: counter(
                registry,
                "shoal_winners_total",
                "Winning answers by their model.",
                "model",
            )?,
            agreement,
            audits: counter(
                registry,
                "shoal_agreement_audits_total",
                "Agreements that were judged all the same, by whether the judged winner is theirs.",
                "result",
            )?,
            fusions: counter(
                registry,
                "shoal_fusions_total",
                "Fused answers asked for, by outcome; but for `fused` the winner was sent.",
                "outcome",
            )?,
            rankings: counter(
                registry,
                "shoal_rankings_total",
                "Rankings of texts that clients brought, by outcome.",
                "outcome",
            )?,
            waves: register(
                registry,
                IntCounter::new("shoal_judging_waves_total", "Waves of judges that were asked.")?,
            )?,
            learn_drops: register(
                registry,
                IntCounter::new(
                    "shoal_rounds_unsettled_total",
                    "Rounds that nothing was learned from because too many waited.",
                )?,
            )?,
            waiting: waiting(registry)?,
            models: Arc::default(),
        };
        metrics.show_zeros();
        Ok(metrics)
    }

    /// Shows the counters at 0, so that `increase()` sees the first of each.
    fn show_zeros(&self) {
        for phase in ["select", "generate", "judge", "rank", "fuse", "total"] {
            self.phases.with_label_values(&[phase]);
        }
        show(&self.rounds, &["judged", "agreement", "fallback", "single", "fused", "cancelled"]);
        show(&self.rounds, &["no_such_model", "no_member", "no_candidate", "context_length"]);
        show(&self.rounds, &["no_tools", "no_vision", "unsupported", "misfit", "queue_full"]);
        show(&self.candidates, &["finished", "cut"]);
        show(&self.candidates, &WorkError::LABELS);
        show(&self.ballots, &["counted", "cut"]);
        show(&self.ballots, &WorkError::LABELS);
        show(&self.hedges, &["failed", "stalled", "late"]);
        show(&self.audits, &["right", "wrong"]);
        show(&self.fusions, &["fused", "nobody"]);
        show(&self.rankings, &["judged", "no_ballot", "no_member", "cancelled"]);
        show(&self.fusions, &WorkError::LABELS);
    }

    /// The gauge of the asks that wait.
    pub(super) fn waiting(&self) -> IntGauge {
        self.waiting.clone()
    }

    /// Counts a ranking of a client's texts.
    pub(super) fn ranking(&self, outcome: &str) {
        self.rankings.with_label_values(&[outcome]).inc();
    }

    /// Counts a round when the returned value is dropped: as cancelled, unless it was given a result.
    pub(super) fn begin(&self) -> RoundCount<'_> {
        RoundCount { metrics: self, outcome: "cancelled" }
    }

    pub(super) fn candidates(&self, outcome: &str, count: usize) {
        self.candidates.with_label_values(&[outcome]).inc_by(count as u64);
    }

    pub(super) fn ballots(&self, outcome: &str, count: usize) {
        self.ballots.with_label_values(&[outcome]).inc_by(count as u64);
    }

    pub(super) fn fusion(&self, outcome: &str) {
        self.fusions.with_label_values(&[outcome]).inc();
    }

    /// Counts a wave of judges, unless it is empty.
    pub(super) fn wave(&self, judges: usize) {
        self.waves.inc_by(u64::from(judges > 0));
    }

    /// When a round with an agreement was judged all the same, counts whether the judged winner is the
    /// answer agreed on.
    pub(super) fn agreement_audit(&self, agreement: Agreement, outcome: &Outcome) {
        if let (Agreement::Audited(pool), Decision::Judged) = (agreement, outcome.decided) {
            let right = outcome.winner().is_some_and(|winner| winner.pool == pool);
            self.audits.with_label_values(&[if right { "right" } else { "wrong" }]).inc();
        }
    }

    pub(super) fn hedge(&self, reason: &str) {
        self.hedges.with_label_values(&[reason]).inc();
    }

    /// Counts a round from which nothing is learned.
    pub(super) fn learn_queue_full(&self) {
        self.learn_drops.inc();
    }

    fn phase(&self, name: &str, took: Duration) {
        self.phases.with_label_values(&[name]).observe(took.as_secs_f64());
    }

    fn answer(&self, outcome: &Outcome) {
        let timings = &outcome.timings;
        self.phase("select", timings.select);
        self.phase("generate", timings.generate);
        self.phase("total", timings.total);
        if outcome.fused.is_some() {
            self.phase("fuse", timings.fuse);
        }
        let Some(winner) = outcome.winner() else { return };
        self.winners.with_label_values(&[&self.model_label(&winner.model)]).inc();
        if outcome.candidates.len() > 1 {
            self.phase("judge", timings.judge);
            self.phase("rank", timings.rank);
            let pool_size = outcome.candidates.iter().filter(|c| c.pool == winner.pool).count();
            self.agreement.observe(pool_size as f64 / outcome.candidates.len() as f64);
        }
    }

    fn model_label(&self, model: &str) -> String {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.contains(model) || models.len() < MODELS_MAX {
            models.insert(model.to_owned());
            return model.to_owned();
        }
        "other".to_owned()
    }
}

/// Counts a round when it is dropped.
#[derive(Debug)]
pub(super) struct RoundCount<'a> {
    metrics: &'a RoundMetrics,
    outcome: &'static str,
}

impl RoundCount<'_> {
    /// Counts the round with its result.
    pub(super) fn end(mut self, result: &Result<Outcome, RoundError>) {
        self.outcome = match result {
            Ok(outcome) => {
                self.metrics.answer(outcome);
                label(outcome.decided)
            }
            Err(error) => error.label(),
        };
    }
}

impl Drop for RoundCount<'_> {
    fn drop(&mut self) {
        self.metrics.rounds.with_label_values(&[self.outcome]).inc();
    }
}

fn label(decision: Decision) -> &'static str {
    match decision {
        Decision::Judged => "judged",
        Decision::Agreement => "agreement",
        Decision::Fallback => "fallback",
        Decision::Single => "single",
        Decision::Fused => "fused",
        Decision::Abstained => "abstained",
    }
}

fn waiting(registry: &Registry) -> Result<IntGauge, prometheus::Error> {
    let help = "Asks that wait for their turn, because no member is free.";
    register(registry, IntGauge::new("shoal_asks_waiting", help)?)
}

/// The histograms of the phases and of the agreement.
fn histograms(registry: &Registry) -> Result<(HistogramVec, Histogram), prometheus::Error> {
    let phases = HistogramOpts::new(
        "shoal_round_phase_seconds",
        "Time of each phase of a round; `total` is the whole.",
    );
    let agreement = HistogramOpts::new(
        "shoal_round_agreement_ratio",
        "Share of a round's candidates that say what the winner says.",
    );
    Ok((
        register(registry, HistogramVec::new(phases.buckets(SECONDS.to_vec()), &["phase"])?)?,
        register(registry, Histogram::with_opts(agreement.buckets(SHARES.to_vec()))?)?,
    ))
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    register(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
}

/// Shows a counter at 0 for each of these labels.
fn show(counter: &IntCounterVec, labels: &[&str]) {
    for label in labels {
        counter.with_label_values(&[*label]);
    }
}

fn register<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
