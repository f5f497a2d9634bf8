//! When an endpoint answers nothing: it is left alone for a while, longer each time.

use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row after which the endpoint is left alone: too many to be chance.
const FAILURES: u32 = 4;

/// The first wait; it doubles with each trial that fails.
const WAIT_FIRST: Duration = Duration::from_secs(5);

/// The longest wait, so that an owner who has repaired the endpoint does not wait longer.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// Counts what an endpoint refuses.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// Set while the endpoint is left alone.
    trial: Option<Instant>,
    /// The request that goes out after a wait is under way.
    in_trial: bool,
    wait: Duration,
}

impl Breaker {
    /// Whether a request may go out at `now`; otherwise how long to wait. After a wait one request
    /// goes out alone.
    pub(super) fn admit(&mut self, now: Instant) -> Result<(), Duration> {
        match self.trial {
            Some(trial) if now < trial => Err(trial - now),
            Some(_) => {
                (self.trial, self.in_trial) = (Some(now + self.wait), true);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Whether the endpoint is left alone, or asked for the first time after that.
    pub(super) fn is_open(&self) -> bool {
        self.trial.is_some()
    }

    /// The endpoint has answered. Returns whether it was left alone.
    pub(super) fn succeed(&mut self) -> bool {
        std::mem::take(self).trial.is_some()
    }

    /// The endpoint has refused. Returns the wait, if this is when it begins to be left alone.
    pub(super) fn fail(&mut self, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        if self.trial.is_none() {
            return (self.failures >= FAILURES).then(|| self.open(now));
        }
        // Other requests that were under way give no new information.
        if self.in_trial {
            self.open(now);
        }
        None
    }

    /// Leaves the endpoint alone from `now` on; returns for how long.
    pub(super) fn open(&mut self, now: Instant) -> Duration {
        self.wait = self.wait.saturating_mul(2).clamp(WAIT_FIRST, WAIT_MAX);
        (self.trial, self.in_trial) = (Some(now + self.wait), false);
        self.wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_refuses_everything_is_asked_ever_more_seldom() {
        let (mut breaker, start) = (Breaker::default(), Instant::now());
        let mut request_count = 0;
        for second in 0..3600 {
            let now = start + Duration::from_secs(second);
            // Four at a time, as an exam asks.
            let admitted = (0..4).filter(|_| breaker.admit(now).is_ok()).count();
            request_count += admitted;
            for _ in 0..admitted {
                breaker.fail(now);
            }
        }
        // Four, then after 5, 10 .. 160 s one each, then one every 300 s.
        assert_eq!(request_count, 4 + 6 + 10);
    }

    #[test]
    fn one_answer_ends_the_wait_and_the_count() {
        let (mut breaker, now) = (Breaker::default(), Instant::now());
        (0..3).for_each(|_| assert_eq!(breaker.fail(now), None));
        assert!(!breaker.succeed());
        (0..3).for_each(|_| assert_eq!(breaker.fail(now), None));
        assert_eq!(breaker.fail(now), Some(WAIT_FIRST));
        assert_eq!(breaker.fail(now), None, "it was under way");
        assert_eq!(breaker.admit(now), Err(WAIT_FIRST));
        assert!(breaker.admit(now + WAIT_FIRST).is_ok());
        assert!(breaker.admit(now + WAIT_FIRST).is_err(), "one goes out alone");
        assert!(breaker.succeed());
        assert!(breaker.admit(now).is_ok());
    }
}
