//! How hard the swarm works when nobody says otherwise, and how hard it may be asked to work.

use std::time::Duration;

use super::Effort;

/// Defaults and bounds of [`Effort`], set by the operator.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Members that write an answer: N.
    pub writers: usize,
    /// Members that judge the answers: M.
    pub judges: usize,
    /// Time for a whole round, in milliseconds.
    pub deadline_ms: u64,
    /// Most writers that one request may ask for.
    pub writers_max: usize,
    /// Most judges that one request may ask for.
    pub judges_max: usize,
    /// Shortest deadline that one request may ask for, in milliseconds.
    pub deadline_ms_min: u64,
    /// Longest deadline that one request may ask for, in milliseconds.
    pub deadline_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            writers: 5,
            judges: 3,
            deadline_ms: 60_000,
            writers_max: 16,
            judges_max: 16,
            deadline_ms_min: 100,
            deadline_ms_max: 300_000,
        }
    }
}

impl Limits {
    /// What a request gets that says nothing.
    pub fn effort(&self) -> Effort {
        Effort {
            writers: self.writers,
            judges: self.judges,
            deadline: Duration::from_millis(self.deadline_ms),
        }
    }

    /// Holds the defaults against the bounds.
    ///
    /// # Errors
    /// The key that does not fit, and what would.
    pub fn check(&self) -> Result<(), String> {
        if self.writers == 0 || self.writers > self.writers_max {
            return Err(format!(
                "writers is {}: give 1 to writers_max ({})",
                self.writers, self.writers_max
            ));
        }
        if self.judges > self.judges_max {
            return Err(format!(
                "judges is {}: give at most judges_max ({})",
                self.judges, self.judges_max
            ));
        }
        if !(self.deadline_ms_min..=self.deadline_ms_max).contains(&self.deadline_ms) {
            return Err(format!(
                "deadline_ms is {}: give deadline_ms_min ({}) to deadline_ms_max ({})",
                self.deadline_ms, self.deadline_ms_min, self.deadline_ms_max
            ));
        }
        Ok(())
    }
}
