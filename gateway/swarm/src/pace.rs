//! How fast a member answers: first by its exam, then by its own last answers. A machine is slower when its
//! owner plays a game on it, and faster when the exams of its neighbours are over.

use std::{collections::VecDeque, time::Duration};

/// Weight of the newest answer in the means.
const NEWEST: f64 = 0.2;

/// First pieces that the quantile is of.
const KEEP: usize = 40;

/// First pieces without which nothing is known of a quantile.
const COUNT_MIN: usize = 8;

/// How fast a member writes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// Tokens per second after the first token, as the member counts them; 0 when not measured.
    pub tokens_per_second: f64,
    /// Bytes of text per second after the first piece: of all models in the same unit, and also known of
    /// answers that were cut off. 0 when not measured.
    pub bytes_per_second: f64,
    /// Seconds until the first token; 0 when not measured.
    pub first_token_seconds: f64,
    /// Seconds within which 95 % of its last answers began; 0 while too few are known.
    pub first_token_late: f64,
}

/// The last answers of a member.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    speed: Speed,
    first_pieces: VecDeque<f64>,
}

impl Pace {
    /// What an exam has measured.
    pub(crate) fn set(&mut self, speed: Speed) {
        let Speed { first_token_late, bytes_per_second, .. } = self.speed;
        self.speed = Speed { first_token_late, bytes_per_second, ..speed };
    }

    pub(crate) fn speed(&self) -> Speed {
        self.speed
    }

    /// Learns how fast text came, of a whole answer or of one that was cut off.
    pub(crate) fn learn_bytes(&mut self, pieces: &Pieces) {
        if let Some(rate) = pieces.bytes_per_second() {
            mix(&mut self.speed.bytes_per_second, rate);
        }
    }

    /// Learns one answer of a round: when it began and ended after the ask, and its tokens.
    pub(crate) fn learn(&mut self, first_piece: Duration, took: Duration, tokens: u32) {
        if let Some(rate) = rate(first_piece, took, tokens) {
            mix(&mut self.speed.tokens_per_second, rate);
        }
        let first_piece = first_piece.as_secs_f64();
        mix(&mut self.speed.first_token_seconds, first_piece);
        self.first_pieces.push_back(first_piece);
        if self.first_pieces.len() > KEEP {
            self.first_pieces.pop_front();
        }
        if self.first_pieces.len() >= COUNT_MIN {
            let mut times: Vec<f64> = self.first_pieces.iter().copied().collect();
            times.sort_by(f64::total_cmp);
            let place = times.len() * 19 / 20;
            self.speed.first_token_late =
                times.get(place).or(times.last()).copied().unwrap_or_default();
        }
    }
}

/// When the pieces of an answer came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pieces {
    first: Option<Duration>,
    last: Duration,
    /// Bytes after the first piece.
    later_bytes: usize,
}

impl Pieces {
    /// Counts a piece that came so long after the ask.
    pub(crate) fn add(&mut self, time: Duration, bytes: usize) {
        if self.first.is_some() {
            self.later_bytes += bytes;
        }
        self.first.get_or_insert(time);
        self.last = time;
    }

    /// When the first one came after the ask.
    pub(crate) fn first(&self) -> Option<Duration> {
        self.first
    }

    /// None if too little came after the first piece to say anything: a short answer, or one that comes as
    /// a whole. The time after the last piece says nothing of the member.
    fn bytes_per_second(&self) -> Option<f64> {
        const LATER_BYTES_MIN: usize = 32;
        let time = self.last.saturating_sub(self.first?);
        (self.later_bytes >= LATER_BYTES_MIN && !time.is_zero())
            .then(|| self.later_bytes as f64 / time.as_secs_f64())
    }
}

/// Tokens per second of one answer. A short answer comes in one piece: then only its whole time is known.
pub(crate) fn rate(first_piece: Duration, took: Duration, tokens: u32) -> Option<f64> {
    let after_first = took.saturating_sub(first_piece);
    let time = if after_first < took / 4 { took } else { after_first };
    (!time.is_zero() && tokens > 0).then(|| f64::from(tokens) / time.as_secs_f64())
}

fn mix(mean: &mut f64, value: f64) {
    *mean = if *mean > 0.0 { (1.0 - NEWEST) * *mean + NEWEST * value } else { value };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_became_faster_is_soon_known_to_be() {
        let mut pace = Pace::default();
        pace.set(Speed { tokens_per_second: 4.0, first_token_seconds: 4.0, ..Speed::default() });
        for _ in 0..12 {
            pace.learn(Duration::from_millis(500), Duration::from_millis(2_500), 40);
        }
        let speed = pace.speed();
        assert!(speed.tokens_per_second > 18.0, "{speed:?}");
        assert!(speed.first_token_seconds < 1.0, "{speed:?}");
        assert!((speed.first_token_late - 0.5).abs() < 1e-9, "{speed:?}");
    }

    #[test]
    fn text_is_timed_between_its_first_and_its_last_piece() {
        let mut pieces = Pieces::default();
        // A long first piece, and the time before it, do not count.
        pieces.add(Duration::from_secs(2), 2_000);
        assert_eq!(pieces.bytes_per_second(), None);
        for n in 1..=20 {
            pieces.add(Duration::from_secs(2) + n * Duration::from_millis(100), 5);
        }
        let mut pace = Pace::default();
        pace.learn_bytes(&pieces);
        assert!((pace.speed().bytes_per_second - 50.0).abs() < 1e-9);
        // What an exam says of tokens does not forget it.
        pace.set(Speed { tokens_per_second: 9.0, ..Speed::default() });
        assert!((pace.speed().bytes_per_second - 50.0).abs() < 1e-9);
    }

    #[test]
    fn one_late_answer_in_twenty_makes_the_quantile() {
        let mut pace = Pace::default();
        for n in 0..40 {
            let first = if n % 10 == 0 { 3_000 } else { 10 };
            pace.learn(Duration::from_millis(first), Duration::from_millis(first + 10), 4);
        }
        assert!((pace.speed().first_token_late - 3.0).abs() < 1e-9);
    }
}
