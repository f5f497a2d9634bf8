//! What a replay may change: the sections `round` and `reputation` of the gateway's settings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{reputation, settings::RoundSettings};

/// The gateway's settings that decide who wins, by the names that they have in its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub round: RoundSettings,
    pub reputation: reputation::Settings,
    /// Takes the writers' claims of certainty as audited. A file cannot tell whether they were.
    pub claims_count: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(RoundSettings::default(), reputation::Settings::default())
    }
}

/// A setting that is none.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    #[error("{0}: a setting is name=value")]
    NotAChange(String),
    #[error("there is no setting {0} that a replay could change (round.*, reputation.*)")]
    Unknown(String),
    #[error("{change}: {why}")]
    DoesNotFit { change: String, why: String },
}

impl Settings {
    /// Those of a gateway, whose members have all passed its exam: nobody else is asked to judge,
    /// and recorded rounds do not hold the exams.
    pub fn new(round: RoundSettings, reputation: reputation::Settings) -> Self {
        let reputation = reputation::Settings {
            probation_items: 0,
            // Nor to be right often: where every answer is its own, the crowd calls all but one wrong.
            probation_right: 0.0,
            ..reputation
        };
        Self { round, reputation, claims_count: false }
    }

    /// With `round.rank.lambda=0.5` and the like.
    ///
    /// # Errors
    /// When there is no such setting, or the value does not fit it.
    pub fn with(&self, change: &str) -> Result<Self, SettingError> {
        let Some((path, value)) = change.split_once('=') else {
            return Err(SettingError::NotAChange(change.to_owned()));
        };
        let does_not_fit = |error: serde_json::Error| SettingError::DoesNotFit {
            change: change.to_owned(),
            why: error.to_string(),
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut all = serde_json::to_value(self).map_err(does_not_fit)?;
        let Some(slot) = all.pointer_mut(&format!("/{}", path.replace('.', "/"))) else {
            return Err(SettingError::Unknown(path.to_owned()));
        };
        *slot = value;
        serde_json::from_value(all).map_err(does_not_fit)
    }
}
