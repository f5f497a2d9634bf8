//! What each way to pick an answer would have said to the same questions.
//!
//! Every method sees the same candidates (those of the round, and of members asked by name); they
//! differ only in how they pick. What is chosen by looking at right answers (the best single
//! member, the strongest judge) is chosen on the other half of the questions.

use shoal_consensus::{settings::RankSettings, reputation::calibration::sigmoid, agree, rank::{self, Comparison}};

use crate::{
    record::{Answer, Asked, models},
    stats::median,
};

/// How one method did, question by question.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    pub name: String,
    /// Which members were chosen for it, if any were.
    pub note: String,
    pub right: Vec<bool>,
    /// Tokens read and written for an answer, all members together: mean.
    pub tokens: f64,
    /// From the ask to the answer: median.
    pub seconds: f64,
}

impl Method {
    pub fn correct(&self) -> usize {
        self.right.iter().filter(|right| **right).count()
    }
}

/// One method's answer to one question.
#[derive(Clone, Copy, Debug, Default)]
struct Pick {
    right: bool,
    tokens: u64,
    seconds: f64,
}

impl Pick {
    fn of(answer: Option<Answer<'_>>, tokens: u64, seconds: f64) -> Self {
        Self { right: answer.is_some_and(|answer| answer.right), tokens, seconds }
    }
}

fn method(
    name: &str,
    note: String,
    asked: &[Asked],
    pick: impl Fn(usize, &Asked) -> Pick,
) -> Method {
    let picks: Vec<Pick> = asked.iter().enumerate().map(|(at, one)| pick(at, one)).collect();
    Method {
        name: name.to_owned(),
        note,
        right: picks.iter().map(|pick| pick.right).collect(),
        tokens: picks.iter().map(|pick| pick.tokens as f64).sum::<f64>()
            / picks.len().max(1) as f64,
        seconds: median(picks.iter().map(|pick| pick.seconds).collect()),
    }
}

/// All methods, in the order of the table: members first, the oracle last.
#[derive(Clone, Debug)]
pub struct Methods {
    pub members: Vec<Method>,
    /// The mean of the members' accuracies.
    pub mean_member: f64,
    pub best_single: Method,
    pub majority: Method,
    pub best_of_n: Method,
    pub uniform: Method,
    pub swarm: Method,
    pub oracle: Method,
}

impl Methods {
    pub fn of(asked: &[Asked]) -> Self {
        let members: Vec<Method> = models(asked).iter().map(|model| single(model, asked)).collect();
        let accuracies = members.iter().map(|m| m.correct() as f64 / asked.len().max(1) as f64);
        Self {
            mean_member: accuracies.sum::<f64>() / members.len().max(1) as f64,
            best_single: best_single(&members, asked),
            majority: method("majority vote", String::new(), asked, |_, one| {
                Pick::of(majority(one), written(one), seconds(one, |t| t.generate))
            }),
            best_of_n: best_of_n(asked),
            uniform: method("uniform Bradley-Terry", String::new(), asked, |_, one| {
                Pick::of(uniform(one), spent(one), seconds(one, |t| t.total))
            }),
            swarm: method("the swarm", String::new(), asked, |_, one| Pick {
                right: one.right,
                tokens: spent(one),
                seconds: seconds(one, |t| t.total),
            }),
            oracle: method("oracle", "some member is right".into(), asked, |_, one| {
                let found = one.answers().find(|answer| answer.right);
                Pick::of(found, written(one), seconds(one, |t| t.generate))
            }),
            members,
        }
    }

    /// In the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Method> {
        let rest = [
            &self.best_single,
            &self.majority,
            &self.best_of_n,
            &self.uniform,
            &self.swarm,
            &self.oracle,
        ];
        self.members.iter().chain(rest)
    }
}

fn single(model: &str, asked: &[Asked]) -> Method {
    method(model, "alone".into(), asked, |_, one| {
        let answer = one.answer_of(model);
        let took = answer.map_or(0.0, |answer| answer.candidate.took_ms / 1e3);
        Pick::of(answer, answer.map_or(0, |answer| answer.candidate.tokens()), took)
    })
}

/// Half of the questions, by number: what is chosen on one half is measured on the other.
fn half(at: usize) -> usize {
    at % 2
}

/// Index of the best by successes on the half that question `half` is not in; the first of equals.
fn best_on_other_half(successes: &[Vec<bool>], half_of: usize) -> Option<usize> {
    let score = |right: &Vec<bool>| {
        right.iter().enumerate().filter(|(at, right)| half(*at) != half_of && **right).count()
    };
    (0..successes.len()).rev().max_by_key(|at| successes.get(*at).map_or(0, score))
}

fn best_single(members: &[Method], asked: &[Asked]) -> Method {
    let successes: Vec<Vec<bool>> = members.iter().map(|member| member.right.clone()).collect();
    let chosen =
        [0, 1].map(|half| best_on_other_half(&successes, half).and_then(|at| members.get(at)));
    let of = |at: usize| chosen.get(half(at)).copied().flatten();
    let note = names(chosen.iter().flatten().map(|member| member.name.as_str()));
    method("best single member", note, asked, |at, one| {
        let answer = of(at).and_then(|member| one.answer_of(&member.name));
        let took = answer.map_or(0.0, |answer| answer.candidate.took_ms / 1e3);
        Pick::of(answer, answer.map_or(0, |answer| answer.candidate.tokens()), took)
    })
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names.join(" / ")
}

/// The largest pool of equal answers; of equal pools the one whose first member finished first.
fn majority(asked: &Asked) -> Option<Answer<'_>> {
    let mut answers: Vec<Answer<'_>> = asked.answers().collect();
    answers.sort_by(|x, y| x.candidate.took_ms.total_cmp(&y.candidate.took_ms));
    let pools = agree::pools(answers.iter().map(|answer| answer.candidate.text.as_str()));
    let size = |pool: usize| pools.iter().filter(|other| **other == pool).count();
    let largest =
        (0..answers.len()).rev().max_by_key(|at| pools.get(*at).map(|pool| size(*pool)))?;
    answers.get(largest).copied()
}

/// The candidate that one judge finds likeliest; a writer is the judge of its own by the
/// log-probability that it reports. None when this judge said nothing.
fn by_judge<'a>(asked: &'a Asked, judge: &str) -> Option<Answer<'a>> {
    let round = asked.round.as_ref()?;
    let ballot = round.ballots.iter().find(|ballot| ballot.model == judge)?;
    let scored = ballot.scores.iter().map(|score| (score.candidate, score.logprob));
    let own = round.candidates.iter().enumerate().filter(|(_, one)| one.model == judge);
    let own = own.filter_map(|(at, one)| Some((at, one.logprob?)));
    let (best, _) = scored.chain(own).max_by(|x, y| x.1.total_cmp(&y.1).then(y.0.cmp(&x.0)))?;
    asked.answers().find(|answer| answer.index == Some(best))
}

/// One judge's pick; the majority's where it said nothing.
fn judged<'a>(asked: &'a Asked, judge: &str) -> Option<Answer<'a>> {
    by_judge(asked, judge).or_else(|| majority(asked))
}

/// Best of n with the judge that picks best on the other half. Where it did not judge (the round
/// ended by agreement), the majority stands.
fn best_of_n(asked: &[Asked]) -> Method {
    let judges = models(asked);
    let successes: Vec<Vec<bool>> = judges
        .iter()
        .map(|judge| asked.iter().map(|one| judged(one, judge).is_some_and(|a| a.right)).collect())
        .collect();
    let chosen =
        [0, 1].map(|half| best_on_other_half(&successes, half).and_then(|at| judges.get(at)));
    let note = names(chosen.iter().flatten().map(|judge| judge.as_str()));
    method("best of n, one judge", note, asked, |at, one| {
        let judge = chosen.get(half(at)).copied().flatten().map_or("", String::as_str);
        let read = one.round.iter().flat_map(|round| &round.ballots).find(|b| b.model == judge);
        let tokens = written(one) + read.map_or(0, |ballot| u64::from(ballot.prompt_tokens));
        Pick::of(judged(one, judge), tokens, seconds(one, |t| t.total))
    })
}

/// Nats that make a likelihood difference a clear verdict (measured on the pilot: 1 to 20 differ
/// by three points).
const TEMPERATURE: f64 = 5.0;

/// Bradley-Terry over pools from likelihoods turned into pair verdicts σ(difference / T), every
/// judge alike, nothing known of anybody. Without ballots the majority stands.
fn uniform(asked: &Asked) -> Option<Answer<'_>> {
    let round = asked.round.as_ref()?;
    let pool = |at: usize| round.candidates.get(at).map(|candidate| candidate.pool);
    let mut comparisons = Vec::new();
    for ballot in &round.ballots {
        let verdict = |i: usize, j: usize, p: f64| {
            let (a, b) = (pool(i)?, pool(j)?);
            (a != b).then_some(Comparison { a, b, p, weight: 1.0, discrimination: 1.0 })
        };
        for (at, first) in ballot.scores.iter().enumerate() {
            for second in ballot.scores.iter().skip(at + 1) {
                let p = sigmoid((first.logprob - second.logprob) / TEMPERATURE);
                comparisons.extend(verdict(first.candidate, second.candidate, p));
            }
        }
        comparisons.extend(ballot.pairs.iter().filter_map(|pair| verdict(pair.a, pair.b, pair.p)));
    }
    if comparisons.is_empty() {
        return majority(asked);
    }
    let pools = round.candidates.iter().map(|candidate| candidate.pool + 1).max()?;
    let fit = rank::fit(&vec![0.0; pools], &comparisons, &RankSettings::default());
    let strength = |answer: &Answer<'_>| fit.strengths.get(answer.candidate.pool).copied();
    asked
        .answers()
        .filter(|answer| answer.index.is_some())
        .reduce(|best, next| if strength(&next) > strength(&best) { next } else { best })
}

/// Tokens of all candidates.
fn written(asked: &Asked) -> u64 {
    asked.answers().map(|answer| answer.candidate.tokens()).sum()
}

/// Tokens of the round: candidates and ballots.
fn spent(asked: &Asked) -> u64 {
    asked.round.as_ref().map_or(0, |round| {
        let judged = round.ballots.iter().map(|ballot| u64::from(ballot.prompt_tokens));
        round.candidates.iter().map(|one| one.tokens()).chain(judged).sum()
    })
}

fn seconds(asked: &Asked, of: impl Fn(&crate::record::Timings) -> f64) -> f64 {
    asked.round.as_ref().map_or(0.0, |round| of(&round.timings_ms) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Alone, Ballot, Candidate, Round, Score};

    fn candidate(model: &str, answer: &str, took_ms: f64) -> Candidate {
        Candidate {
            model: model.into(),
            text: format!("Answer: {answer}"),
            took_ms,
            logprob: Some(-1.0),
            completion_tokens: 10,
            ..Candidate::default()
        }
    }

    /// `said`: model and answer, in order of finishing; right is "1".
    fn asked(said: &[(&str, &str)], ballots: Vec<Ballot>) -> Asked {
        let mut candidates: Vec<Candidate> =
            (1..).zip(said).map(|(at, (m, a))| candidate(m, a, f64::from(at))).collect();
        let pools = agree::pools(said.iter().map(|(_, answer)| *answer));
        candidates.iter_mut().zip(pools).for_each(|(one, pool)| one.pool = pool);
        Asked {
            rights: said.iter().map(|(_, answer)| *answer == "1").collect(),
            round: Some(Round { candidates, ballots, ..Round::default() }),
            ..Asked::default()
        }
    }

    fn ballot(judge: &str, scores: &[(usize, f64)]) -> Ballot {
        let score = |(candidate, logprob): &(usize, f64)| Score {
            candidate: *candidate,
            logprob: *logprob,
            tokens: 1,
        };
        Ballot {
            model: judge.into(),
            scores: scores.iter().map(score).collect(),
            ..Ballot::default()
        }
    }

    #[test]
    fn a_majority_tie_goes_to_who_finished_first() {
        let one = asked(&[("a", "2"), ("b", "1"), ("c", "1"), ("d", "2")], vec![]);
        assert!(!majority(&one).unwrap().right);
        let other = asked(&[("a", "3"), ("b", "1"), ("c", "2"), ("d", "1"), ("e", "2")], vec![]);
        assert!(majority(&other).unwrap().right);
        assert!(majority(&Asked::default()).is_none());
    }

    #[test]
    fn members_asked_by_name_vote_as_well() {
        let mut one = asked(&[("a", "2"), ("b", "1")], vec![]);
        one.alone.push(Alone { candidate: candidate("c", "1", 9.0), right: true });
        assert!(majority(&one).unwrap().right);
    }

    #[test]
    fn one_judge_picks_what_it_finds_likeliest_its_own_included() {
        let said = [("a", "2"), ("b", "1"), ("c", "3")];
        let one = asked(&said, vec![ballot("a", &[(1, -0.5), (2, -3.0)])]);
        assert!(by_judge(&one, "a").unwrap().right);
        let own = asked(&said, vec![ballot("a", &[(1, -1.5), (2, -3.0)])]);
        assert!(!by_judge(&own, "a").unwrap().right);
        assert!(by_judge(&one, "b").is_none());
    }

    #[test]
    fn uniform_bradley_terry_follows_the_judges_and_falls_back_to_the_majority() {
        let said = [("a", "2"), ("b", "1"), ("c", "2")];
        let judged = asked(
            &said,
            vec![ballot("a", &[(1, -1.0), (2, -9.0)]), ballot("c", &[(0, -8.0), (1, -1.0)])],
        );
        assert!(uniform(&judged).unwrap().right);
        assert!(!uniform(&asked(&said, vec![])).unwrap().right);
    }

    #[test]
    fn the_best_single_member_is_chosen_on_the_other_half() {
        // `a` is right on even questions only, `b` on odd ones only: whoever looks best on one
        // half is wrong on the other.
        let asked: Vec<Asked> = (0..10)
            .map(|at| {
                let (a, b) = if at % 2 == 0 { ("1", "2") } else { ("2", "1") };
                asked(&[("a", a), ("b", b)], vec![])
            })
            .collect();
        let methods = Methods::of(&asked);
        assert_eq!(methods.best_single.correct(), 0);
        assert_eq!(methods.oracle.correct(), 10);
        assert!((methods.mean_member - 0.5).abs() < 1e-12);
    }
}
