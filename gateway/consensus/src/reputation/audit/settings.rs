//! The settings of audits.

use serde::{Deserialize, Serialize};

/// When claims count, how often members are audited, and when a member is caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Claims that must be confirmed before a member's certainty counts. Claims from its exam, which a
    /// cheat would recognise, can be all but one of them.
    pub needed: u32,
    /// Nats by which a claim may differ from the recomputed value: the same weights on another
    /// machine differ by rounding (measured below .001 a token).
    pub tolerance_nats: f64,
    /// Added to this for each token of the text.
    pub tolerance_nats_per_token: f64,
    /// P(a newcomer is audited in a round), for each of: its claim, its answer, its verdict.
    pub probability: f64,
    /// The limit of this probability after many audits.
    pub probability_least: f64,
    /// Audits passed after which the probability has fallen half of the way to its limit.
    pub halving: f64,
    /// P(a cheat answers a hidden question right).
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
