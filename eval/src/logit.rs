//! Verdicts of the bundled specialists by logit, on kept rounds: the gateway asks who gives likelihoods
//! for those, so that nobody would cast them in a live round.
//!
//! A question that compares two answers is long, and the specialists read 512 tokens, a byte each:
//! what does not fit is refused by the node and left out here.

use std::path::Path;

use anyhow::Result;
use futures_util::{StreamExt as _, stream};
use shoal_consensus::agree;
use shoal_proto::judge::{Kind, Pair as Order};

use crate::{
    real::{collect::ask, host::Member, nodes},
    record::{Asked, Ballot, Pair, Round},
};

/// Pairs that a judge is given for each round, in both orders: as many as there are pools of three.
const PAIRS: usize = 3;

/// Rounds under way at the same time.
const AT_ONCE: usize = 2;

/// An opinion of .5 is none.
const UNDECIDED: f64 = 0.5;

/// These rounds with verdicts by logit in the place of their ballots, as far as they fit.
///
/// # Errors
/// When the specialists cannot be started.
pub async fn collect(asked: &[Asked], data: &Path) -> Result<Vec<Asked>> {
    let swarm = nodes::comparing_specialists(data).await?;
    let members = &swarm.members;
    let judged = stream::iter(asked.iter().enumerate())
        .map(|(at, one)| async move { judge(one, at, members).await })
        .buffered(AT_ONCE);
    let judged = judged.collect().await;
    swarm.end().await;
    Ok(judged)
}

async fn judge(asked: &Asked, at: usize, members: &[Member]) -> Asked {
    let Some(round) = &asked.round else { return asked.clone() };
    let mut ballots = Vec::new();
    for member in members {
        let model = &member.model.name;
        // Who is nobody's writer here has no key in the record.
        let Some(judge) = round.candidates.iter().find(|one| one.model == *model) else { continue };
        let mut ballot =
            Ballot { judge: judge.writer.clone(), model: model.clone(), ..Ballot::default() };
        for (a, b) in pairs(asked, round, &judge.writer, at) {
            let Some((pair, read)) = compare(member, asked, round, (a, b)).await else { continue };
            ballot.pairs.push(pair);
            ballot.prompt_tokens = ballot.prompt_tokens.saturating_add(read);
        }
        if !ballot.pairs.is_empty() {
            ballots.push(ballot);
        }
    }
    Asked { round: Some(Round { ballots, ..round.clone() }), ..asked.clone() }
}

/// Neighbours in a circle of the pools, beginning elsewhere in each round; each pool by the first that
/// neither this judge nor one of its weights wrote.
fn pairs(asked: &Asked, round: &Round, judge: &str, at: usize) -> Vec<(usize, usize)> {
    let pools = agree::pools(round.candidates.iter().map(|one| one.text.as_str()));
    let kin = |writer: &str| {
        let of = |key: &str| asked.kin.get(key);
        writer == judge || (of(judge).is_some() && of(judge) == of(writer))
    };
    let mut shown: Vec<usize> = Vec::new();
    for (candidate, one) in round.candidates.iter().enumerate() {
        let pool = pools.get(candidate);
        if !kin(&one.writer) && !shown.iter().any(|other| pools.get(*other) == pool) {
            shown.push(candidate);
        }
    }
    let count = match shown.len() {
        0 | 1 => 0,
        2 => 1,
        more => more.min(PAIRS),
    };
    let place = |step: usize| shown.get((at + step) % shown.len().max(1)).copied();
    (0..count).filter_map(|step| Some((place(step)?, place(step + 1)?))).collect()
}

/// Both orders as one verdict, and the tokens read; None where the question does not fit.
async fn compare(
    member: &Member,
    asked: &Asked,
    round: &Round,
    (a, b): (usize, usize),
) -> Option<(Pair, u32)> {
    let texts = [round.candidates.get(a)?.text.as_str(), round.candidates.get(b)?.text.as_str()];
    let orders = [Order { first: 0, second: 1 }, Order { first: 1, second: 0 }];
    let question = ask(&asked.question, &texts, &orders, Kind::Pairwise);
    let (ballot, _) = member.judge(question).await.ok()?;
    let [first, second] = ballot.verdicts.as_slice() else { return None };
    let flipped = (*first > UNDECIDED) == (*second > UNDECIDED);
    Some((Pair { a, b, p: (first + 1.0 - second) / 2.0, flipped }, ballot.prompt_tokens))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::swarm;

    #[test]
    fn a_judge_is_shown_pools_that_it_did_not_write_nor_its_kin() {
        let mut asked = swarm(1, 6, 20, 3).remove(0);
        let round = asked.round.clone().unwrap();
        let writer = |at: usize| round.candidates[at].writer.clone();
        for at in 0..10 {
            let shown = pairs(&asked, &round, &writer(2), at);
            assert!(
                shown.len() <= PAIRS && shown.iter().all(|(a, b)| a != b && *a != 2 && *b != 2)
            );
        }
        asked.kin = [2, 4].map(|at| (writer(at), "x".to_owned())).into();
        for at in 0..10 {
            let shown = pairs(&asked, &round, &writer(2), at);
            assert!(shown.iter().all(|(a, b)| ![2, 4].contains(a) && ![2, 4].contains(b)));
        }
    }

    #[test]
    fn who_all_say_the_same_are_no_pair() {
        let mut asked = swarm(1, 4, 2, 3).remove(0);
        let mut round = asked.round.take().unwrap();
        round.candidates.iter_mut().for_each(|one| one.text = "Answer: 1".to_owned());
        assert!(pairs(&asked, &round, "nobody", 0).is_empty());
    }
}
