//! So many a minute: a token bucket, which fills evenly and holds one minute's worth, so that who
//! was quiet may burst. Pure: time is handed in, as what has passed since any fixed moment.

use std::time::Duration;

const MINUTE: f64 = 60.0;

/// How much of something is left to take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// What it holds, and what flows in within a minute; above 0.
    size: f64,
    /// What it held at `at`; below 0 when more was taken than was there.
    level: f64,
    at: Duration,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_minute: u64) -> Self {
        Self { size: per_minute.max(1) as f64, level: f64::INFINITY, at: Duration::ZERO }
    }

    fn level(&self, now: Duration) -> f64 {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        (self.level + passed * self.size / MINUTE).min(self.size)
    }

    /// How long until `amount` is there.
    pub(super) fn wait(&self, amount: f64, now: Duration) -> Duration {
        let missing = amount.min(self.size) - self.level(now);
        Duration::from_secs_f64((missing * MINUTE / self.size).max(0.0))
    }

    /// Takes `amount`, there or not: what is known only afterwards may be more than was left.
    pub(super) fn take(&mut self, amount: f64, now: Duration) {
        self.level = self.level(now) - amount;
        self.at = now;
    }

    /// What it holds when it is full.
    pub(super) fn limit(&self) -> u64 {
        self.size as u64
    }

    /// What can be taken now.
    pub(super) fn remaining(&self, now: Duration) -> u64 {
        // A float that is negative becomes 0.
        self.level(now) as u64
    }

    /// How long until it is full again.
    pub(super) fn reset(&self, now: Duration) -> Duration {
        self.wait(self.size, now)
    }
}

/// A duration as Go writes it, which clients parse: `12ms`, `1.5s`, `6m0s`.
pub(super) fn go(duration: Duration) -> String {
    // Up, so that who waits so long does not come too early.
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
    fn a_full_bucket_gives_a_minutes_worth_and_then_one_as_it_flows_in() {
        let mut bucket = Bucket::new(60);
        assert_eq!((bucket.remaining(s(5)), bucket.reset(s(5))), (60, s(0)));
        (0..60).for_each(|_| bucket.take(1.0, s(5)));
        assert_eq!((bucket.remaining(s(5)), bucket.wait(1.0, s(5))), (0, s(1)));
        assert_eq!((bucket.remaining(s(6)), bucket.wait(1.0, s(6))), (1, s(0)));
        assert_eq!(bucket.reset(s(6)), s(59));
        assert_eq!(bucket.remaining(s(600)), 60, "never more than a minute's worth");
    }

    #[test]
    fn what_was_taken_beyond_its_end_is_waited_for() {
        let mut bucket = Bucket::new(600);
        bucket.take(900.0, s(0));
        assert_eq!(bucket.remaining(s(0)), 0);
        assert_eq!(bucket.wait(0.0, s(0)), s(30));
        assert_eq!(bucket.reset(s(0)), s(90));
        assert_eq!(bucket.wait(1e9, s(0)), s(90), "no more than it holds is waited for");
    }

    #[test]
    fn durations_are_written_as_go_does() {
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
        fn who_waits_as_long_as_it_is_told_gets_it(
            per_minute in 1u64..1_000_000,
            taken in proptest::collection::vec((0.0..5_000.0f64, 0u64..10_000), 0..20),
        ) {
            let mut bucket = Bucket::new(per_minute);
            let mut now = Duration::ZERO;
            for (amount, ms) in taken {
                now += Duration::from_millis(ms);
                bucket.take(amount, now);
            }
            let wait = bucket.wait(1.0, now);
            prop_assert!(bucket.wait(1.0, now + wait) < Duration::from_millis(1));
            prop_assert!(bucket.remaining(now) <= per_minute);
            prop_assert!(bucket.reset(now) >= wait);
        }
    }
}
