//! A writer's claim, recomputed: its answer is the single candidate of a likelihood ballot on the
//! same weights, which is one teacher-forced pass over it.

use std::sync::Arc;

use shoal_proto::{
    NodeId,
    generate::ChatMessage,
    judge::{Judge, Kind, Score},
};
use tokio::time::Instant;

use super::{Swarm, WorkError, roster::MemberHandle, work};
use shoal_consensus::reputation::{
    Audited,
    audit::{Auditor, Finding, compare},
};

/// What a member claims that its weights give to its answer.
#[derive(Clone, Debug)]
pub struct Claim {
    pub writer: NodeId,
    /// What it answered.
    pub messages: Vec<ChatMessage>,
    /// Its whole answer.
    pub text: String,
    /// Natural, summed, the end included.
    pub logprob: f64,
}

/// Audits a claim that was made in a round: what was found, and whose word that is.
pub(super) async fn in_round(swarm: &Swarm, claim: &Claim) -> Option<(Finding, Auditor)> {
    // Who has left is audited when it comes back.
    let seat = swarm.0.roster.seat(claim.writer).filter(|seat| may_count(swarm, seat))?;
    audit(swarm, &seat, claim, Auditor::InRound).await
}

/// Audits claims of an exam, one after the other; who is on its way in has no seat in the roster.
pub(super) async fn in_exam(swarm: &Swarm, seat: &MemberHandle, claims: &[Claim]) {
    for claim in claims {
        audit(swarm, seat, claim, Auditor::InExam).await;
    }
}

async fn audit(
    swarm: &Swarm,
    writer: &MemberHandle,
    claim: &Claim,
    place: Auditor,
) -> Option<(Finding, Auditor)> {
    let metrics = &swarm.0.metrics;
    let Some((auditor, whose)) = auditor_for(swarm, writer, place) else {
        metrics.audit("claim", "nobody");
        return None;
    };
    match recompute(swarm, &auditor, claim).await {
        Ok(score) => {
            // No tokenizer makes more tokens than bytes, so that no auditor can stretch the rule.
            let tokens = u32::try_from(claim.text.len() + 1).unwrap_or(u32::MAX).min(score.tokens);
            let standing = swarm.standing();
            let rules = &standing.settings().audit;
            let finding = compare(claim.logprob, score.logprob, tokens, rules);
            metrics.audit("claim", finding.label());
            let seen = Audited::Claim { finding, auditor: whose };
            swarm.learn_audit(writer.id, "claim", &seen);
            Some((finding, whose))
        }
        Err(error) => {
            metrics.audit("claim", error.label());
            None
        }
    }
}

/// The gateway's own auditor with these weights; else, where that is allowed, another member.
fn auditor_for(
    swarm: &Swarm,
    writer: &MemberHandle,
    place: Auditor,
) -> Option<(Arc<MemberHandle>, Auditor)> {
    let digest = &writer.model.digest;
    if digest.is_empty() {
        return None;
    }
    if let Some(own) = swarm.0.auditors.with(digest) {
        return Some((own, place));
    }
    if !swarm.0.config.audit.by_members {
        return None;
    }
    let standing = swarm.standing();
    let may = |other: &Arc<MemberHandle>| {
        let stranger = writer.operator.is_empty() || writer.operator != other.operator;
        other.id != writer.id
            && other.model.digest == *digest
            && other.model.likelihood
            && stranger
            && !standing.on_probation(&other.id)
    };
    let mut others: Vec<_> = swarm.0.roster.seats().into_iter().filter(may).collect();
    // The least busy, so that it is not always the same one.
    others.sort_by_key(|seat| seat.running());
    others.into_iter().next().map(|seat| (seat, Auditor::Member))
}

async fn recompute(
    swarm: &Swarm,
    auditor: &MemberHandle,
    claim: &Claim,
) -> Result<Score, WorkError> {
    let ask = Judge {
        messages: claim.messages.clone(),
        candidates: vec![claim.text.clone()],
        kind: Kind::Likelihood.into(),
        ..Judge::default()
    };
    let deadline = Instant::now() + swarm.0.config.exam.answer();
    let ballot = work::judge(auditor, ask, deadline).await?;
    ballot.scores.first().copied().ok_or(WorkError::Nonsense("no score"))
}

/// An upstream has no weights that anybody could recompute its claims with.
pub(super) fn may_count(swarm: &Swarm, seat: &MemberHandle) -> bool {
    swarm.0.config.exam.claims_count && seat.model.certainty && !seat.model.digest.is_empty()
}
