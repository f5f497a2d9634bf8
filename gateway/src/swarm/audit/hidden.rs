//! Hidden audits: gold that comes by the same messages as a client's ask and a round's ballot, so
//! that who is honest in its exam only is found out.

use std::sync::Arc;

use shoal_proto::{
    NodeId,
    generate::{Fault, Sampling},
    judge::Kind,
};
use tokio::time::Instant;

use super::super::{Swarm, WorkError, exam, gold::GoldCandidate, gold::Item, roster::MemberHandle};
use super::Cast;
use shoal_consensus::reputation::{Audited, GoldObservation, Likelihood, Observation, Way};

/// Asks all of these the same fresh question, one after the other: it is no client who waits.
pub(super) async fn writers(swarm: &Swarm, members: Vec<NodeId>, sampling: Sampling) {
    let Some(item) = swarm.0.gold.secret() else { return };
    for member in members {
        if let Some(seat) = swarm.0.roster.seat(member) {
            exam::give_way(&seat).await;
            let deadline = Instant::now() + swarm.0.config.exam.answer();
            let sampling = sampling.clone();
            let answer = exam::answer(&seat, &item, sampling, deadline).await;
            match graded(&item, &answer) {
                Some(right) => wrote(swarm, &seat, &item, answer.ok(), right),
                None => swarm.0.metrics.audit("writer", failure(&answer)),
            }
        }
    }
}

/// An answer like any of the exam: learned from, and kept for judges.
fn wrote(
    swarm: &Swarm,
    seat: &MemberHandle,
    item: &Arc<Item>,
    answer: Option<exam::Answer>,
    right: bool,
) {
    swarm.0.metrics.audit("writer", if right { "right" } else { "wrong" });
    let kind = item.kind.clone();
    swarm.learn_audit(seat.id, "writer", &Audited::Wrote { kind, right });
    let mut seen = vec![GoldObservation::Answered { right }];
    if let Some(answer) = answer {
        swarm.0.gold.keep(item, seat.id, &answer.text, right);
        let claimed = answer.claim();
        let item = exam::named(item);
        seen.extend(claimed.map(|claim| GoldObservation::Certainty { claim, right, item }));
    }
    let seen: Vec<_> = seen.into_iter().map(|seen| exam::gold_seen(item, seen)).collect();
    swarm.0.book.learn(seat.id, &seen);
}

/// As in the exam, but that a member which is busy has not failed.
fn graded(item: &Item, answer: &Result<exam::Answer, WorkError>) -> Option<bool> {
    match answer {
        Err(WorkError::Failed { fault: Fault::Busy | Fault::Draining, .. }) => None,
        answer => exam::grade(item, answer),
    }
}

fn failure(answer: &Result<exam::Answer, WorkError>) -> &'static str {
    answer.as_ref().err().map_or("late", WorkError::label)
}

/// Shows a judge candidates to one gold question, as many as a round has, and asks for the kind of
/// ballot that it cast in one.
pub(super) async fn judge(swarm: &Swarm, member: NodeId, cast: Cast, draw: u64) {
    let Some(seat) = swarm.0.roster.seat(member) else { return };
    let Some(sheet) = swarm.0.gold.sheet(member, draw) else { return };
    let judged = match cast {
        Cast::Scores => by_scores(swarm, &seat, &sheet, draw).await,
        Cast::Pairs(way) => by_pair(swarm, &seat, &sheet, way).await,
    };
    match judged {
        Ok((right, seen)) => {
            swarm.0.metrics.audit("judge", if right { "right" } else { "wrong" });
            swarm.learn_audit(member, "judge", &Audited::Judged { right });
            swarm.0.book.learn(member, &seen);
        }
        Err(error) => swarm.0.metrics.audit("judge", error.label()),
    }
}

type Judged = Result<(bool, Vec<Observation>), WorkError>;

/// Right: the right one of the first two is the likelier, wherever on the sheet they stood.
async fn by_scores(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    sheet: &[GoldCandidate],
    draw: u64,
) -> Judged {
    let [right, wrong, ..] = sheet else { return Err(WorkError::Nonsense("no sheet")) };
    let mut shown: Vec<&GoldCandidate> = sheet.iter().collect();
    let turn = usize::try_from(draw >> 32).unwrap_or(0) % shown.len().max(1);
    shown.rotate_left(turn);
    let texts = shown.iter().map(|one| one.text.to_string()).collect();
    let ballot = exam::ballot(swarm, seat, &right.item, texts, Kind::Likelihood).await?;
    let of = |candidate: &GoldCandidate| {
        let at = shown.iter().position(|one| one.text == candidate.text);
        let score = at.and_then(|at| ballot.scores.get(at))?;
        Some(Likelihood::of(score.logprob, &candidate.text))
    };
    let seen = sheet.iter().filter_map(|candidate| {
        let (text, item) = (of(candidate)?, exam::named(&candidate.item));
        let seen = GoldObservation::Score { text, right: candidate.right, item };
        Some(exam::gold_seen(&candidate.item, seen))
    });
    let standing = swarm.standing();
    let says = |one| of(one).map(|text| standing.score_line(&seat.id).log_odds(text));
    let first = says(right) > says(wrong);
    Ok((first, seen.collect()))
}

async fn by_pair(
    swarm: &Swarm,
    seat: &Arc<MemberHandle>,
    sheet: &[GoldCandidate],
    way: Way,
) -> Judged {
    let [right, wrong, ..] = sheet else { return Err(WorkError::Nonsense("no sheet")) };
    let seen = exam::compare(swarm, seat, (right, wrong), way).await?;
    let first = matches!(
        &seen,
        Observation::Gold { seen: GoldObservation::Pairwise { p, .. }, .. } if *p > 0.5
    );
    Ok((first, vec![seen]))
}
