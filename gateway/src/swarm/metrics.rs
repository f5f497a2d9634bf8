//! What the swarm counts.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::Leave;

/// Counters and gauges of members and admission. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    members: IntGaugeVec,
    admissions: IntCounterVec,
    leaves: IntCounterVec,
    exam_answers: IntCounterVec,
    exam_scores: IntCounterVec,
}

impl Metrics {
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let counter = |name: &str, help: &str, label: &str| {
            let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
            registry.register(Box::new(counter.clone()))?;
            Ok::<_, prometheus::Error>(counter)
        };
        let members = IntGaugeVec::new(
            Opts::new("shoal_members", "Nodes on this gateway by state."),
            &["state"],
        )?;
        registry.register(Box::new(members.clone()))?;
        let metrics = Self {
            members,
            admissions: counter(
                "shoal_admissions_total",
                "Links that asked to become members, by outcome.",
                "outcome",
            )?,
            leaves: counter("shoal_leaves_total", "Members that left, by reason.", "reason")?,
            exam_answers: counter(
                "shoal_exam_answers_total",
                "Gold questions put to members as writers, by outcome.",
                "outcome",
            )?,
            exam_scores: counter(
                "shoal_exam_scores_total",
                "Gold candidates put to members as judges, by outcome.",
                "outcome",
            )?,
        };
        for state in ["serving", "draining", "examined"] {
            metrics.members(state, 0);
        }
        Ok(metrics)
    }

    pub(super) fn members(&self, state: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.members.with_label_values(&[state]).set(count);
    }

    pub(super) fn admission(&self, outcome: &str) {
        self.admissions.with_label_values(&[outcome]).inc();
    }

    pub(super) fn left(&self, leave: Leave) {
        self.leaves.with_label_values(&[leave.label()]).inc();
    }

    pub(super) fn exam_answer(&self, outcome: &str) {
        self.exam_answers.with_label_values(&[outcome]).inc();
    }

    pub(super) fn exam_scores(&self, outcome: &str, count: usize) {
        self.exam_scores.with_label_values(&[outcome]).inc_by(count as u64);
    }
}
