//! The deadlines of one round.

use std::time::Duration;

use tokio::time::Instant;

use shoal_consensus::RoundSettings;

/// Kept free at the end for ranking and sending.
const RESERVE: Duration = Duration::from_millis(50);

/// The deadlines of one round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
    /// Until then the round waits for busy members.
    pub(crate) patience: Instant,
    /// Deadline of the writers.
    pub(crate) generate_end: Instant,
    /// Deadline of the judges, and of the writers in a round without any candidate.
    pub(crate) end: Instant,
}

impl Clock {
    /// Starts a round that has `whole` for everything.
    pub(crate) fn start(whole: Duration, config: &RoundSettings) -> Self {
        let start = Instant::now();
        let share = config.generate.share_of_deadline.clamp(0.0, 1.0);
        Self {
            start,
            patience: start + whole.mul_f64(config.wait_share.clamp(0.0, 1.0)),
            generate_end: start + whole.mul_f64(share),
            end: start + whole.saturating_sub(RESERVE.min(whole / 20)),
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}
