//! Audits of a member: whether its claims can be recomputed, and whether it answers hidden questions
//! as well as those of its exam.
//!
//! Claims count once enough of them were confirmed. A refuted claim is a lie, because the same weights
//! give the same number. A wrong answer to a hidden question can be an honest mistake, so mistakes
//! accumulate to an alarm: the log-likelihood ratio between a cheat and a member that is as good as its
//! record, never below 0 (a CUSUM test, Page 1954). With an alarm at 9 nats an honest member is caught
//! about once in e^9 = 8,000 audits.

use serde::{Deserialize, Serialize};

pub use crate::reputation::settings::AuditSettings as Settings;

use crate::reputation::{KindId, Record};

/// The results of a member's audits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audits {
    /// Number of confirmed claims, less the claims below the recomputed value.
    pub claims: u32,
    /// Hidden questions to the writer.
    pub writer: HiddenAudits,
    /// Hidden candidates to the judge.
    pub judge: HiddenAudits,
}

/// The results of the hidden audits of one role.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HiddenAudits {
    /// Number of audits.
    pub seen: u32,
    /// Nats of evidence that it is worse than its record, >= 0.
    pub alarm: f64,
}

/// An audit's result.
#[derive(Clone, Debug, PartialEq)]
pub enum AuditResult {
    /// A claim was recomputed.
    Claim { finding: Finding, auditor: Auditor },
    /// It answered a hidden question of this kind.
    Wrote { kind: KindId, right: bool },
    /// It judged hidden candidates; `right`: it put a right one first.
    Judged { right: bool },
}

/// The recomputing party, and the occasion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auditor {
    /// The gateway's own auditor, for an answer of the exam.
    InExam,
    /// The gateway's own auditor, for an answer of a round.
    InRound,
    /// Another member, which may lie as well.
    Member,
}

/// The comparison of a claim with the recomputed value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Equal within the tolerance.
    Confirmed,
    /// It claimed less certainty than its weights have. This gains nothing and proves nothing.
    Short,
    /// It claimed more certainty than its weights have.
    Refuted,
}

impl Finding {
    /// The label in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Short => "short",
            Self::Refuted => "refuted",
        }
    }
}

/// Compares a claim (natural log-probability of a text of `tokens` tokens) with the value that the
/// same weights gave on another machine.
pub fn compare(claim: f64, reference: f64, tokens: u32, settings: &Settings) -> Finding {
    let tolerance = settings.tolerance_nats + settings.tolerance_nats_per_token * f64::from(tokens);
    let excess = claim - reference;
    if excess.abs() <= tolerance {
        Finding::Confirmed
    } else if excess < 0.0 {
        Finding::Short
    } else {
        // Also for NaN.
        Finding::Refuted
    }
}

/// The record after an audit; [`Record::caught`] has increased if the member was caught.
pub fn after(
    before: &Record,
    audit: &AuditResult,
    settings: &crate::reputation::Settings,
) -> Record {
    let mut record = before.clone();
    let rules = &settings.audit;
    match audit {
        AuditResult::Claim { finding: Finding::Refuted, auditor: Auditor::Member } => {
            // The auditing member may lie: the claim does not count, and nobody is punished.
            record.audits.claims = 0;
        }
        AuditResult::Claim { finding: Finding::Refuted, .. } => return before.caught(),
        AuditResult::Claim { finding: Finding::Short, .. } => {
            record.audits.claims = record.audits.claims.saturating_sub(1);
        }
        AuditResult::Claim { finding: Finding::Confirmed, auditor } => {
            let claims = record.audits.claims;
            let limit = match auditor {
                Auditor::InExam => rules.needed.saturating_sub(1).max(claims),
                Auditor::InRound | Auditor::Member => u32::MAX,
            };
            record.audits.claims = claims.saturating_add(1).min(limit);
        }
        AuditResult::Wrote { kind, right } => {
            let accuracy = before.kinds.get(kind).copied().unwrap_or_default();
            let accuracy = accuracy.quantile(settings.quantile);
            record.audits.writer = before.audits.writer.after(*right, accuracy, rules);
        }
        AuditResult::Judged { right } => {
            let accuracy = before.judge.quantile(settings.quantile);
            record.audits.judge = before.audits.judge.after(*right, accuracy, rules);
        }
    }
    if matches!(audit, AuditResult::Claim { .. }) {
        record.claims_count = record.audits.claims_count(rules);
    }
    let alarm = record.audits.writer.alarm.max(record.audits.judge.alarm);
    if alarm >= rules.alarm { before.caught() } else { record }
}

impl Audits {
    /// Whether its claims count.
    pub fn claims_count(&self, settings: &Settings) -> bool {
        self.claims >= settings.needed
    }

    /// Number of audits of all sorts since it joined or was last caught.
    pub(crate) fn pass_count(&self) -> u32 {
        self.claims.saturating_add(self.writer.seen).saturating_add(self.judge.seen)
    }

    /// Whether the audits since `before` were in the member's favour.
    pub(crate) fn went_well_since(&self, before: &Self) -> bool {
        self.claims >= before.claims && self.alarm() <= before.alarm()
    }

    fn alarm(&self) -> f64 {
        self.writer.alarm + self.judge.alarm
    }

    /// P(its next claim is audited).
    pub fn claim_probability(&self, settings: &Settings) -> f64 {
        probability(self.claims.saturating_sub(settings.needed), settings)
    }
}

impl HiddenAudits {
    /// P(it is audited in its next round). A member under suspicion is audited as often as a newcomer.
    pub fn probability(&self, settings: &Settings) -> f64 {
        if self.alarm >= 1.0 { settings.probability } else { probability(self.seen, settings) }
    }

    /// `accuracy`: the lower bound of the accuracy that the record promises.
    fn after(self, right: bool, accuracy: f64, settings: &Settings) -> Self {
        // A member no better than a cheat cannot fall short of its record, and nobody is perfect.
        let accuracy = accuracy.clamp(settings.cheat, 0.95_f64.max(settings.cheat));
        let evidence = if right {
            (settings.cheat / accuracy).ln()
        } else {
            ((1.0 - settings.cheat) / (1.0 - accuracy)).ln()
        };
        Self { seen: self.seen.saturating_add(1), alarm: (self.alarm + evidence).max(0.0) }
    }
}

/// P(audit) after this number of audits.
fn probability(audits: u32, settings: &Settings) -> f64 {
    let share = (-f64::from(audits) / settings.halving.max(1e-9)).exp2();
    settings.probability_least + (settings.probability - settings.probability_least) * share
}

#[cfg(test)]
mod tests;
