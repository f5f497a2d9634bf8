//! A token bucket. It fills at a constant rate and holds the amount of one minute, so that a quiet
//! caller may send a burst. Pure: the caller passes the time since a fixed moment.
//!
//! governor is not used: it counts cells before the work and refuses a batch that does not fit. Here an
//! answer's tokens are charged afterwards, even beyond the limit, and clients are told what remains.

use std::time::Duration;

const MINUTE: f64 = 60.0;

/// The amount of a resource that may still be used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// Capacity, which is also the inflow per minute; above 0.
    size: f64,
    /// Content at the time `at`; below 0 after an overdraft.
    level: f64,
    /// Time of the last change.
    at: Duration,
}

impl Bucket {
    /// A full bucket; None for a rate of 0, which means no limit.
    pub(super) fn new(per_minute: u64) -> Option<Self> {
        let size = per_minute as f64;
        (per_minute > 0).then_some(Self { size, level: size, at: Duration::ZERO })
    }

    fn level(&self, now: Duration) -> f64 {
        let seconds = now.saturating_sub(self.at).as_secs_f64();
        (self.level + seconds * self.size / MINUTE).min(self.size)
    }

    /// Time until `amount` is available; a bucket never holds more than its capacity.
    pub(super) fn wait(&self, amount: f64, now: Duration) -> Duration {
        let deficit = amount.min(self.size) - self.level(now);
        Duration::from_secs_f64((deficit * MINUTE / self.size).max(0.0))
    }

    /// Takes `amount` even if the bucket holds less: a cost that is known afterwards may exceed it.
    pub(super) fn take(&mut self, amount: f64, now: Duration) {
        self.level = self.level(now) - amount;
        self.at = now;
    }

    /// The capacity.
    pub(super) fn limit(&self) -> u64 {
        self.size as u64
    }

    /// The amount that is available now.
    pub(super) fn available(&self, now: Duration) -> u64 {
        // The cast turns a negative level into 0.
        self.level(now) as u64
    }

    /// Time until the bucket is full.
    pub(super) fn reset(&self, now: Duration) -> Duration {
        self.wait(self.size, now)
    }
}

/// A duration in Go's format, which clients parse: `12ms`, `1.5s`, `6m0s`.
pub(super) fn go(duration: Duration) -> String {
    // Rounded up, so that a client that waits this long is not too early.
    let ms = duration.as_nanos().div_ceil(1_000_000);
    match ms {
        0 => "0s".to_owned(),
        1..1_000 => format!("{ms}ms"),
        _ => {
            let (minutes, rest) = (ms / 60_000, ms % 60_000);
            let (seconds, ms) = (rest / 1_000, rest % 1_000);
            let part = if ms == 0 { String::new() } else { format!(".{ms:03}") };
            let seconds = format!("{seconds}{}s", part.trim_end_matches('0'));
            let (hours, minutes) = (minutes / 60, minutes % 60);
            match (hours, minutes) {
                (0, 0) => seconds,
                (0, _) => format!("{minutes}m{seconds}"),
                _ => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_full_bucket_gives_the_amount_of_a_minute_and_then_refills() {
        let mut bucket = Bucket::new(60).expect("a limit");
        assert_eq!((bucket.available(s(5)), bucket.reset(s(5))), (60, s(0)));
        (0..60).for_each(|_| bucket.take(1.0, s(5)));
        assert_eq!((bucket.available(s(5)), bucket.wait(1.0, s(5))), (0, s(1)));
        assert_eq!((bucket.available(s(6)), bucket.wait(1.0, s(6))), (1, s(0)));
        assert_eq!(bucket.reset(s(6)), s(59));
        assert_eq!(bucket.available(s(600)), 60, "never more than the amount of a minute");
    }

    #[test]
    fn an_overdraft_makes_the_next_request_wait() {
        let mut bucket = Bucket::new(600).expect("a limit");
        bucket.take(900.0, s(0));
        assert_eq!(bucket.available(s(0)), 0);
        assert_eq!(bucket.wait(0.0, s(0)), s(30));
        assert_eq!(bucket.reset(s(0)), s(90));
        assert_eq!(
            bucket.wait(1e9, s(0)),
            s(90),
            "the wait is never longer than for a full bucket"
        );
    }

    #[test]
    fn durations_have_the_format_of_go() {
        let cases = [(0, "0s"), (12, "12ms"), (1_000, "1s"), (1_500, "1.5s"), (59_001, "59.001s")];
        for (ms, text) in cases {
            assert_eq!(go(Duration::from_millis(ms)), text);
        }
        assert_eq!(go(s(360)), "6m0s");
        assert_eq!(go(s(3_720)), "1h2m0s");
        assert_eq!(go(Duration::from_nanos(1)), "1ms", "never too early");
    }

    proptest! {
        #[test]
        fn the_amount_is_available_after_the_wait(
            per_minute in 1u64..1_000_000,
            charges in proptest::collection::vec((0.0..5_000.0f64, 0u64..10_000), 0..20),
        ) {
            let mut bucket = Bucket::new(per_minute).expect("a limit");
            let mut now = Duration::ZERO;
            for (amount, ms) in charges {
                now += Duration::from_millis(ms);
                bucket.take(amount, now);
            }
            let wait = bucket.wait(1.0, now);
            prop_assert!(bucket.wait(1.0, now + wait) < Duration::from_millis(1));
            prop_assert!(bucket.available(now) <= per_minute);
            prop_assert!(bucket.reset(now) >= wait);
        }
    }
}
