//! The settings of a replay: the sections `round` and `reputation` of the gateway's settings.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{reputation, settings::RoundSettings};

/// The gateway's settings that decide the winner, by their names in its configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The section `round`.
    pub round: RoundSettings,
    /// The section `reputation`.
    pub reputation: reputation::Settings,
    /// Whether the writers' claims of certainty count. A recorded round does not say whether they were
    /// audited.
    pub claims_count: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(RoundSettings::default(), reputation::Settings::default())
    }
}

/// Why a change of settings is invalid.
#[derive(Debug, thiserror::Error)]
pub enum SettingError {
    /// It has no `=`.
    #[error("{0}: a setting is name=value")]
    NotAChange(String),
    /// No setting has this name.
    #[error("there is no setting {0} that a replay could change (round.*, reputation.*)")]
    Unknown(String),
    /// The value has the wrong type.
    #[error("{change}: {why}")]
    DoesNotFit { change: String, why: String },
}

impl Settings {
    /// The settings of a gateway, without probation: only members that passed their exam judge, and
    /// recorded rounds do not contain the exams.
    pub fn new(round: RoundSettings, reputation: reputation::Settings) -> Self {
        let reputation = reputation::Settings {
            probation_items: 0,
            // If all answers differ, the crowd calls all but one of them wrong.
            probation_right: 0.0,
            ..reputation
        };
        Self { round, reputation, claims_count: false }
    }

    /// These settings with a change such as `round.rank.lambda=0.5`.
    ///
    /// # Errors
    /// If there is no such setting, or the value does not fit it.
    pub fn with(&self, change: &str) -> Result<Self, SettingError> {
        let Some((path, value)) = change.split_once('=') else {
            return Err(SettingError::NotAChange(change.to_owned()));
        };
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        let mut settings =
            serde_json::to_value(self).map_err(|error| SettingError::new(change, &error))?;
        let Some(slot) = settings.pointer_mut(&format!("/{}", path.replace('.', "/"))) else {
            return Err(SettingError::Unknown(path.to_owned()));
        };
        *slot = value;
        serde_json::from_value(settings).map_err(|error| SettingError::new(change, &error))
    }
}

impl SettingError {
    fn new(change: &str, error: &serde_json::Error) -> Self {
        Self::DoesNotFit { change: change.to_owned(), why: error.to_string() }
    }
}
