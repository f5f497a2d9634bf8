//! Verdicts of the bundled specialists by logit, on the rounds of records. In a live round the gateway asks
//! members that report likelihoods for these, so nobody casts such verdicts.
//!
//! A question that compares two answers is long, and the specialists read 512 tokens of one byte each.
//! The node refuses a question that does not fit, and it is left out here.

use std::path::Path;

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use shoal_consensus::{agree, ballot::PairVerdict};
use shoal_proto::judge::{BallotKind, Pair as ShownPair};

use crate::{
    real::{collect::ask, host::Member, nodes},
    record::{Ballot, Pair, QuestionRecord, Round},
};

/// Pairs for a judge in each round, each in both orders: all pairs of three pools.
const PAIRS: usize = 3;

/// Rounds in progress at the same time.
const CONCURRENCY: usize = 2;

/// The rounds of `records` with verdicts by logit instead of their ballots, as far as they fit.
///
/// # Errors
/// If the specialists cannot be started.
pub async fn collect(records: &[QuestionRecord], data: &Path) -> Result<Vec<QuestionRecord>> {
    let swarm = nodes::comparing_specialists(data).await?;
    let members = &swarm.members;
    let results = stream::iter(records.iter().enumerate())
        .map(|(at, record)| async move { judge(record, at, members).await })
        .buffered(CONCURRENCY);
    let results = results.collect().await;
    swarm.end().await;
    Ok(results)
}

async fn judge(record: &QuestionRecord, at: usize, members: &[Member]) -> QuestionRecord {
    let Some(round) = &record.round else { return record.clone() };
    let mut ballots = Vec::new();
    for member in members {
        let model = &member.model.name;
        // A member that wrote nothing has no key in the record.
        let Some(judge) = round.candidates.iter().find(|writer| writer.model == *model) else {
            continue;
        };
        let mut ballot =
            Ballot { judge: judge.writer.clone(), model: model.clone(), ..Ballot::default() };
        for (a, b) in pairs(record, round, &judge.writer, at) {
            let Some((pair, tokens)) = compare(member, record, round, (a, b)).await else {
                continue;
            };
            ballot.pairs.push(pair);
            ballot.prompt_tokens = ballot.prompt_tokens.saturating_add(tokens);
        }
        if !ballot.pairs.is_empty() {
            ballots.push(ballot);
        }
    }
    record.with_round(Round { ballots, ..round.clone() })
}

/// Pairs of neighbours in a circle of the pools, which starts at another pool in each round. The first
/// candidate that neither this judge nor a member with its weights wrote stands for its pool.
fn pairs(record: &QuestionRecord, round: &Round, judge: &str, at: usize) -> Vec<(usize, usize)> {
    let pools = agree::pools(round.candidates.iter().map(|candidate| candidate.text.as_str()));
    let mut circle: Vec<usize> = Vec::new();
    for (index, candidate) in round.candidates.iter().enumerate() {
        let pool = pools.get(index);
        if !same_weights(record, &candidate.writer, judge)
            && !circle.iter().any(|earlier| pools.get(*earlier) == pool)
        {
            circle.push(index);
        }
    }
    let count = match circle.len() {
        0 | 1 => 0,
        2 => 1,
        pools => pools.min(PAIRS),
    };
    let start = at % circle.len().max(1);
    circle.rotate_left(start);
    let second = circle.iter().cycle().skip(1);
    circle.iter().zip(second).take(count).map(|(a, b)| (*a, *b)).collect()
}

/// Whether two members are the same or serve the same weights.
fn same_weights(record: &QuestionRecord, member: &str, judge: &str) -> bool {
    let digest = record.digests.get(judge);
    member == judge || (digest.is_some() && digest == record.digests.get(member))
}

/// Both orders as one verdict, and the tokens read; None if the question does not fit.
async fn compare(
    member: &Member,
    record: &QuestionRecord,
    round: &Round,
    (a, b): (usize, usize),
) -> Option<(Pair, u32)> {
    let texts = [round.candidates.get(a)?.text.as_str(), round.candidates.get(b)?.text.as_str()];
    let orders = [ShownPair { first: 0, second: 1 }, ShownPair { first: 1, second: 0 }];
    let question = ask(&record.question, &texts, &orders, BallotKind::Pairwise);
    let (ballot, _) = member.judge(question).await.ok()?;
    let [first, second] = ballot.verdicts.as_slice() else { return None };
    let PairVerdict { p, flipped: flip, .. } = PairVerdict::from_orders(a, b, *first, *second);
    Some((Pair { a, b, p, flip }, ballot.prompt_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::swarm;

    #[test]
    fn a_judge_is_shown_pools_that_neither_it_nor_its_weights_wrote() {
        let mut record = swarm(1, 6, 20, 3).remove(0);
        let round = record.round.clone().unwrap();
        let writer = |at: usize| round.candidates[at].writer.clone();
        for at in 0..10 {
            let pairs = pairs(&record, &round, &writer(2), at);
            assert!(
                pairs.len() <= PAIRS && pairs.iter().all(|(a, b)| a != b && *a != 2 && *b != 2)
            );
        }
        record.digests = [2, 4].map(|at| (writer(at), "x".to_owned())).into();
        for at in 0..10 {
            let pairs = pairs(&record, &round, &writer(2), at);
            assert!(pairs.iter().all(|(a, b)| ![2, 4].contains(a) && ![2, 4].contains(b)));
        }
    }

    #[test]
    fn equal_answers_are_no_pair() {
        let mut record = swarm(1, 4, 2, 3).remove(0);
        let mut round = record.round.take().unwrap();
        for candidate in &mut round.candidates {
            candidate.text = "Answer: 1".to_owned();
        }
        assert!(pairs(&record, &round, "nobody", 0).is_empty());
    }
}
