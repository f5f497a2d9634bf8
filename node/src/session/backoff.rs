//! How long to wait before the next try to reach a gateway. Pure: time and chance are handed in.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The first wait: short enough that nobody notices a gateway's restart.
pub const FIRST: Duration = Duration::from_millis(500);

/// The longest wait, unless the gateway asks for more: a gateway that restarts has its swarm within a minute.
pub const CAP: Duration = Duration::from_secs(30);

/// After a link that lasted this long, the waits start again from the first. The welcome alone does not
/// count, so that a gateway that welcomes and drops a node at once is not flooded.
pub const STEADY: Duration = Duration::from_secs(30);

/// The longest wait that a gateway may ask for: after a longer one the owner would think the node dead.
pub const RETRY_MAX: Duration = Duration::from_secs(600);

/// Doubling waits with jitter, so that a thousand nodes do not return in the same moment.
#[derive(Debug)]
pub struct Backoff {
    failures: u32,
    admitted_at: Option<Instant>,
    chance: ChaCha8Rng,
}

impl Backoff {
    /// The same seed gives the same waits.
    pub fn new(seed: u64) -> Self {
        Self { failures: 0, admitted_at: None, chance: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The node became a member at `now`.
    pub fn admit(&mut self, now: Instant) {
        self.admitted_at = Some(now);
    }

    /// How long to wait after a try that failed, or a link that was lost, at `now`; never less
    /// than the gateway's `retry` (up to [`RETRY_MAX`]).
    pub fn after_failure(&mut self, now: Instant, retry: Option<Duration>) -> Duration {
        let uptime = self.admitted_at.take().map(|since| now.saturating_duration_since(since));
        if uptime.is_some_and(|uptime| uptime >= STEADY) {
            self.failures = 0;
        }
        // 2^6 halves of a second are already over the cap.
        let ceiling = FIRST.saturating_mul(1 << self.failures.min(6)).min(CAP);
        self.failures = self.failures.saturating_add(1);
        let own = ceiling.mul_f64(self.chance.random_range(0.5..=1.0));
        let retry = retry.unwrap_or_default().min(RETRY_MAX);
        own.max(retry.mul_f64(self.chance.random_range(1.0..=1.25)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::session::now as clock;

    proptest! {
        #[test]
        fn a_wait_is_never_over_the_cap_unless_the_gateway_asks(seed: u64, tries in 1usize..40) {
            let mut backoff = Backoff::new(seed);
            let now = clock();
            for _ in 0..tries {
                let wait = backoff.after_failure(now, None);
                prop_assert!(wait >= FIRST / 2 && wait <= CAP);
            }
        }

        #[test]
        fn what_the_gateway_asks_for_is_honoured(seed: u64, asked_ms in 0u64..2_000_000) {
            let retry = Duration::from_millis(asked_ms);
            let wait = Backoff::new(seed).after_failure(clock(), Some(retry));
            prop_assert!(wait >= retry.min(RETRY_MAX));
            prop_assert!(wait <= RETRY_MAX.mul_f64(1.25));
        }

        #[test]
        fn waits_grow_until_the_cap(seed: u64) {
            let mut backoff = Backoff::new(seed);
            let now = clock();
            let waits: Vec<_> = (0..12).map(|_| backoff.after_failure(now, None)).collect();
            // Jitter takes at most half, doubling gives it back: no wait is shorter than the one
            // two tries before, and the last is near the cap.
            for (earlier, later) in waits.iter().zip(waits.iter().skip(2)) {
                prop_assert!(*later >= (*earlier).min(CAP / 2));
            }
            prop_assert!(waits[11] >= CAP / 2);
        }

        #[test]
        fn a_short_life_does_not_start_the_count_anew(seed: u64, lived_ms in 0u64..29_999) {
            let mut backoff = Backoff::new(seed);
            let now = clock();
            for _ in 0..10 {
                backoff.after_failure(now, None);
            }
            backoff.admit(now);
            prop_assert!(backoff.after_failure(now + Duration::from_millis(lived_ms), None) >= CAP / 2);
        }

        #[test]
        fn a_steady_life_does(seed: u64) {
            let mut backoff = Backoff::new(seed);
            let now = clock();
            for _ in 0..10 {
                backoff.after_failure(now, None);
            }
            backoff.admit(now);
            prop_assert!(backoff.after_failure(now + STEADY, None) <= FIRST);
        }
    }

    #[test]
    fn two_nodes_do_not_wait_the_same() {
        let now = clock();
        let waits = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..5).map(|_| backoff.after_failure(now, None)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
