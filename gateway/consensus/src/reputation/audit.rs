//! What audits have shown of a member: whether its claims can be recomputed, and whether it does in
//! secret what it did in its exam.
//!
//! A claim counts once enough of them were confirmed, and one that was refuted is a lie: the same
//! weights give one number. A hidden question can go wrong by honest mistake, so mistakes add up
//! to an alarm first: the log-likelihood ratio between a cheat and a member that is as good as its
//! record, never below 0 (a CUSUM test, Page 1954). With an alarm at 9 nats an honest member is
//! taken for a cheat about once in e^9 = 8,000 audits.

use serde::{Deserialize, Serialize};

use crate::reputation::{Beta, KindId, Record};

/// When claims are believed, how often members are audited, and when one is caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Claims that must be confirmed before a member's certainty counts. Those from its exam, which
    /// a cheat would recognise, can fill all but one of these places.
    pub needed: u32,
    /// Nats by which a claim may differ from the recomputed value: the same weights on another
    /// machine differ by rounding (measured below .001 a token).
    pub tolerance_nats: f64,
    /// And for each token of the text.
    pub tolerance_nats_per_token: f64,
    /// P(a newcomer is audited in a round), for each: its claim, as a writer, as a judge.
    pub probability: f64,
    /// What it falls to.
    pub probability_least: f64,
    /// Audits passed after which it has come half of that way.
    pub halving: f64,
    /// P(a cheat answers a hidden question right all the same).
    pub cheat: f64,
    /// Nats of evidence against a member at which it is caught.
    pub alarm: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            needed: 3,
            tolerance_nats: 0.1,
            tolerance_nats_per_token: 0.005,
            probability: 0.5,
            probability_least: 0.02,
            halving: 5.0,
            cheat: 0.1,
            alarm: 9.0,
        }
    }
}

/// What a member's audits have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Audits {
    /// Claims confirmed, less those that fell short of what was recomputed.
    pub claims: u32,
    /// Hidden questions to the writer.
    pub writer: Hidden,
    /// Hidden candidates to the judge.
    pub judge: Hidden,
}

/// What hidden audits of one role have come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hidden {
    /// How many there were.
    pub seen: u32,
    /// Nats of evidence that it is not what its record says, >= 0.
    pub alarm: f64,
}

/// An audit's result.
#[derive(Clone, Debug, PartialEq)]
pub enum Audited {
    /// A claim was recomputed.
    Claim { finding: Finding, auditor: Auditor },
    /// It answered a hidden question of this kind.
    Wrote { kind: KindId, right: bool },
    /// It put a right one of hidden candidates first, or did not.
    Judged { right: bool },
}

/// Whose word an audit is, and where it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auditor {
    /// The gateway's own, on an answer of the exam.
    InExam,
    /// The gateway's own, on an answer of a round.
    InRound,
    /// Another member, which may lie as well.
    Member,
}

/// A claim beside what was recomputed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    Confirmed,
    /// It claimed less certainty than its weights have: that wins nothing, and is no proof.
    Short,
    /// It claimed more certainty than its weights have.
    Refuted,
}

impl Finding {
    /// A name for metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Short => "short",
            Self::Refuted => "refuted",
        }
    }
}

/// Holds a claim (natural log-probability of a text of `tokens` tokens) against what the same
/// weights gave elsewhere.
pub fn compare(claimed: f64, recomputed: f64, tokens: u32, settings: &Settings) -> Finding {
    let tolerance = settings.tolerance_nats + settings.tolerance_nats_per_token * f64::from(tokens);
    let over = claimed - recomputed;
    if over.abs() <= tolerance {
        Finding::Confirmed
    } else if over < 0.0 {
        Finding::Short
    } else {
        // Also where one of the two is no number.
        Finding::Refuted
    }
}

/// The record after an audit. Pure; [`Record::caught`] has counted up when the member was caught.
pub fn after(before: &Record, audited: &Audited, settings: &crate::reputation::Settings) -> Record {
    let mut record = before.clone();
    let rules = &settings.audit;
    match audited {
        Audited::Claim { finding: Finding::Refuted, auditor: Auditor::Member } => {
            // One word against another: it is not believed, and not punished either.
            record.audits.claims = 0;
        }
        Audited::Claim { finding: Finding::Refuted, .. } => return before.caught(),
        Audited::Claim { finding: Finding::Short, .. } => {
            record.audits.claims = record.audits.claims.saturating_sub(1);
        }
        Audited::Claim { finding: Finding::Confirmed, auditor } => {
            let known = record.audits.claims;
            let most = match auditor {
                Auditor::InExam => rules.needed.saturating_sub(1).max(known),
                Auditor::InRound | Auditor::Member => u32::MAX,
            };
            record.audits.claims = known.saturating_add(1).min(most);
        }
        Audited::Wrote { kind, right } => {
            let expected = lower(before.kinds.get(kind).copied().unwrap_or_default(), settings);
            record.audits.writer = before.audits.writer.after(*right, expected, rules);
        }
        Audited::Judged { right } => {
            let expected = lower(before.judge, settings);
            record.audits.judge = before.audits.judge.after(*right, expected, rules);
        }
    }
    if matches!(audited, Audited::Claim { .. }) {
        record.claims_count = record.audits.confirmed(rules);
    }
    let alarm = record.audits.writer.alarm.max(record.audits.judge.alarm);
    if alarm >= rules.alarm { before.caught() } else { record }
}

impl Audits {
    /// Its claims may count.
    pub fn confirmed(&self, settings: &Settings) -> bool {
        self.claims >= settings.needed
    }

    /// Audits of all kinds that it went through without being caught.
    pub fn passed(&self) -> u32 {
        self.claims.saturating_add(self.writer.seen).saturating_add(self.judge.seen)
    }

    /// Whether what happened since `before` spoke for the member.
    pub fn went_well_since(&self, before: &Self) -> bool {
        let alarm = |audits: &Self| audits.writer.alarm + audits.judge.alarm;
        self.claims >= before.claims && alarm(self) <= alarm(before)
    }

    /// P(its next claim is audited).
    pub fn claim_probability(&self, settings: &Settings) -> f64 {
        probability(self.claims.saturating_sub(settings.needed), settings)
    }
}

impl Hidden {
    /// P(it is audited in its next round). Who gives cause for suspicion is watched like a newcomer.
    pub fn probability(&self, settings: &Settings) -> f64 {
        if self.alarm >= 1.0 { settings.probability } else { probability(self.seen, settings) }
    }

    fn after(self, right: bool, expected: f64, settings: &Settings) -> Self {
        // Of whom nothing is expected, nothing can be missed; and nobody is perfect.
        let expected = expected.clamp(settings.cheat, 0.95_f64.max(settings.cheat));
        let evidence = if right {
            (settings.cheat / expected).ln()
        } else {
            ((1.0 - settings.cheat) / (1.0 - expected)).ln()
        };
        Self { seen: self.seen.saturating_add(1), alarm: (self.alarm + evidence).max(0.0) }
    }
}

fn probability(passed: u32, settings: &Settings) -> f64 {
    let left = (-f64::from(passed) / settings.halving.max(1e-9)).exp2();
    settings.probability_least + (settings.probability - settings.probability_least) * left
}

/// The accuracy that its record surely has: an exam of a few lucky answers promises little.
fn lower(seen: Beta, settings: &crate::reputation::Settings) -> f64 {
    seen.quantile(settings.quantile)
}

#[cfg(test)]
mod tests;
