//! Recomputes a writer's claim. Its answer is the only candidate of a likelihood ballot on the same
//! weights, which costs one teacher-forced pass over the answer.

use std::sync::Arc;

use shoal_proto::{
    NodeId,
    generate::ChatMessage,
    judge::{BallotKind, Judge, Score},
};
use tokio::time::Instant;

use super::super::{Swarm, WorkError, roster::MemberHandle, work};
use shoal_consensus::reputation::{
    AuditResult,
    audit::{Auditor, Finding, compare},
};

/// The likelihood that a member claims for its answer under its weights.
#[derive(Clone, Debug)]
pub struct Claim {
    /// The member that wrote the answer.
    pub writer: NodeId,
    /// The conversation that it answered.
    pub messages: Vec<ChatMessage>,
    /// Its whole answer.
    pub text: String,
    /// Natural logarithm, summed over the tokens, the end token included.
    pub logprob: f64,
}

/// Audits a claim from a round. Returns the finding and which kind of auditor made it.
pub(super) async fn audit_round(swarm: &Swarm, claim: &Claim) -> Option<(Finding, Auditor)> {
    // A member that has left is audited when it comes back.
    let writer = swarm.0.roster.member(claim.writer).filter(|writer| may_count(swarm, writer))?;
    audit(swarm, &writer, claim, Auditor::InRound).await
}

/// Audits the claims of an exam one after the other. The newcomer is not in the roster yet.
pub(crate) async fn audit_exam(swarm: &Swarm, writer: &MemberHandle, claims: &[Claim]) {
    for claim in claims {
        audit(swarm, writer, claim, Auditor::InExam).await;
    }
}

/// Whether the claims of a member may count. An upstream has no weights with which an auditor could
/// recompute its claims.
pub(crate) fn may_count(swarm: &Swarm, member: &MemberHandle) -> bool {
    swarm.0.config.exam.claims_count && member.model.certainty && !member.model.digest.is_empty()
}

async fn audit(
    swarm: &Swarm,
    writer: &MemberHandle,
    claim: &Claim,
    occasion: Auditor,
) -> Option<(Finding, Auditor)> {
    let metrics = &swarm.0.metrics;
    let Some((member, auditor)) = auditor_for(swarm, writer, occasion) else {
        metrics.audit("claim", "nobody");
        return None;
    };
    match recompute(swarm, &member, claim).await {
        Ok(score) => {
            // No tokenizer makes more tokens than bytes, so that no auditor can report too many.
            let tokens = u32::try_from(claim.text.len() + 1).unwrap_or(u32::MAX).min(score.tokens);
            let standing = swarm.standing();
            let rules = &standing.settings().audit;
            let finding = compare(claim.logprob, score.logprob, tokens, rules);
            metrics.audit("claim", finding.label());
            swarm.learn_audit(writer.id, "claim", &AuditResult::Claim { finding, auditor });
            Some((finding, auditor))
        }
        Err(error) => {
            metrics.audit("claim", error.label());
            None
        }
    }
}

/// The gateway's own auditor with the writer's weights; otherwise, if the settings allow it, another
/// member with them.
fn auditor_for(
    swarm: &Swarm,
    writer: &MemberHandle,
    occasion: Auditor,
) -> Option<(Arc<MemberHandle>, Auditor)> {
    let digest = &writer.model.digest;
    if digest.is_empty() {
        return None;
    }
    if let Some(auditor) = swarm.0.auditors.with_digest(digest) {
        return Some((auditor, occasion));
    }
    if !swarm.0.config.audit.by_members {
        return None;
    }
    let standing = swarm.standing();
    let members = swarm.0.roster.members();
    let peers = members
        .into_iter()
        .filter(|peer| can_recompute(peer, writer) && !standing.on_probation(&peer.id));
    // The least busy, so that it is not always the same member.
    peers.min_by_key(|peer| peer.load()).map(|peer| (peer, Auditor::Member))
}

/// Whether `peer` has the writer's weights and another operator.
fn can_recompute(peer: &MemberHandle, writer: &MemberHandle) -> bool {
    let independent = writer.operator.is_empty() || writer.operator != peer.operator;
    peer.id != writer.id
        && peer.model.digest == writer.model.digest
        && peer.model.likelihood
        && independent
}

async fn recompute(
    swarm: &Swarm,
    auditor: &MemberHandle,
    claim: &Claim,
) -> Result<Score, WorkError> {
    let ask = Judge {
        messages: claim.messages.clone(),
        candidates: vec![claim.text.clone()],
        kind: BallotKind::Likelihood.into(),
        ..Judge::default()
    };
    let deadline = Instant::now() + swarm.0.config.exam.answer();
    let ballot = work::judge(auditor, ask, deadline).await?;
    ballot.scores.first().copied().ok_or(WorkError::InvalidMessage("no score"))
}
