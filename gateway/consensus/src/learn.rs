//! What a finished round says of those who took part in it.
//!
//! Each is held against the ranking made without its own ballots, and only where that ranking is
//! clear (learning from unclear ones by P(best) was tried: some swarms came to believe nobody, and
//! fell 20 points below a vote). It weighs little beside gold: a crowd can be wrong, or bought.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::{
    ballot::{CastBallot, Verdicts},
    outcome::{Decided, Outcome},
    rank,
    reputation::{
        Claims, CrowdObservation, Features, KindPosterior, Observation, Standing, routing::Lesson,
    },
    settings::RoundSettings,
    tally::rank_all,
};

/// P(best) from which the others' opinion is taken for one.
const CLEAR: f64 = 0.8;

/// What a round shows of each of its members.
pub fn observations(
    outcome: &Outcome,
    kind: &KindPosterior,
    standing: &Standing,
    config: &RoundSettings,
) -> Vec<(NodeId, Vec<Observation>)> {
    if outcome.decided != Decided::Judged {
        // Without ballots the crowd has only agreed with itself.
        return Vec::new();
    }
    let preferred = preferred(outcome, kind, standing, config);
    let mut members: Vec<NodeId> = outcome.candidates.iter().map(|one| one.writer).collect();
    members.extend(outcome.ballots.iter().map(|ballot| ballot.judge));
    members.sort();
    members.dedup();
    members
        .into_iter()
        .map(|member| {
            let mut seen = of_one(member, outcome, kind, standing, config);
            let wrote = outcome.candidates.iter().find(|candidate| candidate.writer == member);
            let share = wrote.and_then(|candidate| preferred.get(&candidate.pool).copied());
            seen.extend(
                share.map(|share| CrowdObservation::Preferred { share }).map(Observation::Crowd),
            );
            (member, seen)
        })
        .filter(|(_, seen)| !seen.is_empty())
        .collect()
}

/// What a writer's answer teaches of whom to ask: whether it was the winning one, with the weight
/// of P(best).
pub fn routed(
    seen: &[Observation],
    outcome: &Outcome,
    (asked, claims): (&Features, Claims),
    offset: f64,
) -> Option<Observation> {
    let wrote = seen.iter().find_map(|one| match one {
        Observation::Crowd(CrowdObservation::Wrote { agreed }) => Some(*agreed),
        _ => None,
    });
    let weight = outcome.ranking.p_best.iter().copied().fold(0.0, f64::max);
    let lesson = |right| Lesson { ask: asked.clone(), claims, offset, right, weight };
    wrote.map(|right| Observation::Routed(lesson(right)))
}

/// For each pool that was compared with others: in which share of the comparisons it was found
/// better, each with the weight of its judge's word.
///
/// Of verdicts alone and not of the ranking, which holds what is known of the writers already: what
/// is learned from itself grows without end. So no round is too unclear to be learned from.
fn preferred(
    outcome: &Outcome,
    kind: &KindPosterior,
    standing: &Standing,
    config: &RoundSettings,
) -> BTreeMap<usize, f64> {
    let (candidates, ballots) = (&outcome.candidates, &outcome.ballots);
    let comparisons = rank::comparisons(candidates, ballots, &standing.on(kind), &config.rank);
    let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
    for one in comparisons {
        let weight = one.weight * one.discrimination.abs();
        // Whom gold shows to be wrong means the other one.
        let p = if one.discrimination < 0.0 { 1.0 - one.p } else { one.p };
        for (pool, p) in [(one.a, p), (one.b, 1.0 - p)] {
            let sum = sums.entry(pool).or_default();
            *sum = (sum.0 + weight * p, sum.1 + weight);
        }
    }
    let told = sums.into_iter().filter(|(_, (_, weight))| *weight > 0.0);
    told.map(|(pool, (sum, weight))| (pool, sum / weight)).collect()
}

fn of_one(
    member: NodeId,
    outcome: &Outcome,
    kind: &KindPosterior,
    standing: &Standing,
    config: &RoundSettings,
) -> Vec<Observation> {
    let candidates = &outcome.candidates;
    let own = outcome.ballots.iter().find(|ballot| ballot.judge == member);
    let mut seen = Vec::new();
    if let Some(ballot @ CastBallot { verdicts: Verdicts::Pairs(pairs), .. }) = own {
        let way = ballot.way();
        let compared = |flipped| CrowdObservation::Compared { flipped, way };
        let flips = pairs.iter().map(|pair| compared(pair.flipped));
        seen.extend(flips.map(Observation::Crowd));
    }
    let without = own.map(|_| {
        let others = outcome.ballots.iter().filter(|ballot| ballot.judge != member);
        let others: Vec<CastBallot> = others.cloned().collect();
        let ranking = rank_all(candidates, &others, kind, standing, config);
        (others.len(), ranking)
    });
    // Who cast no ballot is held against the round's own ranking: P(best) is the dear part of it.
    let (ballots, ranking) = match &without {
        Some((ballots, ranking)) => (*ballots, ranking),
        None => (outcome.ballots.len(), &outcome.ranking),
    };
    let best = ranking.order.first().copied().unwrap_or(0);
    let clear = ranking.p_best.get(best).is_some_and(|p| *p >= CLEAR);
    let Some(winning) = candidates.get(best).filter(|_| clear && ballots > 0).map(|one| one.pool)
    else {
        return seen;
    };
    let wrote = candidates.iter().find(|candidate| candidate.writer == member);
    if let Some(candidate) = wrote {
        let agreed = candidate.pool == winning;
        seen.push(Observation::Crowd(CrowdObservation::Wrote { agreed }));
    }
    if let Some(first) = own.and_then(|ballot| put_first(ballot, outcome, standing)) {
        let agreed = first == winning;
        seen.push(Observation::Crowd(CrowdObservation::Judged { agreed }));
    }
    seen
}

/// The pool that a judge put first; None when it saw less than two, which is no choice.
fn put_first(ballot: &CastBallot, outcome: &Outcome, standing: &Standing) -> Option<usize> {
    let pool = |at: usize| outcome.candidates.get(at).map(|candidate| candidate.pool);
    let mut points: BTreeMap<usize, f64> = BTreeMap::new();
    match &ballot.verdicts {
        Verdicts::Scores(scores) => {
            for score in scores {
                let best = points.entry(pool(score.candidate)?).or_insert(f64::NEG_INFINITY);
                let candidate = outcome.candidates.get(score.candidate)?;
                let text = candidate.likelihood(score.logprob);
                *best = best.max(standing.score_line(&ballot.judge).log_odds(text));
            }
        }
        Verdicts::Pairs(pairs) => {
            for pair in pairs {
                *points.entry(pool(pair.a)?).or_default() += pair.p;
                *points.entry(pool(pair.b)?).or_default() += 1.0 - pair.p;
            }
        }
    }
    if points.len() < 2 {
        return None;
    }
    points.into_iter().max_by(|x, y| x.1.total_cmp(&y.1)).map(|(pool, _)| pool)
}

#[cfg(test)]
mod tests;
