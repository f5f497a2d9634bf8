//! What a finished round says of those who took part in it.
//!
//! Each is held against the ranking made without its own ballots, and only where that ranking is
//! clear (learning from unclear ones by P(best) was tried: some swarms came to believe nobody, and
//! fell 20 points below a vote). It weighs little beside gold: a crowd can be wrong, or bought.

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::{
    agree::AnswerForm,
    ballot::{CastBallot, Verdicts},
    candidate::Candidate,
    outcome::{Decision, Outcome, Ranking},
    reputation::{Claims, CrowdObservation, Features, Observation, routing::Lesson},
    tally::Tally,
};

/// P(best) from which the others' opinion is taken for one.
const CLEAR: f64 = 0.8;

impl Tally<'_> {
    /// What a finished round shows of each of its members. `ranking` is the round's own.
    pub fn observations(
        &self,
        decided: Decision,
        ranking: &Ranking,
    ) -> Vec<(NodeId, Vec<Observation>)> {
        let mut peers = self.peer_shares();
        if decided != Decision::Judged {
            // Without ballots the crowd has only agreed with itself, and that is all that is learned.
            return peers
                .into_iter()
                .map(|(member, observation)| (member, vec![observation]))
                .collect();
        }
        let preferred = self.preferred_shares();
        let mut members = self.writers();
        members.extend(self.ballots.iter().map(|ballot| ballot.judge));
        members.sort();
        members.dedup();
        members
            .into_iter()
            .map(|member| {
                let mut observations = self.observations_of(member, ranking);
                let share = (self.candidate_of(member))
                    .and_then(|candidate| preferred.get(&candidate.pool).copied());
                let share = share.map(|share| CrowdObservation::Preferred { share });
                observations.extend(share.map(Observation::Crowd));
                observations.extend(peers.remove(&member));
                (member, observations)
            })
            .filter(|(_, observations)| !observations.is_empty())
            .collect()
    }

    /// For each pool that was compared with others: in which share of the comparisons it was found
    /// better, each with the weight of its judge's word.
    ///
    /// Of verdicts alone and not of the ranking, which holds what is known of the writers already:
    /// what is learned from itself grows without end. So no round is too unclear to be learned from.
    fn preferred_shares(&self) -> BTreeMap<usize, f64> {
        let mut sums: BTreeMap<usize, (f64, f64)> = BTreeMap::new();
        for comparison in self.comparisons() {
            let weight = comparison.weight * comparison.discrimination.abs();
            // If gold shows that a judge is usually wrong, its verdict counts for the other answer.
            let wrong = comparison.discrimination < 0.0;
            let p = if wrong { 1.0 - comparison.p } else { comparison.p };
            for (pool, p) in [(comparison.a, p), (comparison.b, 1.0 - p)] {
                let sum = sums.entry(pool).or_default();
                *sum = (sum.0 + weight * p, sum.1 + weight);
            }
        }
        sums.into_iter()
            .filter(|(_, (_, weight))| *weight > 0.0)
            .map(|(pool, (sum, weight))| (pool, sum / weight))
            .collect()
    }

    /// Which share of the other writers gave the answer of each writer. Empty where no two could give
    /// the same answer: texts without a final answer differ whoever is right.
    fn peer_shares(&self) -> BTreeMap<NodeId, Observation> {
        let pools: Vec<usize> = self.candidates.iter().map(|candidate| candidate.pool).collect();
        if pools.len() < 3 || !self.has_final_answers() {
            return BTreeMap::new();
        }
        let kind = self.kind.top().filter(|(_, p)| *p > 0.5).map(|(kind, _)| kind.clone());
        let voices = self.standing.shares(&self.writers());
        let total: f64 = voices.iter().sum();
        let agreement_share = |pool: usize| {
            let alike = pools.iter().zip(&voices).filter(move |(rival, _)| **rival == pool);
            alike.map(|(_, voice)| *voice).sum::<f64>()
        };
        (self.candidates.iter().zip(&voices))
            .filter(|(_, own)| total - **own > 1e-9)
            .map(|(candidate, own)| {
                let share = (agreement_share(candidate.pool) - own) / (total - own);
                (candidate.writer, Observation::Peers { kind: kind.clone(), share })
            })
            .collect()
    }

    /// Two of them are alike, or most have a final answer.
    fn has_final_answers(&self) -> bool {
        self.pools() < self.candidates.len() || self.answer_form() != AnswerForm::Text
    }

    fn candidate_of(&self, member: NodeId) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.writer == member)
    }

    /// What the round shows of one member, but for how often it was preferred.
    fn observations_of(&self, member: NodeId, ranking: &Ranking) -> Vec<Observation> {
        let own = self.ballots.iter().find(|ballot| ballot.judge == member);
        let mut observations = Vec::new();
        if let Some(ballot @ CastBallot { verdicts: Verdicts::Pairs(pairs), .. }) = own {
            let way = ballot.way();
            let flips = pairs.iter().map(|pair| pair.flipped);
            let compared = flips.map(|flipped| CrowdObservation::Compared { flipped, way });
            observations.extend(compared.map(Observation::Crowd));
        }
        // Who cast no ballot is held against the round's own ranking: P(best) is the dear part of it.
        let clear = if own.is_some() {
            let ballots = self.without(member);
            let tally = Tally { ballots: &ballots, ..*self };
            tally.clear_winner(&tally.ranking())
        } else {
            self.clear_winner(ranking)
        };
        let Some(winning_pool) = clear else { return observations };
        if let Some(candidate) = self.candidate_of(member) {
            let agreement = candidate.pool == winning_pool;
            observations.push(Observation::Crowd(CrowdObservation::Wrote { agreement }));
        }
        if let Some(first) = own.and_then(|ballot| self.first_choice(ballot)) {
            let agreement = first == winning_pool;
            observations.push(Observation::Crowd(CrowdObservation::Judged { agreement }));
        }
        observations
    }

    /// The pool that these ballots clearly put first.
    fn clear_winner(&self, ranking: &Ranking) -> Option<usize> {
        let best = *ranking.order.first()?;
        let clear = !self.ballots.is_empty() && *ranking.p_best.get(best)? >= CLEAR;
        self.candidates.get(best).filter(|_| clear).map(|candidate| candidate.pool)
    }

    /// The pool that a judge put first; None when it saw less than two, which is no choice.
    fn first_choice(&self, ballot: &CastBallot) -> Option<usize> {
        let pool = |at: usize| self.candidates.get(at).map(|candidate| candidate.pool);
        let mut points: BTreeMap<usize, f64> = BTreeMap::new();
        match &ballot.verdicts {
            Verdicts::Scores(scores) => {
                for score in scores {
                    let candidate = self.candidates.get(score.candidate)?;
                    let best = points.entry(candidate.pool).or_insert(f64::NEG_INFINITY);
                    let text = candidate.likelihood(score.logprob);
                    *best = best.max(self.standing.score_line(&ballot.judge).log_odds(text));
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
}

/// What a writer's answer teaches of whom to ask: whether it was the winning one, with the weight
/// of P(best).
pub fn routed(
    observations: &[Observation],
    outcome: &Outcome,
    (features, claims): (&Features, Claims),
    offset: f64,
) -> Option<Observation> {
    let wrote = observations.iter().find_map(|observation| match observation {
        Observation::Crowd(CrowdObservation::Wrote { agreement }) => Some(*agreement),
        _ => None,
    });
    let weight = outcome.ranking.p_best.iter().copied().fold(0.0, f64::max);
    let lesson = |right| Lesson { ask: features.clone(), claims, offset, right, weight };
    wrote.map(|right| Observation::Routed(lesson(right)))
}

/// What an abstention teaches of whom to ask: this member has no answer to an ask in such words. It
/// says nothing against the answers that it does give.
pub fn abstention((features, claims): (&Features, Claims), offset: f64) -> Observation {
    let ask = features.clone();
    Observation::Routed(Lesson { ask, claims, offset, right: false, weight: 1.0 })
}

#[cfg(test)]
mod tests;
