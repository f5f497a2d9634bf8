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

/// Gold rounds of the three lines of a figure: none, a few, a whole exam.
pub const GOLD: [usize; 3] = [0, 5, 20];

/// Shares of bad members.
const SHARES: [f64; 5] = [0.0, 0.1, 0.2, 1.0 / 3.0, 0.5];

/// The amount of data for one point.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Draws of bad members, of gold, of questions and of their order.
    pub draws: u64,
    /// Rounds of each draw.
    pub rounds: usize,
}

/// The effect of one adversary on one set.
#[derive(Clone, Debug, Serialize)]
pub struct Curve {
    pub set: String,
    pub adversary: Adversary,
    pub baseline: &'static str,
    /// Number of members, good and bad.
    pub members: usize,
    pub points: Vec<Point>,
}

/// Accuracy with a number of bad members.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    pub bad: usize,
    /// Accuracy of the swarm for each number of gold rounds in [`GOLD`].
    #[serde(rename = "ours")]
    pub swarm: [f64; 3],
    /// Accuracy of the baseline.
    #[serde(rename = "theirs")]
    pub baseline: f64,
    /// The largest standard error of these, over the draws.
    pub error: f64,
}

impl Curve {
    /// The point with a third of all members, or the share that is nearest to it.
    pub fn at_a_third(&self) -> Option<&Point> {
        self.points.iter().min_by(|x, y| {
            let [x, y] = [x, y].map(|point| (point.share(self.members) - 1.0 / 3.0).abs());
            x.total_cmp(&y)
        })
    }
}

impl Point {
    /// Share of bad members among `members`.
    pub fn share(&self, members: usize) -> f64 {
        self.bad as f64 / members.max(1) as f64
    }
}

/// A recorded set whose members can be replaced.
#[derive(Debug)]
pub enum Members<'a> {
    /// Two recorded answers: members only judge.
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

    /// The adversaries that are possible on this set.
    pub fn adversaries(&self) -> impl Iterator<Item = Adversary> {
        let judges_only = matches!(self, Self::Judge(_));
        Adversary::ALL.into_iter().filter(move |adversary| !judges_only || adversary.is_judge())
    }

    /// Rounds of one draw in their order: each honest round, and the same round with bad members.
    fn rounds(
        &self,
        adversary: Adversary,
        bad: &BTreeSet<String>,
        draw: u64,
        count: usize,
    ) -> Vec<(Line, Line)> {
        let (honest, attacks): (Vec<Line>, Vec<Line>) = match self {
            Self::Judge(lines) => (lines.to_vec(), lines.to_vec()),
            Self::Write(answers) => {
                let attack = answers.with_adversary(adversary, bad, draw);
                (answers.draw(DEFAULT, draw).collect(), attack.draw(DEFAULT, draw).collect())
            }
        };
        let mut rounds: Vec<(Line, Line)> = honest.into_iter().zip(attacks).collect();
        rounds.shuffle(&mut ChaCha8Rng::seed_from_u64(draw));
        rounds.truncate(count);
        for (_, attack) in &mut rounds {
            *attack = adversary.judge(attack, bad);
        }
        rounds
    }
}

/// The curves of all adversaries that are possible on one set.
///
/// # Errors
/// If a round cannot be read.
pub fn all(
    set: &str,
    members: &Members<'_>,
    size: Size,
    settings: &Settings,
) -> Result<Vec<Curve>> {
    members
        .adversaries()
        .map(|adversary| measure(set, members, adversary, size, settings))
        .collect()
}

/// The curve of one adversary on one set.
///
/// # Errors
/// If a round cannot be read.
pub fn measure(
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
    let points = counts
        .into_iter()
        .map(|bad| point(members, &names, adversary, bad, size, settings))
        .collect::<Result<_>>()?;
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
    let mut swarm: [Vec<f64>; 3] = Default::default();
    let mut baseline = Vec::new();
    for draw in 0..size.draws.max(1) {
        let bad_members = Adversary::draw(names, bad, draw);
        let rounds = members.rounds(adversary, &bad_members, draw, size.rounds);
        // Rounds count from the start of the attack.
        let start = if adversary == Adversary::Sleeper { rounds.len() / 2 } else { 0 };
        let lines: Vec<Line> = (rounds.into_iter().enumerate())
            .map(|(at, (honest, attack))| if at < start { honest } else { attack })
            .collect();
        let rounds = round::read(&lines)?;
        let vote: fn(&replay::Round) -> f64 = match members {
            Members::Judge(_) => uniform_vote,
            Members::Write(_) => majority_vote,
        };
        for (gold, accuracies) in GOLD.into_iter().zip(&mut swarm) {
            // A sleeper is honest in the first rounds, so gold in these cannot reveal it.
            let gold_first = adversary != Adversary::Sleeper;
            let plan = Plan { gold: Gold::Count(gold), seed: draw, gold_first };
            let ranking = replay::run(&rounds, &plan, settings);
            accuracies.push(mean(
                ranking
                    .iter()
                    .skip(start)
                    .filter(|round| !round.gold)
                    .filter_map(|round| Some(f64::from(u8::from(round.right?)))),
            ));
        }
        baseline.push(mean(rounds.iter().skip(start).map(vote)));
    }
    let error =
        swarm.iter().chain([&baseline]).map(|values| standard_error(values)).fold(0.0, f64::max);
    Ok(Point {
        bad,
        swarm: swarm.map(|values| mean(values.into_iter())),
        baseline: mean(baseline.into_iter()),
        error,
    })
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
    use crate::recorded::round::{Candidate, OrderedVerdict};

    /// Six judges that are always right unless they are bad.
    fn lines() -> Vec<Line> {
        (0..40)
            .map(|n| Line {
                id: n.to_string(),
                candidates: vec![Candidate::default(); 2],
                ballots: (0..12)
                    .map(|at| {
                        let (judge, first) = (format!("judge {}", at / 2), at % 2);
                        let p = f64::from(u8::from(first == n % 2));
                        OrderedVerdict { judge, first, second: 1 - first, p }
                    })
                    .collect(),
                gold: Some(vec![n % 2]),
                ..Line::default()
            })
            .collect()
    }

    #[test]
    fn gold_turns_a_majority_of_inverted_judges_around_and_sleepers_wait() {
        let (lines, size) = (lines(), Size { draws: 2, rounds: 40 });
        let members = Members::Judge(&lines);
        let settings = Settings::default();
        let [inversion, sleepers] = [Adversary::Inverted, Adversary::Sleeper].map(|adversary| {
            measure("six", &members, adversary, size, &settings).expect("a curve")
        });
        let counts: Vec<usize> = inversion.points.iter().map(|point| point.bad).collect();
        assert_eq!(counts, [0, 1, 2, 3]);
        assert_eq!(inversion.points[0].swarm, [1.0; 3]);
        assert!(inversion.points[3].swarm[2] > 0.95 && inversion.points[3].baseline < 0.6);
        // Half of the gold saw them honest.
        assert!(sleepers.points[3].swarm[2] <= inversion.points[3].swarm[2]);
        assert!(members.adversaries().all(Adversary::is_judge));
    }
}
