//! Some members replaced by bad ones.

use std::collections::BTreeSet;

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::round::{Kin, Line};

/// What a bad member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Adversary {
    /// Says the opposite of what it finds.
    Inverted,
    /// Prefers whatever is shown first.
    Position,
    /// Always writes the same answer.
    Constant,
    /// Writes what another writer of the round wrote.
    Copied,
    /// Always writes the same text, made so that judges take it for right (X. Zheng et al., Cheating
    /// Automatic LLM Benchmarks, 2024): they approve it as they would the right answer.
    Null,
    /// All of them write the same wrong answer, prefer it to every other, and prefer each other;
    /// where nobody writes, all of them say the opposite of what they find.
    Colluding,
    /// Colluders that are honest for the first half of the rounds.
    Sleeper,
    /// Colluders that have a new key in every round, all of one operator.
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

    pub fn name(self) -> &'static str {
        match self {
            Self::Inverted => "inverted ballots",
            Self::Position => "position only",
            Self::Constant => "constant answer",
            Self::Copied => "copied answer",
            Self::Null => "text that convinces",
            Self::Colluding => "colluders",
            Self::Sleeper => "sleepers",
            Self::Identities => "fresh identities",
        }
    }

    /// It is one where the answers are given and members only judge.
    pub fn is_judge(self) -> bool {
        !matches!(self, Self::Constant | Self::Copied | Self::Null | Self::Colluding)
    }

    /// So many of the members, drawn from the seed; of the same seed more hold the fewer.
    pub fn among(members: &[String], count: usize, seed: u64) -> BTreeSet<String> {
        let mut names = members.to_vec();
        names.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
        names.truncate(count);
        names.into_iter().collect()
    }

    /// The round with bad members' ballots, and names. What they write is no matter of this.
    #[must_use]
    pub fn judges(self, line: &Line, bad: &BTreeSet<String>) -> Line {
        let mut line = line.clone();
        let written = line.candidates.iter().any(|one| one.writer.is_some());
        let of_bad: Vec<bool> = (line.candidates.iter())
            .map(|one| one.writer.as_ref().is_some_and(|writer| bad.contains(writer)))
            .collect();
        let is_bad = |at: usize| of_bad.get(at).copied().unwrap_or(false);
        for ballot in line.ballots.iter_mut().filter(|ballot| bad.contains(&ballot.judge)) {
            ballot.p = match self {
                Self::Inverted => 1.0 - ballot.p,
                Self::Position => 1.0,
                Self::Colluding | Self::Sleeper | Self::Identities if !written => 1.0 - ballot.p,
                Self::Colluding | Self::Sleeper | Self::Identities => {
                    match (is_bad(ballot.first), is_bad(ballot.second)) {
                        (true, false) => 1.0,
                        (false, true) => 0.0,
                        _ => ballot.p,
                    }
                }
                Self::Constant | Self::Copied | Self::Null => ballot.p,
            };
        }
        if self == Self::Identities { renamed(line, bad) } else { line }
    }
}

/// Bad members under names that nobody has seen before, of one operator.
fn renamed(mut line: Line, bad: &BTreeSet<String>) -> Line {
    let fresh = |name: &String| bad.contains(name).then(|| format!("{name} in {}", line.id));
    for candidate in &mut line.candidates {
        let fresh = candidate.writer.as_ref().and_then(fresh);
        candidate.writer = fresh.or(candidate.writer.take());
    }
    for ballot in &mut line.ballots {
        ballot.judge = fresh(&ballot.judge).unwrap_or(std::mem::take(&mut ballot.judge));
    }
    let kin = || Kin { operator: "one".to_owned() };
    line.members = bad.iter().filter_map(fresh).map(|name| (name, kin())).collect();
    line
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
            ..Line::default()
        }
    }

    fn named(bad: &[&str]) -> BTreeSet<String> {
        bad.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn nobody_is_bad_at_a_share_of_nothing_and_everybody_at_all() {
        let names = ["a", "b", "c"].map(str::to_owned);
        assert!(Adversary::among(&names, 0, 1).is_empty());
        assert_eq!(Adversary::among(&names, 3, 1).len(), 3);
        assert!(Adversary::among(&names, 1, 1).is_subset(&Adversary::among(&names, 2, 1)));
        let judged = |adversary: Adversary, bad: &[&str]| {
            let line = adversary.judges(&line(), &named(bad));
            line.ballots.iter().map(|one| one.p).collect::<Vec<_>>()
        };
        for adversary in Adversary::ALL {
            assert_eq!(judged(adversary, &[]), [0.75, 0.25]);
        }
        assert_eq!(judged(Adversary::Inverted, &["a"]), [0.25, 0.75]);
        assert_eq!(judged(Adversary::Position, &["a"]), [1.0, 1.0]);
        assert_eq!(judged(Adversary::Colluding, &["a", "c"]), [0.0, 1.0]);
    }

    #[test]
    fn where_nobody_writes_colluders_agree_on_the_opposite() {
        let mut line = line();
        line.candidates.iter_mut().for_each(|one| one.writer = None);
        let said = Adversary::Sleeper.judges(&line, &named(&["a"])).ballots;
        assert_eq!(said.iter().map(|one| one.p).collect::<Vec<_>>(), [0.25, 0.75]);
    }

    #[test]
    fn fresh_identities_are_new_in_every_round_and_of_one_operator() {
        let line = Adversary::Identities.judges(&line(), &named(&["a", "c"]));
        let writers: Vec<_> = line.candidates.iter().filter_map(|one| one.writer.clone()).collect();
        assert_eq!(writers, ["b", "c in q"]);
        assert!(line.ballots.iter().all(|one| one.judge == "a in q"));
        assert!(line.members.values().all(|kin| kin.operator == "one"));
        assert_eq!(line.members.len(), 2);
        crate::recorded::round::read(&[line]).expect("a round");
    }
}
