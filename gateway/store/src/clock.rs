//! The clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Unix time now, in seconds. A clock that is set before 1970 counts as 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Unix time that never jumps: the time at its creation and what has passed since. A machine without a
/// clock of its own starts in 1970 and is corrected later, which must not make records old.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SteadyClock {
    start_seconds: u64,
    start: Instant,
}

impl SteadyClock {
    pub(crate) fn start() -> Self {
        Self { start_seconds: unix_now(), start: Instant::now() }
    }

    /// Seconds since 1970.
    pub(crate) fn now(&self) -> u64 {
        self.start_seconds.saturating_add(self.start.elapsed().as_secs())
    }
}
