//! How much time a round has, and for what.

use std::time::Duration;

use tokio::time::Instant;

use shoal_consensus::RoundSettings;

/// Left at the end for ranking and sending.
const REST: Duration = Duration::from_millis(50);

/// One round's time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    /// Until then a round waits for busy members.
    pub(crate) patience: Instant,
    /// Writing must be done by then.
    pub(crate) writing: Instant,
    /// Judging must be done by then, and writing in a round that has nothing yet.
    pub(crate) end: Instant,
}

impl Clock {
    pub(crate) fn start(whole: Duration, config: &RoundSettings) -> Self {
        let started = Instant::now();
        let share = config.generate.share_of_deadline.clamp(0.0, 1.0);
        Self {
            started,
            patience: started + whole.mul_f64(config.wait_share.clamp(0.0, 1.0)),
            writing: started + whole.mul_f64(share),
            end: started + whole.saturating_sub(REST.min(whole / 20)),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}
