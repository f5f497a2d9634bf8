//! What all rounds together come to.

use std::fmt;

use serde::Serialize;

use crate::outcome::Decided;
use crate::replay::{Estimate, Ranked, interval};

/// Accuracy and calibration over the labelled rounds that were not gold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub rounds: usize,
    pub gold: usize,
    pub judged: usize,
    pub agreed: usize,
    pub accuracy: Estimate,
    /// Distance between P(best) of the winner and how often it was right, by claims of equal
    /// size in tenths, weighted by their number.
    pub calibration_error: f64,
}

impl Summary {
    /// `seed` draws the bootstrap.
    pub fn of(ranked: &[Ranked], seed: u64) -> Self {
        let claims: Vec<(f64, f64)> = ranked
            .iter()
            .filter(|one| !one.gold)
            .filter_map(|one| Some((one.p, f64::from(u8::from(one.right?)))))
            .collect();
        let rights: Vec<f64> = claims.iter().map(|(_, right)| *right).collect();
        let decided = |how| ranked.iter().filter(|one| one.decided == how).count();
        Self {
            rounds: ranked.len(),
            gold: ranked.iter().filter(|one| one.gold).count(),
            judged: decided(Decided::Judged),
            agreed: decided(Decided::Agreement),
            accuracy: interval::mean(&rights, seed),
            calibration_error: calibration_error(&claims),
        }
    }
}

fn calibration_error(claims: &[(f64, f64)]) -> f64 {
    let bin = |p: f64| (10.0 * p).floor().clamp(0.0, 9.0);
    let gap = |tenth: u32| {
        let inside = claims.iter().filter(|(p, _)| bin(*p) == f64::from(tenth));
        inside.map(|(p, right)| p - right).sum::<f64>().abs()
    };
    (0..10).map(gap).sum::<f64>() / claims.len().max(1) as f64
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
