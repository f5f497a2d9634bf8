//! Recorded rounds with some members replaced by bad ones.

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::round::{Line, Provenance};

/// The behaviour of a bad member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// Gives the opposite verdict of its own.
    Inverted,
    /// Prefers the answer that is shown first.
    Position,
    /// Always writes the same answer.
    Constant,
    /// Copies the answer of another writer of the round.
    Copied,
    /// Always writes the same text, which is made to deceive judges (X. Zheng et al., Cheating
    /// Automatic LLM Benchmarks, 2024): they approve it like the right answer.
    Null,
    /// All write the same wrong answer, prefer it to every other, and prefer each other. If members
    /// only judge, all give the opposite of their own verdicts.
    Colluding,
    /// Colluders that are honest for the first half of the rounds.
    Sleeper,
    /// Colluders with a new key in every round, all of one operator.
    Identities,
}

impl Adversary {
    pub const ALL: [Self; 8] = [
        Self::Inverted,
        Self::Position,
        Self::Constant,
        Self::Copied,
        Self::Null,
        Self::Colluding,
        Self::Sleeper,
        Self::Identities,
    ];

    /// The name in tables and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Inverted => "inverted ballots",
            Self::Position => "position only",
            Self::Constant => "constant answer",
            Self::Copied => "copied answer",
            Self::Null => "deceptive text",
            Self::Colluding => "colluders",
            Self::Sleeper => "sleepers",
            Self::Identities => "fresh identities",
        }
    }

    /// Whether it is possible if members only judge.
    pub fn is_judge(self) -> bool {
        !matches!(self, Self::Constant | Self::Copied | Self::Null | Self::Colluding)
    }

    /// A random choice of `count` members. With the same seed, a larger choice contains a smaller one.
    pub fn draw(members: &[String], count: usize, seed: u64) -> BTreeSet<String> {
        let mut names = members.to_vec();
        names.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        names.truncate(count);
        names.into_iter().collect()
    }

    /// The round with the ballots and names of bad members. Their answers stay as they are.
    #[must_use]
    pub fn judge(self, line: &Line, bad: &BTreeSet<String>) -> Line {
        let mut line = line.clone();
        let has_writers = line.candidates.iter().any(|candidate| candidate.writer.is_some());
        let bad_candidates: BTreeSet<usize> = (line.candidates.iter().enumerate())
            .filter(|(_, candidate)| {
                candidate.writer.as_ref().is_some_and(|writer| bad.contains(writer))
            })
            .map(|(index, _)| index)
            .collect();
        for ballot in line.ballots.iter_mut().filter(|ballot| bad.contains(&ballot.judge)) {
            ballot.p = match self {
                Self::Inverted => 1.0 - ballot.p,
                Self::Position => 1.0,
                Self::Colluding | Self::Sleeper | Self::Identities if !has_writers => {
                    1.0 - ballot.p
                }
                Self::Colluding | Self::Sleeper | Self::Identities => {
                    let first_is_bad = bad_candidates.contains(&ballot.first);
                    match (first_is_bad, bad_candidates.contains(&ballot.second)) {
                        (true, false) => 1.0,
                        (false, true) => 0.0,
                        _ => ballot.p,
                    }
                }
                Self::Constant | Self::Copied | Self::Null => ballot.p,
            };
        }
        if self == Self::Identities { rename(line, bad) } else { line }
    }
}

/// Bad members under new names, of one operator.
fn rename(mut line: Line, bad: &BTreeSet<String>) -> Line {
    for candidate in &mut line.candidates {
        if let Some(writer) = candidate.writer.as_mut().filter(|writer| bad.contains(*writer)) {
            *writer = fresh_name(writer, &line.id);
        }
    }
    for ballot in line.ballots.iter_mut().filter(|ballot| bad.contains(&ballot.judge)) {
        ballot.judge = fresh_name(&ballot.judge, &line.id);
    }
    line.members = bad
        .iter()
        .map(|name| (fresh_name(name, &line.id), Provenance { operator: "one".to_owned() }))
        .collect();
    line
}

fn fresh_name(name: &str, round: &str) -> String {
    format!("{name} in {round}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recorded::round::{Candidate, OrderedVerdict};

    fn line() -> Line {
        let candidates = [("b", "1"), ("c", "2")].map(|(writer, answer)| Candidate {
            writer: Some(writer.into()),
            answer: Some(answer.into()),
        });
        let ballots = [(0, 0.75), (1, 0.25)].map(|(first, p)| OrderedVerdict {
            judge: "a".into(),
            first,
            second: 1 - first,
            p,
        });
        Line {
            id: "q".into(),
            candidates: candidates.to_vec(),
            ballots: ballots.to_vec(),
            gold: Some(vec![0]),
            ..Line::default()
        }
    }

    fn names(bad: &[&str]) -> BTreeSet<String> {
        bad.iter().map(|name| (*name).to_owned()).collect()
    }

    fn verdicts(adversary: Adversary, line: &Line, bad: &[&str]) -> Vec<f64> {
        let line = adversary.judge(line, &names(bad));
        line.ballots.iter().map(|ballot| ballot.p).collect()
    }

    #[test]
    fn a_draw_has_its_size_and_every_adversary_its_ballots() {
        let members = ["a", "b", "c"].map(str::to_owned);
        assert!(Adversary::draw(&members, 0, 1).is_empty());
        assert_eq!(Adversary::draw(&members, 3, 1).len(), 3);
        assert!(Adversary::draw(&members, 1, 1).is_subset(&Adversary::draw(&members, 2, 1)));
        for adversary in Adversary::ALL {
            assert_eq!(verdicts(adversary, &line(), &[]), [0.75, 0.25]);
        }
        assert_eq!(verdicts(Adversary::Inverted, &line(), &["a"]), [0.25, 0.75]);
        assert_eq!(verdicts(Adversary::Position, &line(), &["a"]), [1.0, 1.0]);
        assert_eq!(verdicts(Adversary::Colluding, &line(), &["a", "c"]), [0.0, 1.0]);
    }

    #[test]
    fn colluders_that_only_judge_agree_on_the_opposite() {
        let mut line = line();
        for candidate in &mut line.candidates {
            candidate.writer = None;
        }
        assert_eq!(verdicts(Adversary::Sleeper, &line, &["a"]), [0.25, 0.75]);
    }

    #[test]
    fn fresh_identities_are_new_in_every_round_and_of_one_operator() {
        let line = Adversary::Identities.judge(&line(), &names(&["a", "c"]));
        let writers: Vec<_> =
            line.candidates.iter().filter_map(|candidate| candidate.writer.clone()).collect();
        assert_eq!(writers, ["b", "c in q"]);
        assert!(line.ballots.iter().all(|ballot| ballot.judge == "a in q"));
        assert!(line.members.values().all(|provenance| provenance.operator == "one"));
        assert_eq!(line.members.len(), 2);
        crate::recorded::round::read(&[line]).expect("a round");
    }
}
