//! Secret audits: gold questions in the same messages as a client's request and a round's ballot.
//! They reveal a member that is honest in its exam only.

use std::sync::Arc;

use shoal_proto::{
    NodeId,
    generate::{Fault, Sampling},
    judge::BallotKind,
};
use tokio::time::Instant;

use super::super::{
    Swarm, WorkError,
    gold::{GoldCandidate, Item},
    probe::{self, GoldAnswer, gold_observation, item_key},
    roster::MemberHandle,
};
use super::AuditedBallot;
use shoal_consensus::reputation::{
    AuditResult, ComparisonMode, GoldObservation, Likelihood, Observation,
};

/// Asks these writers the same fresh question, one after the other: no client waits for it.
pub(super) async fn ask_writers(swarm: &Swarm, members: Vec<NodeId>, sampling: Sampling) {
    let Some(item) = swarm.0.gold.secret() else { return };
    for member in members {
        if let Some(member) = swarm.0.roster.member(member) {
            probe::wait_for_idle(&member).await;
            let deadline = Instant::now() + swarm.0.config.exam.answer();
            let answer = probe::answer(&member, &item, sampling.clone(), deadline).await;
            match grade(&item, &answer) {
                Some(right) => learn(swarm, &member, &item, answer.ok(), right),
                None => {
                    let outcome = answer.as_ref().err().map_or("abstained", WorkError::label);
                    swarm.0.metrics.audit("writer", outcome);
                }
            }
        }
    }
}

/// Learns from the answer as the exam does, and keeps it for the exams of judges.
fn learn(
    swarm: &Swarm,
    member: &Arc<MemberHandle>,
    item: &Arc<Item>,
    answer: Option<GoldAnswer>,
    right: bool,
) {
    swarm.0.metrics.audit("writer", if right { "right" } else { "wrong" });
    let kind = item.kind.clone();
    swarm.learn_audit(member.id, "writer", &AuditResult::Wrote { kind, right });
    let mut observations = vec![gold_observation(item, GoldObservation::Answered { right })];
    if let Some(answer) = answer {
        let standing = swarm.standing();
        let is_unable = standing.has_shown_inability(&member.id);
        // A member that was caught did better before: its lies are those that judges must know.
        let was_caught = standing.record(&member.id).is_some_and(|record| record.caught > 0);
        if is_unable && !was_caught {
            swarm.0.gold.keep_aside(item, member.id, &answer.text, right);
        } else {
            swarm.0.gold.keep(item, member.id, &answer.text, right);
        }
        if let Some(claim) = answer.claim() {
            let certainty = GoldObservation::Certainty { claim, right, item: item_key(item) };
            observations.push(gold_observation(item, certainty));
        }
    }
    swarm.0.reputation.learn(member.id, &observations);
}

/// As in the exam, except that a busy member has not failed.
fn grade(item: &Item, answer: &Result<GoldAnswer, WorkError>) -> Option<bool> {
    match answer {
        Err(WorkError::Failed { fault: Fault::Busy | Fault::Draining, .. }) => None,
        answer => probe::grade(item, answer),
    }
}

/// Shows a judge candidates to one gold question, as many as a round has, and asks for the kind of
/// ballot that it cast in a round.
pub(super) async fn ask_judge(swarm: &Swarm, member: NodeId, ballot: AuditedBallot, draw: u64) {
    let Some(judge) = swarm.0.roster.member(member) else { return };
    let Some(candidates) = swarm.0.gold.candidates_for(member, draw) else { return };
    let result = match ballot {
        AuditedBallot::Scores => ask_scores(swarm, &judge, &candidates, draw).await,
        AuditedBallot::Pairs(mode) => ask_pair(swarm, &judge, &candidates, mode).await,
    };
    match result {
        Ok((right, observations)) => {
            swarm.0.metrics.audit("judge", if right { "right" } else { "wrong" });
            swarm.learn_audit(member, "judge", &AuditResult::Judged { right });
            swarm.0.reputation.learn(member, &observations);
        }
        Err(error) => swarm.0.metrics.audit("judge", error.label()),
    }
}

/// Whether the judge was right, and what it showed.
type Verdict = Result<(bool, Vec<Observation>), WorkError>;

/// The judge is right if the right one of the first two candidates is the likelier, wherever it
/// stood on the ballot.
async fn ask_scores(
    swarm: &Swarm,
    judge: &Arc<MemberHandle>,
    candidates: &[GoldCandidate],
    draw: u64,
) -> Verdict {
    let [right, wrong, ..] = candidates else {
        return Err(WorkError::InvalidMessage("fewer than two gold candidates"));
    };
    let mut order: Vec<&GoldCandidate> = candidates.iter().collect();
    let turn = usize::try_from(draw >> 32).unwrap_or(0) % order.len().max(1);
    order.rotate_left(turn);
    let texts = order.iter().map(|candidate| candidate.text.to_string()).collect();
    let ballot = probe::ballot(swarm, judge, &right.item, texts, BallotKind::Likelihood).await?;
    let scores: Vec<(&GoldCandidate, Likelihood)> = order
        .into_iter()
        .zip(&ballot.scores)
        .map(|(candidate, score)| (candidate, Likelihood::new(score.logprob, &candidate.text)))
        .collect();
    let standing = swarm.standing();
    let line = standing.score_line(&judge.id);
    let right_odds = likelihood_of(right, &scores).map(|text| line.log_odds(text));
    let wrong_odds = likelihood_of(wrong, &scores).map(|text| line.log_odds(text));
    let observations = candidates.iter().filter_map(|candidate| {
        let (text, item) = (likelihood_of(candidate, &scores)?, item_key(&candidate.item));
        let score = GoldObservation::Score { text, right: candidate.right, item };
        Some(gold_observation(&candidate.item, score))
    });
    Ok((right_odds > wrong_odds, observations.collect()))
}

fn likelihood_of(
    candidate: &GoldCandidate,
    scores: &[(&GoldCandidate, Likelihood)],
) -> Option<Likelihood> {
    let score = scores.iter().find(|(entry, _)| entry.text == candidate.text);
    score.map(|(_, likelihood)| *likelihood)
}

/// The judge is right if it prefers the right one of the first two candidates.
async fn ask_pair(
    swarm: &Swarm,
    judge: &Arc<MemberHandle>,
    candidates: &[GoldCandidate],
    mode: ComparisonMode,
) -> Verdict {
    let [right, wrong, ..] = candidates else {
        return Err(WorkError::InvalidMessage("fewer than two gold candidates"));
    };
    let observation = probe::compare(swarm, judge, (right, wrong), mode).await?;
    let is_right = matches!(
        &observation,
        Observation::Gold { observation: GoldObservation::Pairwise { p, .. }, .. } if *p > 0.5
    );
    Ok((is_right, vec![observation]))
}
