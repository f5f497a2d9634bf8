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
    /// Tokens per second after the first token; 0 when not measured.
    pub tokens_per_second: f64,
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
        self.speed = Speed { first_token_late: self.speed.first_token_late, ..speed };
    }

    pub(crate) fn speed(&self) -> Speed {
        self.speed
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
    fn one_late_answer_in_twenty_makes_the_quantile() {
        let mut pace = Pace::default();
        for n in 0..40 {
            let first = if n % 10 == 0 { 3_000 } else { 10 };
            pace.learn(Duration::from_millis(first), Duration::from_millis(first + 10), 4);
        }
        assert!((pace.speed().first_token_late - 3.0).abs() < 1e-9);
    }
}
