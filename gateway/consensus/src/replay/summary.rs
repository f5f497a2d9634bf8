//! The summary of a replay.

use std::fmt;

use serde::Serialize;

use crate::outcome::Decision;
use crate::replay::{Estimate, RankedRound, interval};

/// Accuracy and calibration over the labelled rounds that were not gold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Number of rounds, gold included.
    pub rounds: usize,
    /// Number of gold rounds.
    pub gold: usize,
    /// Number of rounds that ballots decided.
    pub judged: usize,
    /// Number of rounds that agreement decided.
    pub agreed: usize,
    /// Share of right winners.
    pub accuracy: Estimate,
    /// Expected calibration error: the distance between P(best) of the winner and its accuracy, in
    /// ten bins, weighted by their counts.
    pub calibration_error: f64,
}

impl Summary {
    /// The summary of these rounds; `seed` is that of the bootstrap.
    pub fn from_rounds(rounds: &[RankedRound], seed: u64) -> Self {
        let claims: Vec<(f64, f64)> = rounds
            .iter()
            .filter(|round| !round.gold)
            .filter_map(|round| Some((round.p, f64::from(u8::from(round.right?)))))
            .collect();
        let rights: Vec<f64> = claims.iter().map(|(_, right)| *right).collect();
        Self {
            rounds: rounds.len(),
            gold: rounds.iter().filter(|round| round.gold).count(),
            judged: rounds.iter().filter(|round| round.decided == Decision::Judged).count(),
            agreed: rounds.iter().filter(|round| round.decided == Decision::Agreement).count(),
            accuracy: interval::mean(&rights, seed),
            calibration_error: calibration_error(&claims),
        }
    }
}

fn calibration_error(claims: &[(f64, f64)]) -> f64 {
    let mut gaps = [0.0; 10];
    for (p, right) in claims {
        let bin = (10.0 * p).floor().clamp(0.0, 9.0) as usize;
        if let Some(gap) = gaps.get_mut(bin) {
            *gap += p - right;
        }
    }
    gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / claims.len().max(1) as f64
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, gold, judged, agreed, accuracy, calibration_error } = self;
        writeln!(
            f,
            "{rounds} rounds, {gold} of them gold; {judged} judged, {agreed} ended by agreement"
        )?;
        let Estimate { value, low, high, count } = accuracy;
        if *count == 0 {
            return write!(f, "no labelled round that is not gold: no accuracy");
        }
        writeln!(f, "accuracy {value:.4} (95 % {low:.4} to {high:.4}) over {count} rounds")?;
        write!(f, "P(best) is off by {calibration_error:.3} on average")
    }
}
