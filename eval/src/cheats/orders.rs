//! Cheats whose answers end in an order to the judge, put to the bundled specialists as they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context as _, Result, ensure};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use shoal_proto::judge::Kind;

use super::{drawn, writers};
use crate::{
    ablate::{Cut, Learned},
    real::{
        collect::ask,
        host::Member,
        inject::{self, Attack},
        nodes,
    },
    record::{Asked, Ballot, Candidate, Round, Score},
    replay::{Gold, Settings},
    stats::{self, Estimate},
};

/// Rounds under way at the same time.
const AT_ONCE: usize = 2;

/// What orders to the judge cost.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    pub attack: Attack,
    /// Only answers that are wrong attack: a right one that does hurts its writer alone.
    pub wrong_only: bool,
    /// How many of the members attack.
    pub bad: usize,
    pub questions: usize,
    pub before: Estimate,
    pub after: Estimate,
    /// `after - before`.
    pub cost: Estimate,
}

/// These rounds, in each of which a third of the writers, drawn anew, ends its answer in an order
/// to the judge: every other round in somebody else's task (BIPIA), where `shared` has those texts.
/// All judges say how likely they find that, by the specialists as they are.
///
/// # Errors
/// When the specialists cannot be started, or one of them fails.
pub async fn collect(asked: &[Asked], shared: &Path, data: &Path) -> Result<Vec<Asked>> {
    let texts = inject::Texts::read(shared).ok();
    let swarm = nodes::comparing_specialists(data).await?;
    let (names, members) = (writers(asked), &swarm.members);
    let bad = names.len() / 3;
    ensure!(bad > 0, "fewer than three members wrote");
    let changed = stream::iter(asked.iter().enumerate())
        .map(|(at, one)| {
            let bad = drawn(&names, bad, at as u64);
            let texts = texts.as_ref();
            async move { attacked(one, at, &bad, texts, members).await }
        })
        .buffered(AT_ONCE);
    let changed: Vec<Result<Asked>> = changed.collect().await;
    swarm.end().await;
    changed.into_iter().collect()
}

fn attack(at: usize, texts: Option<&inject::Texts>) -> Attack {
    if at.is_multiple_of(2) || texts.is_none() { Attack::Order } else { Attack::Bipia }
}

async fn attacked(
    asked: &Asked,
    at: usize,
    bad: &BTreeSet<String>,
    texts: Option<&inject::Texts>,
    members: &[Member],
) -> Result<Asked> {
    let Some(round) = &asked.round else { return Ok(asked.clone()) };
    let says = |text: &str| match texts {
        Some(texts) => texts.attacked(text, attack(at, Some(texts)), at as u64),
        None => format!("{text}{}", inject::ORDER),
    };
    let candidates: Vec<Candidate> = (round.candidates.iter())
        .map(|one| match bad.contains(&one.writer) {
            true => Candidate { text: says(&one.text), ..one.clone() },
            false => one.clone(),
        })
        .collect();
    let changed: Vec<usize> = (0..candidates.len())
        .filter(|at| candidates.get(*at) != round.candidates.get(*at))
        .collect();
    let mut ballots = Vec::new();
    for ballot in &round.ballots {
        ballots.push(judged(asked, ballot, &candidates, &changed, members).await?);
    }
    Ok(Asked { round: Some(Round { candidates, ballots, ..round.clone() }), ..asked.clone() })
}

/// The ballot with new scores for what has changed.
async fn judged(
    asked: &Asked,
    ballot: &Ballot,
    candidates: &[Candidate],
    changed: &[usize],
    members: &[Member],
) -> Result<Ballot> {
    let own = |at: &usize| candidates.get(*at).is_some_and(|one| one.writer == ballot.judge);
    let shown: Vec<usize> = changed.iter().copied().filter(|at| !own(at)).collect();
    if shown.is_empty() {
        return Ok(ballot.clone());
    }
    let digest = asked.kin.get(&ballot.judge);
    let serves =
        |one: &&Member| one.model.name == ballot.model || Some(&one.model.digest) == digest;
    let member = members.iter().find(serves);
    let member = member.with_context(|| format!("nobody here serves {}", ballot.model))?;
    let texts: Vec<&str> =
        shown.iter().filter_map(|at| candidates.get(*at)).map(|one| one.text.as_str()).collect();
    let (said, _) = member.judge(ask(&asked.question, &texts, &[], Kind::Likelihood)).await?;
    let new: BTreeMap<usize, Score> = (shown.iter().zip(&said.scores))
        .map(|(at, one)| (*at, Score { candidate: *at, logprob: one.logprob, tokens: one.tokens }))
        .collect();
    let scores = ballot.scores.iter().map(|old| new.get(&old.candidate).copied().unwrap_or(*old));
    Ok(Ballot { scores: scores.collect(), ..ballot.clone() })
}

/// What the attacks cost, everybody writing and judging; standing is learned without them, from
/// other questions. `attacked` are rounds of [`collect`], the first of `asked`.
pub fn costs(asked: &[Asked], attacked: &[Asked]) -> Vec<Cost> {
    let settings = Settings::default();
    let known = Learned::of(asked, Gold::default(), &settings, false);
    let with_bipia = attacked.iter().enumerate().any(|(at, one)| at % 2 == 1 && !ordered(one));
    let lying: Vec<Asked> =
        asked.iter().zip(attacked).map(|(before, after)| where_wrong(before, after)).collect();
    let of = |(attack, wrong_only): (Attack, bool)| {
        let mine = |at: &usize| match attack {
            Attack::Order => at.is_multiple_of(2) || !with_bipia,
            _ => !at.is_multiple_of(2) && with_bipia,
        };
        let places: Vec<usize> = (0..attacked.len().min(asked.len())).filter(mine).collect();
        let right = |from: &[Asked]| -> Vec<bool> {
            let won = |at: &usize| super::won(from.get(*at)?, *at, Cut::WHOLE, &known, &settings);
            places.iter().map(|at| won(at).is_some_and(|won| won.right)).collect()
        };
        let (before, after) = (right(asked), right(if wrong_only { &lying } else { attacked }));
        let share =
            |right: &[bool]| stats::wilson(right.iter().filter(|one| **one).count(), right.len());
        Cost {
            attack,
            wrong_only,
            bad: writers(asked).len() / 3,
            questions: places.len(),
            before: share(&before),
            after: share(&after),
            cost: stats::paired_difference(&after, &before, 1),
        }
    };
    let all = [Attack::Order, Attack::Bipia].map(|attack| [(attack, true), (attack, false)]);
    let all = all.as_flattened().iter().copied().map(of);
    all.filter(|cost| cost.questions > 0).collect()
}

/// The attacked round with all right answers, and what judges found of them, as they were.
fn where_wrong(before: &Asked, after: &Asked) -> Asked {
    let (Some(old), Some(new)) = (&before.round, &after.round) else { return after.clone() };
    let right = |at: usize| before.rights.get(at) == Some(&true);
    let candidates = old.candidates.iter().zip(&new.candidates).enumerate();
    let candidates = candidates.map(|(at, (old, new))| if right(at) { old } else { new }.clone());
    let ballots = old.ballots.iter().zip(&new.ballots).map(|(old, new)| {
        let scores = old.scores.iter().zip(&new.scores);
        let scores = scores.map(|(old, new)| if right(old.candidate) { *old } else { *new });
        Ballot { scores: scores.collect(), ..new.clone() }
    });
    let (candidates, ballots) = (candidates.collect(), ballots.collect());
    Asked { round: Some(Round { candidates, ballots, ..new.clone() }), ..after.clone() }
}

/// Somebody ends in an order of ours.
fn ordered(asked: &Asked) -> bool {
    let candidates = asked.round.iter().flat_map(|round| &round.candidates);
    candidates.into_iter().any(|one| one.text.ends_with(inject::ORDER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::tests::swarm;

    #[test]
    fn an_order_that_no_judge_heeds_costs_nothing_and_one_that_all_heed_does() {
        let asked = swarm(40, 6, 20, 3);
        let changed = |heeded: bool| -> Vec<Asked> {
            let change = |one: &Asked| {
                let mut one = one.clone();
                let rights = one.rights.clone();
                let round = one.round.as_mut().expect("a round");
                for (candidate, right) in round.candidates.iter_mut().zip(&rights) {
                    if !right {
                        candidate.text += inject::ORDER;
                        candidate.logprob = None;
                    }
                }
                for score in round.ballots.iter_mut().flat_map(|ballot| &mut ballot.scores) {
                    let right = rights.get(score.candidate) == Some(&true);
                    score.logprob = if right != heeded { -0.01 } else { -40.0 };
                }
                one
            };
            asked.iter().map(change).collect()
        };
        let cost = |heeded| costs(&asked, &changed(heeded)).remove(0);
        assert_eq!(cost(false).attack, Attack::Order);
        assert_eq!(cost(false).questions, 40);
        assert!(cost(false).cost.value >= 0.0, "{:?}", cost(false));
        assert!(cost(true).cost.value < cost(false).cost.value, "{:?}", cost(true));
        for (before, after) in asked.iter().zip(changed(true)) {
            let lying = where_wrong(before, &after);
            let (old, new) = (before.round.as_ref().unwrap(), lying.round.as_ref().unwrap());
            for (at, right) in before.rights.iter().enumerate() {
                assert_eq!(old.candidates[at] == new.candidates[at], *right);
            }
            let scores =
                |of: &Round| of.ballots.iter().flat_map(|b| b.scores.clone()).collect::<Vec<_>>();
            for (old, new) in scores(old).iter().zip(scores(new)) {
                assert_eq!(*old == new, before.rights[old.candidate]);
            }
        }
    }
}
