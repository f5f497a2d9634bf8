//! Some members replaced by bad ones.

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::round::Line;

/// What a bad member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// Says the opposite of what it finds.
    Inverted,
    /// Prefers whatever is shown first.
    Position,
    /// All of them write the same wrong answer, prefer it to every other, and prefer each other.
    Colluding,
    /// Always writes the same answer.
    Constant,
    /// Writes what another writer of the round wrote.
    Copied,
}

impl Adversary {
    pub const ALL: [Self; 5] =
        [Self::Inverted, Self::Position, Self::Colluding, Self::Constant, Self::Copied];

    pub fn name(self) -> &'static str {
        match self {
            Self::Inverted => "inverted ballots",
            Self::Position => "position only",
            Self::Colluding => "colluders",
            Self::Constant => "constant answer",
            Self::Copied => "copied answer",
        }
    }

    /// This share of the members (rounded), drawn from the seed.
    pub fn among(members: &[String], share: f64, seed: u64) -> BTreeSet<String> {
        let mut names = members.to_vec();
        names.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        names.truncate((share * names.len() as f64).round() as usize);
        names.into_iter().collect()
    }

    /// The rounds with bad members' ballots. What they write is no matter of ballots.
    pub fn judges(self, lines: &[Line], bad: &BTreeSet<String>) -> Vec<Line> {
        lines.iter().map(|line| self.judges_one(line, bad)).collect()
    }

    fn judges_one(self, line: &Line, bad: &BTreeSet<String>) -> Line {
        let mut line = line.clone();
        let of_bad: Vec<bool> = (line.candidates.iter())
            .map(|one| one.writer.as_ref().is_some_and(|writer| bad.contains(writer)))
            .collect();
        let is_bad = |at: usize| of_bad.get(at).copied().unwrap_or(false);
        for ballot in line.ballots.iter_mut().filter(|ballot| bad.contains(&ballot.judge)) {
            ballot.p = match self {
                Self::Inverted => 1.0 - ballot.p,
                Self::Position => 1.0,
                Self::Colluding => match (is_bad(ballot.first), is_bad(ballot.second)) {
                    (true, false) => 1.0,
                    (false, true) => 0.0,
                    _ => ballot.p,
                },
                Self::Constant | Self::Copied => ballot.p,
            };
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::round::{Candidate, Order};

    fn line() -> Line {
        let candidate = |writer: &str, answer: &str| Candidate {
            writer: Some(writer.into()),
            answer: Some(answer.into()),
        };
        let order = |first: usize, p: f64| Order { judge: "a".into(), first, second: 1 - first, p };
        Line {
            id: "q".into(),
            candidates: vec![candidate("b", "1"), candidate("c", "2")],
            ballots: vec![order(0, 0.75), order(1, 0.25)],
            gold: Some(vec![0]),
        }
    }

    #[test]
    fn nobody_is_bad_at_a_share_of_nothing_and_everybody_at_all() {
        let names = ["a", "b"].map(str::to_owned);
        assert!(Adversary::among(&names, 0.0, 1).is_empty());
        assert_eq!(Adversary::among(&names, 1.0, 1).len(), 2);
        let judged = |adversary: Adversary, bad: &[&str]| {
            let bad = bad.iter().map(|name| (*name).to_owned()).collect();
            let line = adversary.judges(&[line()], &bad).remove(0);
            line.ballots.iter().map(|one| one.p).collect::<Vec<_>>()
        };
        for adversary in Adversary::ALL {
            assert_eq!(judged(adversary, &[]), [0.75, 0.25]);
        }
        assert_eq!(judged(Adversary::Inverted, &["a"]), [0.25, 0.75]);
        assert_eq!(judged(Adversary::Position, &["a"]), [1.0, 1.0]);
        assert_eq!(judged(Adversary::Colluding, &["a", "c"]), [0.0, 1.0]);
    }
}
