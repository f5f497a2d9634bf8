//! What rounds count.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
    core::Collector,
};

use crate::swarm::WorkError;
use shoal_consensus::{Outcome, outcome::Decided};
use shoal_consensus::{RoundError, agree::Agreement};

/// From a cached answer of a small model to the longest deadline.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0];

/// Shares of a round's candidates; panels are small, so that these are all there are.
const SHARES: &[f64] = &[0.2, 0.25, 0.34, 0.4, 0.5, 0.6, 0.67, 0.75, 0.8, 0.99, 1.0];

/// Models that get a label of their own; nodes choose their names, and labels must stay few.
const MODELS_MAX: usize = 64;

/// Counters and histograms of rounds. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
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
    unsettled: IntCounter,
    models: Arc<Mutex<BTreeSet<String>>>,
}

impl Metrics {
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, label: &str| {
            registered(registry, IntCounterVec::new(Opts::new(name, help), &[label])?)
        };
        let phases = HistogramOpts::new(
            "shoal_round_phase_seconds",
            "Time of each phase of a round; `total` is the whole.",
        );
        let agreement = HistogramOpts::new(
            "shoal_round_agreement_ratio",
            "Share of a round's candidates that say what the winner says.",
        );
        let metrics = Self {
            rounds: counter(
                "shoal_rounds_total",
                "Rounds by how they were decided, or why they have no answer.",
                "outcome",
            )?,
            phases: registered(
                registry,
                HistogramVec::new(phases.buckets(SECONDS.to_vec()), &["phase"])?,
            )?,
            candidates: counter(
                "shoal_candidates_total",
                "Answers asked of writers, by outcome.",
                "outcome",
            )?,
            ballots: counter(
                "shoal_ballots_total",
                "Ballots asked of judges, by outcome.",
                "outcome",
            )?,
            hedges: counter("shoal_hedges_total", "Spare writers started, by reason.", "reason")?,
            winners: counter("shoal_winners_total", "Winning answers by their model.", "model")?,
            agreement: registered(
                registry,
                Histogram::with_opts(agreement.buckets(SHARES.to_vec()))?,
            )?,
            audits: counter(
                "shoal_agreement_audits_total",
                "Agreements that were judged all the same, by whether the judged winner is theirs.",
                "result",
            )?,
            fusions: counter(
                "shoal_fusions_total",
                "Fused answers asked for, by outcome; but for `fused` the winner was sent.",
                "outcome",
            )?,
            rankings: counter(
                "shoal_rankings_total",
                "Rankings of texts that clients brought, by outcome.",
                "outcome",
            )?,
            waves: registered(
                registry,
                IntCounter::new("shoal_judging_waves_total", "Waves of judges that were asked.")?,
            )?,
            unsettled: registered(
                registry,
                IntCounter::new(
                    "shoal_rounds_unsettled_total",
                    "Rounds that nothing was learned from because too many waited.",
                )?,
            )?,
            models: Arc::default(),
        };
        metrics.appear();
        Ok(metrics)
    }

    /// Shows the counters at 0, so that `increase()` sees the first of each.
    fn appear(&self) {
        let show = |counter: &IntCounterVec, labels: &[&str]| {
            for label in labels {
                counter.with_label_values(&[*label]);
            }
        };
        for phase in ["select", "generate", "judge", "rank", "fuse", "total"] {
            self.phases.with_label_values(&[phase]);
        }
        show(&self.rounds, &["judged", "agreement", "fallback", "single", "fused", "cancelled"]);
        show(&self.rounds, &["no_such_model", "no_member", "no_candidate", "context_length"]);
        show(&self.rounds, &["no_tools", "no_vision", "unsupported", "misfit"]);
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

    /// How a ranking of texts that a client brought ended.
    pub(super) fn ranking(&self, outcome: &str) {
        self.rankings.with_label_values(&[outcome]).inc();
    }

    /// A round has begun. Unless it is told an end, it is counted as cancelled.
    pub(super) fn begin(&self) -> Begun<'_> {
        Begun { metrics: self, outcome: "cancelled" }
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

    /// A wave of so many judges was asked.
    pub(super) fn wave(&self, judges: usize) {
        self.waves.inc_by(u64::from(judges > 0));
    }

    /// Holds an agreement that was judged all the same against the judged winner.
    pub(super) fn audited(&self, agreement: Agreement, outcome: &Outcome) {
        if let (Agreement::Audited(pool), Decided::Judged) = (agreement, outcome.decided) {
            let right = outcome.winner().is_some_and(|winner| winner.pool == pool);
            self.audits.with_label_values(&[if right { "right" } else { "wrong" }]).inc();
        }
    }

    pub(super) fn hedge(&self, reason: &str) {
        self.hedges.with_label_values(&[reason]).inc();
    }

    pub(super) fn unsettled(&self) {
        self.unsettled.inc();
    }

    fn answered(&self, outcome: &Outcome) {
        let phase = |name: &str, took: Duration| {
            self.phases.with_label_values(&[name]).observe(took.as_secs_f64());
        };
        let timings = &outcome.timings;
        phase("select", timings.select);
        phase("generate", timings.generate);
        phase("total", timings.total);
        if outcome.fused.is_some() {
            phase("fuse", timings.fuse);
        }
        let Some(winner) = outcome.winner() else { return };
        self.winners.with_label_values(&[&self.label(&winner.model)]).inc();
        if outcome.candidates.len() > 1 {
            phase("judge", timings.judge);
            phase("rank", timings.rank);
            let same = outcome.candidates.iter().filter(|one| one.pool == winner.pool).count();
            self.agreement.observe(same as f64 / outcome.candidates.len() as f64);
        }
    }

    fn label(&self, model: &str) -> String {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if models.contains(model) || models.len() < MODELS_MAX {
            models.insert(model.to_owned());
            return model.to_owned();
        }
        "other".to_owned()
    }
}

/// A round under way.
#[derive(Debug)]
pub(super) struct Begun<'a> {
    metrics: &'a Metrics,
    outcome: &'static str,
}

impl Begun<'_> {
    pub(super) fn end(mut self, answered: &Result<Outcome, RoundError>) {
        self.outcome = match answered {
            Ok(outcome) => {
                self.metrics.answered(outcome);
                decided(outcome.decided)
            }
            Err(error) => error.label(),
        };
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        self.metrics.rounds.with_label_values(&[self.outcome]).inc();
    }
}

fn decided(decided: Decided) -> &'static str {
    match decided {
        Decided::Judged => "judged",
        Decided::Agreement => "agreement",
        Decided::Fallback => "fallback",
        Decided::Single => "single",
        Decided::Fused => "fused",
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
