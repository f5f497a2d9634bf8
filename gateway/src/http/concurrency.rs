//! How many requests may run at the same time so that the most answers come. With too many, members answer
//! late, rounds ask more of them, and deadlines pass: six bundled nodes on two cores gave a fifth of their best
//! rate to 128 clients. The best number depends on machines that the gateway does not see, so it is found by
//! trying: while requests are refused, the limit takes steps, and turns round when a step cost throughput.
//! Pure: the caller passes the time since a fixed moment.

use std::time::Duration;

/// Requests that may always run.
const MIN: f64 = 4.0;

/// Requests that may run at first, however few slots the members have: a burst of one client.
const BURST: usize = 16;

/// A round takes three members' slots or more, and members queue as much as they run. More requests than
/// twice the slots can only wait.
const PER_SLOT_MAX: usize = 2;

/// The share by which a step changes the limit.
const STEP: f64 = 0.25;

/// The share of the throughput that a step may cost by chance.
const NOISE: f64 = 0.03;

/// Time and answers that a throughput is measured over; without so many answers, at most the longer time.
const WINDOW: Duration = Duration::from_secs(1);
const WINDOW_ANSWERS: usize = 16;
const WINDOW_MAX: Duration = Duration::from_secs(20);

/// After so much time without a step the limit begins anew.
const PAUSE: Duration = Duration::from_secs(60);

/// The limit and the measurement of the step that led to it.
#[derive(Debug)]
pub(super) struct ConcurrencyLimit {
    /// The largest limit that is configured.
    configured_max: usize,
    /// Slots of all members when the limit was last set to them.
    slots: usize,
    limit: f64,
    /// Whether the last step was up.
    is_rising: bool,
    /// Tokens per second before the last step, if requests were refused then.
    before: Option<f64>,
    window: Window,
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    start: Duration,
    answers: usize,
    /// Tokens of the answers.
    tokens: f64,
    /// Whether a request was refused.
    is_full: bool,
}

impl ConcurrencyLimit {
    /// At most `configured_max`; what the members can do is not known yet.
    pub(super) fn new(configured_max: usize) -> Self {
        Self {
            configured_max,
            slots: 0,
            limit: configured_max.min(BURST) as f64,
            is_rising: false,
            before: None,
            window: Window::default(),
        }
    }

    /// The limit while members have so many slots. When their number changes, it starts from there.
    pub(super) fn for_slots(&mut self, slots: usize) -> usize {
        if slots != self.slots {
            self.slots = slots;
            self.limit = self.first_limit();
            self.before = None;
        }
        // Between 1 and `configured_max`.
        self.limit as usize
    }

    fn first_limit(&self) -> f64 {
        self.configured_max.min(self.slots.max(BURST)) as f64
    }

    /// Counts a request that was refused.
    pub(super) fn refuse(&mut self, now: Duration) {
        self.window.is_full = true;
        self.step(now);
    }

    /// Counts an answer of so many tokens, those of its prompt included.
    pub(super) fn finish(&mut self, tokens: f64, now: Duration) {
        self.window.answers += 1;
        self.window.tokens += tokens;
        self.step(now);
    }

    /// Takes a step if the window is over.
    fn step(&mut self, now: Duration) {
        let Window { start, answers, tokens, is_full } = self.window;
        let elapsed = now.saturating_sub(start);
        if elapsed < WINDOW || (answers < WINDOW_ANSWERS && elapsed < WINDOW_MAX) {
            return;
        }
        self.window = Window { start: now, ..Window::default() };
        if !is_full || elapsed > PAUSE {
            // The clients asked for less: nothing is learned, and what was learned of a full load gets old.
            self.before = None;
            let is_old = elapsed > PAUSE;
            let more = if is_old { f64::INFINITY } else { self.limit * (1.0 + STEP) };
            self.limit = self.limit.max(more.min(self.first_limit()));
            return;
        }
        let throughput = tokens / elapsed.as_secs_f64();
        if self.before.is_some_and(|before| throughput < before * (1.0 - NOISE)) {
            self.is_rising = !self.is_rising;
        }
        self.before = Some(throughput);
        let step = if self.is_rising { 1.0 + STEP } else { 1.0 / (1.0 + STEP) };
        let max = self.configured_max.min(PER_SLOT_MAX * self.slots.max(BURST)) as f64;
        let limit = self.limit * step;
        // At an end the next step goes back: else nothing would be learned there any more.
        if limit <= MIN {
            self.is_rising = true;
        } else if limit >= max {
            self.is_rising = false;
        }
        self.limit = limit.max(MIN).min(max);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Offers far too much for so many seconds to a machine that gives `throughput` for each limit.
    fn overload(
        limit: &mut ConcurrencyLimit,
        from: u64,
        seconds: u64,
        throughput: impl Fn(usize) -> f64,
    ) -> usize {
        for second in from..from + seconds {
            let now = Duration::from_secs(second);
            limit.refuse(now);
            let tokens = throughput(limit.for_slots(24));
            for _ in 0..WINDOW_ANSWERS {
                limit.finish(tokens / WINDOW_ANSWERS as f64, now);
            }
        }
        limit.for_slots(24)
    }

    #[test]
    fn the_limit_finds_where_the_most_answers_come() {
        // The best is at 8: below it the machine idles, above it work is wasted.
        let best_at_eight = |limit: usize| 1_000.0 / (1.0 + (limit as f64 / 8.0).log2().powi(2));
        let mut limit = ConcurrencyLimit::new(1_024);
        assert_eq!(limit.for_slots(24), 24, "as many as the members have slots");
        let settled = overload(&mut limit, 1, 60, best_at_eight);
        assert!((6..=11).contains(&settled), "{settled}");
        // More machines came.
        let settled = overload(&mut limit, 61, 60, |limit| limit as f64);
        assert!((36..=48).contains(&settled), "{settled}: twice the slots at most");
    }

    #[test]
    fn without_refusals_nothing_changes() {
        let mut limit = ConcurrencyLimit::new(1_024);
        limit.for_slots(24);
        for second in 1..100 {
            (0..100).for_each(|_| limit.finish(1.0, Duration::from_secs(second)));
        }
        assert_eq!(limit.for_slots(24), 24);
    }

    #[test]
    fn a_limit_that_was_low_for_an_overload_comes_back() {
        let mut limit = ConcurrencyLimit::new(1_024);
        let best_alone = |limit: usize| 1_000.0 / limit as f64;
        assert!(overload(&mut limit, 1, 60, best_alone) < 8);
        for second in 61..72 {
            (0..100).for_each(|_| limit.finish(1.0, Duration::from_secs(second)));
        }
        assert_eq!(limit.for_slots(24), 24, "within seconds of a lighter load");
        assert!(overload(&mut limit, 72, 60, best_alone) < 8);
        limit.refuse(Duration::from_secs(1_000));
        assert_eq!(limit.for_slots(24), 24, "at once after a pause");
    }

    #[test]
    fn the_configured_maximum_holds() {
        let mut limit = ConcurrencyLimit::new(1);
        assert_eq!(limit.for_slots(100), 1);
        let settled = overload(&mut limit, 1, 10, |limit| limit as f64);
        assert_eq!(settled, 1);
    }
}
