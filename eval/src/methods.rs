//! The answers of other ways to pick, to the same questions.
//!
//! Every method has the same candidates (those of the round, and of members asked by name); methods
//! differ only in how they pick. A choice that uses the right answers (the best single member, the
//! strongest judge) is made on the other half of the questions.

use shoal_consensus::{
    agree,
    rank::{self, Comparison},
    reputation::calibration::sigmoid,
    settings::RankSettings,
};

use crate::{
    record::{Answer, Ballot, QuestionRecord, Round, Timings, models},
    stats::median,
};

/// The results of one method, question by question.
#[derive(Clone, Debug, PartialEq)]
pub struct Method {
    pub name: String,
    /// The members that were chosen for it, if any.
    pub note: String,
    pub right: Vec<bool>,
    /// Mean tokens for an answer, read and written by all members together.
    pub tokens: f64,
    /// Median time from question to answer.
    pub seconds: f64,
}

impl Method {
    /// Number of right answers.
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
    fn new(answer: Option<Answer<'_>>, tokens: u64, seconds: f64) -> Self {
        Self { right: answer.is_some_and(|answer| answer.right), tokens, seconds }
    }

    /// The answer of one member, at its own cost.
    fn solo(answer: Option<Answer<'_>>) -> Self {
        let tokens = answer.map_or(0, |answer| answer.candidate.tokens());
        Self::new(answer, tokens, answer.map_or(0.0, |answer| answer.candidate.took_ms / 1e3))
    }
}

fn method(
    name: &str,
    note: String,
    records: &[QuestionRecord],
    pick: impl Fn(usize, &QuestionRecord) -> Pick,
) -> Method {
    let picks: Vec<Pick> =
        records.iter().enumerate().map(|(at, record)| pick(at, record)).collect();
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
    /// The results of all methods on these records.
    pub fn new(records: &[QuestionRecord]) -> Self {
        let members: Vec<Method> =
            models(records).iter().map(|model| single(model, records)).collect();
        let accuracies =
            members.iter().map(|member| member.correct() as f64 / records.len().max(1) as f64);
        Self {
            mean_member: accuracies.sum::<f64>() / members.len().max(1) as f64,
            best_single: best_single(&members, records),
            majority: method("majority vote", String::new(), records, |_, record| {
                Pick::new(
                    majority(record),
                    candidate_tokens(record),
                    seconds(record, |timings| timings.generate),
                )
            }),
            best_of_n: best_of_n(records),
            uniform: method("uniform Bradley-Terry", String::new(), records, |_, record| {
                Pick::new(
                    uniform(record),
                    round_tokens(record),
                    seconds(record, |timings| timings.total),
                )
            }),
            swarm: method("the swarm", String::new(), records, |_, record| Pick {
                right: record.right,
                tokens: round_tokens(record),
                seconds: seconds(record, |timings| timings.total),
            }),
            oracle: method("oracle", "some member is right".into(), records, |_, record| {
                let answer = record.answers().find(|answer| answer.right);
                Pick::new(
                    answer,
                    candidate_tokens(record),
                    seconds(record, |timings| timings.generate),
                )
            }),
            members,
        }
    }

    /// In the order of the table.
    pub fn all(&self) -> impl Iterator<Item = &Method> {
        let methods = [
            &self.best_single,
            &self.majority,
            &self.best_of_n,
            &self.uniform,
            &self.swarm,
            &self.oracle,
        ];
        self.members.iter().chain(methods)
    }
}

fn single(model: &str, records: &[QuestionRecord]) -> Method {
    method(model, "alone".into(), records, |_, record| Pick::solo(record.answer_of(model)))
}

/// Half of the questions, by number: a choice on one half is measured on the other.
fn half(at: usize) -> usize {
    at % 2
}

/// Index of the method with most successes outside half `own_half`; the first if several are equal.
fn best_on_other_half(successes: &[Vec<bool>], own_half: usize) -> Option<usize> {
    (0..successes.len())
        .rev()
        .max_by_key(|at| successes.get(*at).map_or(0, |grades| score_outside(grades, own_half)))
}

fn score_outside(grades: &[bool], own_half: usize) -> usize {
    grades.iter().enumerate().filter(|(at, right)| half(*at) != own_half && **right).count()
}

fn best_single(members: &[Method], records: &[QuestionRecord]) -> Method {
    let successes: Vec<Vec<bool>> = members.iter().map(|member| member.right.clone()).collect();
    let choices =
        [0, 1].map(|half| best_on_other_half(&successes, half).and_then(|at| members.get(at)));
    let note = join_names(choices.iter().flatten().map(|member| member.name.as_str()));
    method("best single member", note, records, |at, record| {
        let member = choices.get(half(at)).copied().flatten();
        Pick::solo(member.and_then(|member| record.answer_of(&member.name)))
    })
}

fn join_names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names: Vec<&str> = names.collect();
    names.dedup();
    names.join(" / ")
}

/// The largest pool of equal answers; if several are equal, the one whose first member finished first.
fn majority(record: &QuestionRecord) -> Option<Answer<'_>> {
    let mut answers: Vec<Answer<'_>> = record.answers().collect();
    answers.sort_by(|x, y| x.candidate.took_ms.total_cmp(&y.candidate.took_ms));
    let pools = agree::pools(answers.iter().map(|answer| answer.candidate.text.as_str()));
    let largest = (0..answers.len()).rev().max_by_key(|at| {
        let pool = pools.get(*at);
        pools.iter().filter(|member| Some(*member) == pool).count()
    })?;
    answers.get(largest).copied()
}

/// The candidate that one judge finds likeliest. For its own candidate a writer's opinion is the
/// log-probability that it reports. None if this judge has no ballot.
fn by_judge<'a>(record: &'a QuestionRecord, judge: &str) -> Option<Answer<'a>> {
    let round = record.round.as_ref()?;
    let ballot = round.ballots.iter().find(|ballot| ballot.model == judge)?;
    let scores = ballot.scores.iter().map(|score| (score.candidate, score.logprob));
    let own = round
        .candidates
        .iter()
        .enumerate()
        .filter(|(_, candidate)| candidate.model == judge)
        .filter_map(|(at, candidate)| Some((at, candidate.logprob?)));
    let (best, _) = scores.chain(own).max_by(|x, y| x.1.total_cmp(&y.1).then(y.0.cmp(&x.0)))?;
    record.answers().find(|answer| answer.index == Some(best))
}

/// One judge's pick; the majority's if it has no ballot.
fn by_judge_or_majority<'a>(record: &'a QuestionRecord, judge: &str) -> Option<Answer<'a>> {
    by_judge(record, judge).or_else(|| majority(record))
}

/// Best of n with the judge that picks best on the other half. If it did not judge (the round
/// ended by agreement), the majority counts.
fn best_of_n(records: &[QuestionRecord]) -> Method {
    let judges = models(records);
    let successes: Vec<Vec<bool>> =
        judges.iter().map(|judge| successes_of_judge(records, judge)).collect();
    let choices =
        [0, 1].map(|half| best_on_other_half(&successes, half).and_then(|at| judges.get(at)));
    let note = join_names(choices.iter().flatten().map(|judge| judge.as_str()));
    method("best of n, one judge", note, records, |at, record| {
        let judge = choices.get(half(at)).copied().flatten().map_or("", String::as_str);
        let mut ballots = record.round.iter().flat_map(|round| &round.ballots);
        let ballot = ballots.find(|ballot| ballot.model == judge);
        let tokens =
            candidate_tokens(record) + ballot.map_or(0, |ballot| u64::from(ballot.prompt_tokens));
        Pick::new(
            by_judge_or_majority(record, judge),
            tokens,
            seconds(record, |timings| timings.total),
        )
    })
}

fn successes_of_judge(records: &[QuestionRecord], judge: &str) -> Vec<bool> {
    records
        .iter()
        .map(|record| by_judge_or_majority(record, judge).is_some_and(|answer| answer.right))
        .collect()
}

/// Nats that make a likelihood difference a clear verdict (measured on the pilot: results for 1 to 20
/// differ by three points).
const TEMPERATURE: f64 = 5.0;

/// Bradley-Terry over pools from likelihoods converted to pair verdicts σ(difference / T), with equal
/// weights for all judges and no standing. Without ballots the majority counts.
fn uniform(record: &QuestionRecord) -> Option<Answer<'_>> {
    let round = record.round.as_ref()?;
    let comparisons: Vec<Comparison> =
        round.ballots.iter().flat_map(|ballot| comparisons(round, ballot)).collect();
    if comparisons.is_empty() {
        return majority(record);
    }
    let pools = round.candidates.iter().map(|candidate| candidate.pool + 1).max()?;
    let fit = rank::fit(&vec![0.0; pools], &comparisons, &RankSettings::default());
    record
        .answers()
        .filter(|answer| answer.index.is_some())
        .map(|answer| (fit.strengths.get(answer.candidate.pool), answer))
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, answer)| answer)
}

fn comparisons(round: &Round, ballot: &Ballot) -> Vec<Comparison> {
    let mut comparisons = Vec::new();
    for (at, first) in ballot.scores.iter().enumerate() {
        for second in ballot.scores.iter().skip(at + 1) {
            let p = sigmoid((first.logprob - second.logprob) / TEMPERATURE);
            comparisons.extend(comparison(round, first.candidate, second.candidate, p));
        }
    }
    comparisons
        .extend(ballot.pairs.iter().filter_map(|pair| comparison(round, pair.a, pair.b, pair.p)));
    comparisons
}

/// A verdict on two candidates as one on their pools; None if they share a pool.
fn comparison(round: &Round, first: usize, second: usize, p: f64) -> Option<Comparison> {
    let a = round.candidates.get(first)?.pool;
    let b = round.candidates.get(second)?.pool;
    (a != b).then_some(Comparison { a, b, p, weight: 1.0, discrimination: 1.0 })
}

/// Tokens of all candidates.
fn candidate_tokens(record: &QuestionRecord) -> u64 {
    record.answers().map(|answer| answer.candidate.tokens()).sum()
}

/// Tokens of the round: candidates and ballots.
fn round_tokens(record: &QuestionRecord) -> u64 {
    record.round.as_ref().map_or(0, Round::tokens)
}

fn seconds(record: &QuestionRecord, phase: impl Fn(&Timings) -> f64) -> f64 {
    record.round.as_ref().map_or(0.0, |round| phase(&round.timings_ms) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Candidate, Score, SoloAnswer};

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

    /// `answers`: model and answer, in order of finishing; right is "1".
    fn record(answers: &[(&str, &str)], ballots: Vec<Ballot>) -> QuestionRecord {
        let mut candidates: Vec<Candidate> =
            (1..).zip(answers).map(|(at, (m, a))| candidate(m, a, f64::from(at))).collect();
        let pools = agree::pools(answers.iter().map(|(_, answer)| *answer));
        for (candidate, pool) in candidates.iter_mut().zip(pools) {
            candidate.pool = pool;
        }
        QuestionRecord {
            rights: answers.iter().map(|(_, answer)| *answer == "1").collect(),
            round: Some(Round { candidates, ballots, ..Round::default() }),
            ..QuestionRecord::default()
        }
    }

    fn ballot(judge: &str, scores: &[(usize, f64)]) -> Ballot {
        let scores = scores.iter().map(|(candidate, logprob)| Score {
            candidate: *candidate,
            logprob: *logprob,
            tokens: 1,
        });
        Ballot { model: judge.into(), scores: scores.collect(), ..Ballot::default() }
    }

    #[test]
    fn a_majority_tie_goes_to_the_first_to_finish() {
        let tie = record(&[("a", "2"), ("b", "1"), ("c", "1"), ("d", "2")], vec![]);
        assert!(!majority(&tie).unwrap().right);
        let late_tie =
            record(&[("a", "3"), ("b", "1"), ("c", "2"), ("d", "1"), ("e", "2")], vec![]);
        assert!(majority(&late_tie).unwrap().right);
        assert!(majority(&QuestionRecord::default()).is_none());
    }

    #[test]
    fn members_asked_by_name_vote_as_well() {
        let mut record = record(&[("a", "2"), ("b", "1")], vec![]);
        record.solo_answers.push(SoloAnswer { candidate: candidate("c", "1", 9.0), right: true });
        assert!(majority(&record).unwrap().right);
    }

    #[test]
    fn one_judge_picks_what_it_finds_likeliest_its_own_included() {
        let answers = [("a", "2"), ("b", "1"), ("c", "3")];
        let foreign = record(&answers, vec![ballot("a", &[(1, -0.5), (2, -3.0)])]);
        assert!(by_judge(&foreign, "a").unwrap().right);
        let own = record(&answers, vec![ballot("a", &[(1, -1.5), (2, -3.0)])]);
        assert!(!by_judge(&own, "a").unwrap().right);
        assert!(by_judge(&foreign, "b").is_none());
    }

    #[test]
    fn uniform_bradley_terry_follows_the_judges_and_falls_back_to_the_majority() {
        let answers = [("a", "2"), ("b", "1"), ("c", "2")];
        let with_ballots = record(
            &answers,
            vec![ballot("a", &[(1, -1.0), (2, -9.0)]), ballot("c", &[(0, -8.0), (1, -1.0)])],
        );
        assert!(uniform(&with_ballots).unwrap().right);
        assert!(!uniform(&record(&answers, vec![])).unwrap().right);
    }

    #[test]
    fn the_best_single_member_is_chosen_on_the_other_half() {
        // `a` is right on even questions only, `b` on odd ones only: the best on one half is wrong
        // on the other.
        let records: Vec<QuestionRecord> = (0..10)
            .map(|at| {
                let (a, b) = if at % 2 == 0 { ("1", "2") } else { ("2", "1") };
                record(&[("a", a), ("b", b)], vec![])
            })
            .collect();
        let methods = Methods::new(&records);
        assert_eq!(methods.best_single.correct(), 0);
        assert_eq!(methods.oracle.correct(), 10);
        assert!((methods.mean_member - 0.5).abs() < 1e-12);
    }
}
