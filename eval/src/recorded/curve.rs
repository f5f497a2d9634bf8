//! Accuracy against the share of bad members.

use std::collections::BTreeSet;

use anyhow::Result;
use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use shoal_consensus::replay::{self, Gold, Plan, Settings};

use super::{
    adversary::Adversary,
    round::{self, Line, majority_vote, uniform_vote},
    zeroeval::{Answers, DEFAULT},
};

/// Gold rounds of the three lines of a figure: none, as many as a glance costs, a whole exam.
pub const GOLD: [usize; 3] = [0, 5, 20];

/// Shares of bad members.
const SHARES: [f64; 5] = [0.0, 0.1, 0.2, 1.0 / 3.0, 0.5];

/// How much goes into one point.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Draws of who is bad, of gold, of questions and of their order.
    pub draws: u64,
    /// Rounds of each draw.
    pub rounds: usize,
}

/// What one adversary does to one set.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    pub set: String,
    pub adversary: Adversary,
    pub baseline: &'static str,
    /// How many there are to be bad.
    pub members: usize,
    pub points: Vec<Point>,
}

/// Accuracy with so many bad members.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub bad: usize,
    /// For each number of gold rounds in [`GOLD`].
    pub ours: [f64; 3],
    pub theirs: f64,
    /// The largest standard error of these, over the draws.
    pub error: f64,
}

impl Curve {
    /// With a third of all members, or the share that is nearest to it.
    pub fn at_a_third(&self) -> Option<&Point> {
        let away = |one: &&Point| (one.share(self.members) - 1.0 / 3.0).abs();
        self.points.iter().min_by(|x, y| away(x).total_cmp(&away(y)))
    }
}

impl Point {
    pub fn share(&self, members: usize) -> f64 {
        self.bad as f64 / members.max(1) as f64
    }
}

/// A recorded set whose members can be replaced.
#[derive(Debug)]
pub enum Members<'a> {
    /// Two given answers: members judge.
    Judge(&'a [Line]),
    /// Members write and judge.
    Write(&'a Answers),
}

impl Members<'_> {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Judge(lines) => round::members(lines),
            Self::Write(answers) => answers.models().to_vec(),
        }
    }

    /// Adversaries that can be tried on it.
    pub fn adversaries(&self) -> impl Iterator<Item = Adversary> {
        let judges_only = matches!(self, Self::Judge(_));
        Adversary::ALL.into_iter().filter(move |one| !judges_only || one.is_judge())
    }

    /// Rounds of one draw in the order in which they come: the honest ones, and the same with bad
    /// members.
    fn rounds(
        &self,
        adversary: Adversary,
        bad: &BTreeSet<String>,
        draw: u64,
        count: usize,
    ) -> Vec<(Line, Line)> {
        let (honest, written) = match self {
            Self::Judge(lines) => (lines.to_vec(), lines.to_vec()),
            Self::Write(answers) => {
                let changed = answers.written_by(adversary, bad, draw);
                (answers.drawn(DEFAULT, draw).collect(), changed.drawn(DEFAULT, draw).collect())
            }
        };
        let mut both: Vec<(Line, Line)> = honest.into_iter().zip(written).collect();
        both.shuffle(&mut ChaCha8Rng::seed_from_u64(draw));
        both.truncate(count);
        both.iter_mut().for_each(|(_, line)| *line = adversary.judges(line, bad));
        both
    }
}

/// The curve of one adversary on one set.
///
/// # Errors
/// When a round does not read.
pub fn of(
    set: &str,
    members: &Members<'_>,
    adversary: Adversary,
    size: Size,
    settings: &Settings,
) -> Result<Curve> {
    let names = members.names();
    let mut counts: Vec<usize> =
        SHARES.iter().map(|share| (share * names.len() as f64 + 0.49) as usize).collect();
    counts.dedup();
    let baseline = match members {
        Members::Judge(_) => "uniform vote",
        Members::Write(_) => "majority vote",
    };
    let point = |bad: usize| point(members, &names, adversary, bad, size, settings);
    let points = counts.into_iter().map(point).collect::<Result<_>>()?;
    Ok(Curve { set: set.to_owned(), adversary, baseline, members: names.len(), points })
}

fn point(
    members: &Members<'_>,
    names: &[String],
    adversary: Adversary,
    bad: usize,
    size: Size,
    settings: &Settings,
) -> Result<Point> {
    let mut seen: [Vec<f64>; 4] = Default::default();
    for draw in 0..size.draws.max(1) {
        let drawn = Adversary::among(names, bad, draw);
        let both = members.rounds(adversary, &drawn, draw, size.rounds);
        // Sleepers are counted once they are awake.
        let awake = if adversary == Adversary::Sleeper { both.len() / 2 } else { 0 };
        let lines: Vec<Line> = (both.into_iter().enumerate())
            .map(|(at, (honest, bad))| if at < awake { honest } else { bad })
            .collect();
        let rounds = round::read(&lines)?;
        let baseline: fn(&replay::Round) -> f64 = match members {
            Members::Judge(_) => uniform_vote,
            Members::Write(_) => majority_vote,
        };
        for (gold, seen) in GOLD.into_iter().zip(&mut seen) {
            // Who sleeps would sleep through all gold that came first.
            let gold_first = adversary != Adversary::Sleeper;
            let plan = Plan { gold: Gold::Count(gold), seed: draw, gold_first };
            let ranked = replay::run(&rounds, &plan, settings);
            seen.push(mean(
                ranked
                    .iter()
                    .skip(awake)
                    .filter(|one| !one.gold)
                    .filter_map(|one| Some(f64::from(u8::from(one.right?)))),
            ));
        }
        let [_, _, _, theirs] = &mut seen;
        theirs.push(mean(rounds.iter().skip(awake).map(baseline)));
    }
    let [none, few, exam, theirs] = seen.each_ref().map(|values| mean(values.iter().copied()));
    let error = seen.iter().map(|values| standard_error(values)).fold(0.0, f64::max);
    Ok(Point { bad, ours: [none, few, exam], theirs, error })
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / f64::max(count, 1.0)
}

fn standard_error(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let middle = mean(values.iter().copied());
    let squares: f64 = values.iter().map(|value| (value - middle).powi(2)).sum();
    if n < 2.0 { 0.0 } else { (squares / (n - 1.0) / n).sqrt() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::round::{Candidate, Order};

    /// Six judges that are always right, of which some may be bad.
    fn lines() -> Vec<Line> {
        let line = |n: usize| Line {
            id: n.to_string(),
            candidates: vec![Candidate::default(); 2],
            ballots: (0..12)
                .map(|at| {
                    let (judge, first) = (format!("judge {}", at / 2), at % 2);
                    let p = f64::from(u8::from(first == n % 2));
                    Order { judge, first, second: 1 - first, p }
                })
                .collect(),
            gold: Some(vec![n % 2]),
            ..Line::default()
        };
        (0..40).map(line).collect()
    }

    #[test]
    fn gold_turns_a_majority_of_inverted_judges_around_and_sleepers_wait() {
        let (lines, size) = (lines(), Size { draws: 2, rounds: 40 });
        let members = Members::Judge(&lines);
        let settings = Settings::default();
        let curve = |adversary| of("six", &members, adversary, size, &settings).expect("a curve");
        let inverted = curve(Adversary::Inverted);
        assert_eq!(inverted.points.iter().map(|one| one.bad).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(inverted.points[0].ours, [1.0; 3]);
        assert!(inverted.points[3].ours[2] > 0.95 && inverted.points[3].theirs < 0.6);
        // Half of the gold saw them honest.
        let sleepers = curve(Adversary::Sleeper);
        assert!(sleepers.points[3].ours[2] <= inverted.points[3].ours[2]);
        assert!(members.adversaries().all(Adversary::is_judge));
    }
}
