//! The metrics of the swarm.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::{LeaveReason, WorkError};

/// Outcomes of each kind of audit, beside the labels of [`WorkError`].
const AUDITS: [(&str, &[&str]); 3] = [
    ("claim", &["confirmed", "short", "refuted", "nobody", "dropped"]),
    ("writer", &["right", "wrong", "abstained", "dropped"]),
    ("judge", &["right", "wrong", "dropped"]),
];

/// Counters and gauges of members and admission. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SwarmMetrics {
    members: IntGaugeVec,
    admissions: IntCounterVec,
    leaves: IntCounterVec,
    exam_answers: IntCounterVec,
    exam_scores: IntCounterVec,
    audits: IntCounterVec,
}

impl SwarmMetrics {
    /// Registers the metrics.
    ///
    /// # Errors
    /// When one of the names is taken in this registry.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let audits = IntCounterVec::new(
            Opts::new("shoal_audits_total", "Audits of members, by what was audited and outcome."),
            &["kind", "outcome"],
        )?;
        registry.register(Box::new(audits.clone()))?;
        let members = IntGaugeVec::new(
            Opts::new("shoal_members", "Nodes on this gateway by state."),
            &["state"],
        )?;
        registry.register(Box::new(members.clone()))?;
        let metrics = Self {
            members,
            admissions: counter(
                registry,
                "shoal_admissions_total",
                "Links that asked to become members, by outcome.",
                "outcome",
            )?,
            leaves: counter(
                registry,
                "shoal_leaves_total",
                "Members that left, by reason.",
                "reason",
            )?,
            exam_answers: counter(
                registry,
                "shoal_exam_answers_total",
                "Gold questions put to members as writers, by outcome.",
                "outcome",
            )?,
            exam_scores: counter(
                registry,
                "shoal_exam_scores_total",
                "Gold candidates put to members as judges, by outcome.",
                "outcome",
            )?,
            audits,
        };
        for state in ["serving", "draining", "examined", "auditing"] {
            metrics.members(state, 0);
        }
        metrics.show_zeros();
        Ok(metrics)
    }

    /// Shows the counters at 0, so that `increase()` sees the first of each.
    fn show_zeros(&self) {
        const ADMISSIONS: [&str; 13] = [
            "welcomed",
            "lost",
            "version",
            "wrong_key",
            "bad_hello",
            "already_here",
            "full",
            "protocol",
            "draining",
            "unspecified",
            // No link came of these: `shoal_link::quic::Rejection`.
            "crowded",
            "busy",
            "handshake",
        ];
        show(&self.admissions, &ADMISSIONS);
        show(
            &self.leaves,
            &[
                "goodbye",
                "lost",
                "silent",
                "protocol",
                "unfit",
                "replaced",
                "displaced",
                "shutdown",
            ],
        );
        show(&self.exam_answers, &["right", "wrong", "abstained"]);
        show(&self.exam_answers, &WorkError::LABELS);
        show(&self.exam_scores, &["scored", "compared", "reasoned"]);
        show(&self.exam_scores, &WorkError::LABELS);
        for (kind, outcomes) in AUDITS {
            for outcome in outcomes.iter().chain(&WorkError::LABELS) {
                self.audits.with_label_values(&[kind, *outcome]);
            }
        }
    }

    pub(super) fn members(&self, state: &str, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.members.with_label_values(&[state]).set(count);
    }

    pub(super) fn admission(&self, outcome: &str) {
        self.admissions.with_label_values(&[outcome]).inc();
    }

    pub(super) fn leave(&self, reason: LeaveReason) {
        self.leaves.with_label_values(&[reason.label()]).inc();
    }

    pub(super) fn exam_answer(&self, outcome: &str) {
        self.exam_answers.with_label_values(&[outcome]).inc();
    }

    pub(super) fn audit(&self, kind: &str, outcome: &str) {
        self.audits.with_label_values(&[kind, outcome]).inc();
    }

    pub(super) fn exam_scores(&self, outcome: &str, count: usize) {
        self.exam_scores.with_label_values(&[outcome]).inc_by(count as u64);
    }
}

fn counter(
    registry: &Registry,
    name: &str,
    help: &str,
    label: &str,
) -> Result<IntCounterVec, prometheus::Error> {
    let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

/// Shows a counter at 0 for each of these labels.
fn show(counter: &IntCounterVec, labels: &[&str]) {
    for label in labels {
        counter.with_label_values(&[*label]);
    }
}
