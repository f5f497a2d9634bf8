//! The clock.

use std::time::{SystemTime, UNIX_EPOCH};

/// Unix time now, in seconds. A clock that is set before 1970 counts as 1970.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
