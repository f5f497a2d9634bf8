//! The default effort of the swarm, and the bounds of what a request may ask for.

use std::time::Duration;

use crate::ask::{Effort, Mode};

/// Defaults and bounds of [`Effort`], set by the operator.
#[derive(Clone, Debug, PartialEq, serde::Deserialize, serde::Serialize)]
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
    /// P(right) below which an answer is an error instead, in [0, 1]. 0: every answer is sent.
    pub min_confidence: f64,
    /// Whether an unknown field is refused instead of ignored.
    pub strict: bool,
    /// The first three for [`Mode::Fast`].
    pub fast: Size,
    /// The first three for [`Mode::Deep`].
    pub deep: Size,
}

/// How many take part in a round of one mode, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    pub writers: usize,
    pub judges: usize,
    pub deadline_ms: u64,
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
            min_confidence: 0.0,
            strict: false,
            fast: Size { writers: 3, judges: 2, deadline_ms: 20_000 },
            deep: Size { writers: 15, judges: 9, deadline_ms: 180_000 },
        }
    }
}

impl Limits {
    /// The effort of a request that states only its mode.
    pub fn effort(&self, mode: Mode) -> Effort {
        let size = self.size(mode);
        Effort {
            writers: size.writers,
            judges: size.judges,
            deadline: Duration::from_millis(size.deadline_ms),
            mode,
            fusion: false,
            min_confidence: self.min_confidence,
        }
    }

    fn size(&self, mode: Mode) -> Size {
        let Self { writers, judges, deadline_ms, .. } = *self;
        match mode {
            Mode::Balanced => Size { writers, judges, deadline_ms },
            Mode::Fast => self.fast,
            Mode::Deep => self.deep,
        }
    }

    /// Checks that the defaults are within the bounds.
    ///
    /// # Errors
    /// The key that is out of bounds, and its bounds.
    pub fn check(&self) -> Result<(), String> {
        for (mode, section) in [(Mode::Balanced, ""), (Mode::Fast, "fast."), (Mode::Deep, "deep.")]
        {
            self.check_size(self.size(mode)).map_err(|why| format!("{section}{why}"))?;
        }
        if !(0.0..=1.0).contains(&self.min_confidence) {
            return Err(format!("min_confidence is {}: give 0 to 1", self.min_confidence));
        }
        Ok(())
    }

    fn check_size(&self, size: Size) -> Result<(), String> {
        if size.writers == 0 || size.writers > self.writers_max {
            return Err(format!(
                "writers is {}: give 1 to writers_max ({})",
                size.writers, self.writers_max
            ));
        }
        if size.judges > self.judges_max {
            return Err(format!(
                "judges is {}: give at most judges_max ({})",
                size.judges, self.judges_max
            ));
        }
        if !(self.deadline_ms_min..=self.deadline_ms_max).contains(&size.deadline_ms) {
            return Err(format!(
                "deadline_ms is {}: give deadline_ms_min ({}) to deadline_ms_max ({})",
                size.deadline_ms, self.deadline_ms_min, self.deadline_ms_max
            ));
        }
        Ok(())
    }
}
