//! The exam of a judge: gold candidates to score and gold pairs to compare, in every way that rounds
//! ask of it. It goes on whenever there are new candidates.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc};

use rand::{SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{hello::Model, judge::BallotKind};

use super::{
    super::{Swarm, WorkError, probe, roster::MemberHandle},
    plan::is_metered,
};
use shoal_consensus::reputation::ComparisonMode;

/// Observations after which a judge's record is updated during its exam.
const LEARN_EVERY: usize = 16;

/// Failures after which a judge's exam pauses until there are new answers.
const FAILURES_MAX: usize = 5;

/// Examines a member as a judge, for as long as the future is awaited.
pub(super) async fn examine_judge(swarm: &Swarm, member: &Arc<MemberHandle>) -> Infallible {
    let gold = &swarm.0.gold;
    let mut candidate_count = gold.subscribe();
    let mut exam = JudgeExam::new(swarm, member);
    loop {
        candidate_count.borrow_and_update();
        for kind in ballot_kinds(&member.model) {
            match kind {
                BallotKind::Reasoned => {
                    exam.compare_pairs(swarm, member, ComparisonMode::Reasoned).await
                }
                BallotKind::Pairwise => {
                    exam.compare_pairs(swarm, member, ComparisonMode::Direct).await
                }
                _ => exam.score_candidates(swarm, member).await,
            }
        }
        swarm.0.reputation.fit_soon();
        swarm.0.reputation.save().await;
        if candidate_count.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The ballots that rounds ask of a member: likelihoods if it gives them, otherwise direct pairs;
/// and pairs with reasons, in modes that have the time, if it can give reasons.
fn ballot_kinds(model: &Model) -> impl Iterator<Item = BallotKind> {
    let first = match (model.likelihood, model.pairwise) {
        (true, _) => Some(BallotKind::Likelihood),
        (false, true) => Some(BallotKind::Pairwise),
        (false, false) => None,
    };
    // A member that can only judge with reasons is no judge of any round.
    first.into_iter().chain((first.is_some() && model.reasoned).then_some(BallotKind::Reasoned))
}

/// How far a member has been examined as a judge.
struct JudgeExam {
    /// Number of the last candidate that it was shown.
    last: u64,
    scores_left: usize,
    direct: PairExam,
    with_reasons: PairExam,
}

/// The gold pairs of one kind of comparison.
struct PairExam {
    /// Indices of the questions that were compared.
    questions: BTreeSet<usize>,
    pairs_left: usize,
}

impl JudgeExam {
    fn new(swarm: &Swarm, member: &MemberHandle) -> Self {
        let standing = swarm.standing();
        let record = standing.record(&member.id);
        let pair_count = |mode| record.map_or(0, |record| record.pairs_when(mode).count());
        let score_count = record.map_or(0, |record| record.scores.len());
        let exam = &swarm.0.config.exam;
        // The owner of an upstream pays for each pair.
        let direct_pairs = if is_metered(&member.model) {
            remainder(exam.reasoned_max, pair_count(ComparisonMode::Direct))
        } else {
            usize::MAX
        };
        Self {
            last: 0,
            scores_left: remainder(exam.scores_max, score_count),
            direct: PairExam { questions: BTreeSet::new(), pairs_left: direct_pairs },
            with_reasons: PairExam {
                questions: BTreeSet::new(),
                pairs_left: remainder(exam.reasoned_max, pair_count(ComparisonMode::Reasoned)),
            },
        }
    }

    async fn score_candidates(&mut self, swarm: &Swarm, member: &Arc<MemberHandle>) {
        let (mut candidates, last) = swarm.0.gold.candidates_after(self.last, member.id);
        // Mixed, so that the rest of the exam is spread over all writers.
        candidates.shuffle(&mut ChaCha8Rng::seed_from_u64(last));
        candidates.truncate(self.scores_left);
        let mut failures = 0;
        for batch in candidates.chunks(LEARN_EVERY) {
            let mut observations = Vec::new();
            for candidate in batch {
                match probe::score(swarm, member, candidate).await {
                    Ok(observation) => observations.push(observation),
                    Err(error) => failures += usize::from(count_failure(swarm, &error)),
                }
            }
            swarm.0.metrics.exam_scores("scored", observations.len());
            self.scores_left = self.scores_left.saturating_sub(observations.len());
            swarm.0.reputation.learn(member.id, &observations);
            swarm.0.reputation.fit_soon();
            if failures >= FAILURES_MAX {
                break;
            }
        }
        self.last = last;
    }

    async fn compare_pairs(
        &mut self,
        swarm: &Swarm,
        member: &Arc<MemberHandle>,
        mode: ComparisonMode,
    ) {
        let (exam, label) = match mode {
            ComparisonMode::Direct => (&mut self.direct, "compared"),
            ComparisonMode::Reasoned => (&mut self.with_reasons, "reasoned"),
        };
        let mut failures = 0;
        let pairs = swarm.0.gold.pairs(member.id, &mut exam.questions, exam.pairs_left);
        for (right, wrong) in pairs {
            match probe::compare(swarm, member, (&right, &wrong), mode).await {
                Ok(observation) => {
                    exam.pairs_left = exam.pairs_left.saturating_sub(1);
                    swarm.0.metrics.exam_scores(label, 1);
                    swarm.0.reputation.learn(member.id, &[observation]);
                }
                Err(error) => failures += usize::from(count_failure(swarm, &error)),
            }
            if failures >= FAILURES_MAX {
                break;
            }
        }
    }
}

/// How many of `max` observations are still to be made. Even a member with a full record is asked
/// for a tenth of them, enough to notice that it has changed.
fn remainder(max: usize, record_count: usize) -> usize {
    max.saturating_sub(record_count).max(max / 10)
}

/// Counts a failure; false when it says nothing about the judge.
fn count_failure(swarm: &Swarm, error: &WorkError) -> bool {
    swarm.0.metrics.exam_scores(error.label(), 1);
    !probe::is_busy(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_judge_is_examined_in_every_way_that_rounds_ask_of_it() {
        assert_eq!(kinds(true, false, false), [BallotKind::Likelihood]);
        // Where it gives likelihoods no round asks it for pairs without reasons.
        assert_eq!(kinds(true, true, false), [BallotKind::Likelihood]);
        assert_eq!(kinds(true, true, true), [BallotKind::Likelihood, BallotKind::Reasoned]);
        assert_eq!(kinds(false, true, false), [BallotKind::Pairwise]);
        assert_eq!(kinds(false, true, true), [BallotKind::Pairwise, BallotKind::Reasoned]);
        assert_eq!(kinds(false, false, true), []);
    }

    fn kinds(likelihood: bool, pairwise: bool, reasoned: bool) -> Vec<BallotKind> {
        ballot_kinds(&Model { likelihood, pairwise, reasoned, ..Model::default() }).collect()
    }
}
