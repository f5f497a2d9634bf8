//! The summary of a replay.

use std::fmt;

use serde::Serialize;

use crate::outcome::Decision;
use crate::{
    replay::RankedRound,
    stats::{self, Estimate},
};

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
        let counting_rounds = rounds.iter().filter(|round| !round.gold);
        let claims: Vec<(f64, bool)> =
            counting_rounds.filter_map(|round| Some((round.p, round.right?))).collect();
        let rights: Vec<f64> =
            claims.iter().map(|(_, right)| f64::from(u8::from(*right))).collect();
        Self {
            rounds: rounds.len(),
            gold: rounds.iter().filter(|round| round.gold).count(),
            judged: rounds.iter().filter(|round| round.decided == Decision::Judged).count(),
            agreed: rounds.iter().filter(|round| round.decided == Decision::Agreement).count(),
            accuracy: stats::mean(&rights, seed),
            calibration_error: stats::calibration_error(&claims, &stats::TENTHS),
        }
    }
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
