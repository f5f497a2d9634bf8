//! What a finished round shows of its members.
//!
//! Each member is compared with the ranking without its own ballots, if that ranking is clear. (Learning from
//! unclear rankings with weight P(best) was tried: in some swarms no member kept any weight, and they fell 20
//! points below a vote.) These observations weigh little beside gold, because a crowd can be wrong or bought.

mod labelled;

use std::collections::BTreeMap;

use shoal_proto::NodeId;

use crate::{
    agree::AnswerForm,
    ballot::{CastBallot, Verdicts},
    candidate::Candidate,
    outcome::{Decision, Outcome, Ranking},
    reputation::{Claims, CrowdObservation, Features, Lesson, Observation},
    tally::Tally,
};

/// P(best) from which the ranking of the others is clear.
const CLEAR: f64 = 0.8;

impl Tally<'_> {
    /// What a finished round shows of each of its members. `ranking` is the round's own.
    pub fn observations(
        &self,
        decision: Decision,
        ranking: &Ranking,
    ) -> Vec<(NodeId, Vec<Observation>)> {
        let mut peers = self.peer_shares();
        if decision != Decision::Judged {
            // Without ballots only the agreement of the writers is known.
            return peers
                .into_iter()
                .map(|(member, observation)| (member, vec![observation]))
                .collect();
        }
        let preferences = self.preferred_shares();
        let mut members = self.writers();
        members.extend(self.ballots.iter().map(|ballot| ballot.judge));
        members.sort();
        members.dedup();
        members
            .into_iter()
            .map(|member| {
                let mut observations = self.observations_of(member, ranking);
                let share = (self.candidate_of(member))
                    .and_then(|candidate| preferences.get(&candidate.pool).copied());
                let share = share.map(|share| CrowdObservation::Preferred { share });
                observations.extend(share.map(Observation::Crowd));
                observations.extend(peers.remove(&member));
                (member, observations)
            })
            .filter(|(_, observations)| !observations.is_empty())
            .collect()
    }

    /// For each pool that was compared with others: the share of the comparisons in which it was preferred,
    /// each with the weight of its judge.
    ///
    /// Uses verdicts only. The ranking already contains the writers' records, and learning from it again would
    /// reinforce them without bound.
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
        if self.candidates.len() < 3 || !self.has_final_answers() {
            return BTreeMap::new();
        }
        let kind = self.kind.top().filter(|(_, p)| *p > 0.5).map(|(kind, _)| kind.clone());
        let voices = self.standing.shares(&self.writers());
        let total: f64 = voices.iter().sum();
        let sums: Vec<f64> =
            self.by_pool(voices.iter().copied()).iter().map(|voices| voices.iter().sum()).collect();
        (self.candidates.iter().zip(&voices).zip(self.by_candidate(&sums)))
            .filter(|((_, own), _)| total - **own > 1e-9)
            .map(|((candidate, own), sum)| {
                let share = (sum - own) / (total - own);
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

    /// What the round shows of one member, except how often it was preferred.
    fn observations_of(&self, member: NodeId, ranking: &Ranking) -> Vec<Observation> {
        let own = self.ballots.iter().find(|ballot| ballot.judge == member);
        let mut observations = Vec::new();
        if let Some(ballot @ CastBallot { verdicts: Verdicts::Pairs(pairs), .. }) = own {
            let mode = ballot.mode();
            observations.extend(pairs.iter().map(|pair| {
                Observation::Crowd(CrowdObservation::Compared { flipped: pair.flipped, mode })
            }));
        }
        // A member without a ballot is compared with the round's own ranking, because computing P(best) again is
        // expensive.
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
        clear.then(|| self.candidate(best).pool)
    }

    /// The pool that a judge put first; None if it saw fewer than two.
    fn first_choice(&self, ballot: &CastBallot) -> Option<usize> {
        let mut points: BTreeMap<usize, f64> = BTreeMap::new();
        match &ballot.verdicts {
            Verdicts::Scores(scores) => {
                for score in scores {
                    let candidate = self.candidate(score.candidate);
                    let best = points.entry(candidate.pool).or_insert(f64::NEG_INFINITY);
                    let text = candidate.likelihood(score.logprob);
                    *best = best.max(self.standing.score_line(&ballot.judge).log_odds(text));
                }
            }
            Verdicts::Pairs(pairs) => {
                for pair in pairs {
                    *points.entry(self.candidate(pair.a).pool).or_default() += pair.p;
                    *points.entry(self.candidate(pair.b).pool).or_default() += 1.0 - pair.p;
                }
            }
        }
        if points.len() < 2 {
            return None;
        }
        points.into_iter().max_by(|x, y| x.1.total_cmp(&y.1)).map(|(pool, _)| pool)
    }
}

/// The routing lesson of a writer's answer: whether it won, with weight P(best).
pub fn routing_lesson(
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
    let ask = features.clone();
    wrote.map(|right| Observation::Routed(Lesson { ask, claims, offset, right, weight }))
}

/// The routing lesson of an abstention: this member has no answer to an ask with such words. The answers that
/// it gives are not affected.
pub fn abstention((features, claims): (&Features, Claims), offset: f64) -> Observation {
    let ask = features.clone();
    Observation::Routed(Lesson { ask, claims, offset, right: false, weight: 1.0 })
}

#[cfg(test)]
mod tests;
