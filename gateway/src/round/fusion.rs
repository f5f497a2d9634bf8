//! Fusion, if the request asks for it: the member with the best standing writes the answer from the
//! best candidates.
//!
//! It happens after the round. The ranking stays, is learned from, and its winner is sent when fusion
//! fails. Therefore the fused text is not sent before it is complete: a client cannot unread a text.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Generate},
};
use tokio::time::Instant;

use super::{
    Round,
    writer::{candidate, question},
};
use shoal_consensus::{Candidate, Outcome, outcome::Decision};
use shoal_consensus::{
    agree,
    fusion::{best_texts, editor, prompt},
};
use shoal_swarm::{AnswerPart, WorkError};

/// Metric label: no member could fuse.
const NO_EDITOR: &str = "nobody";
/// Metric label: too little time was left.
const LATE: &str = "late";

/// Lets a member write the answer, if the request asks for fusion and there is more than one
/// candidate.
pub(super) async fn fuse(round: &Round<'_>, outcome: &mut Outcome) {
    // Tool calls cannot be fused.
    let calls = outcome.winner().is_some_and(|winner| !winner.tool_calls.is_empty());
    if !round.ask.effort.fusion || outcome.candidates.len() < 2 || calls {
        return;
    }
    let start = round.clock.elapsed();
    match fused_candidate(round, outcome).await {
        Ok(candidate) => {
            round.metrics.fusion("fused");
            outcome.fused = Some(candidate);
            outcome.decided = Decision::Fused;
        }
        Err(label) => round.metrics.fusion(label),
    }
    outcome.timings.total = round.clock.elapsed();
    outcome.timings.fuse = outcome.timings.total.saturating_sub(start);
}

async fn fused_candidate(round: &Round<'_>, outcome: &Outcome) -> Result<Candidate, &'static str> {
    let settings = &round.config.fusion;
    let time = round.clock.end.saturating_duration_since(Instant::now());
    if time < round.ask.effort.deadline.mul_f64(settings.time_share.clamp(0.0, 1.0)) {
        return Err(LATE);
    }
    let texts = best_texts(outcome, settings.candidates_max);
    let fence: u64 = ChaCha8Rng::seed_from_u64(round.seed ^ u64::MAX).random();
    let messages = prompt(&round.ask.messages, &texts, fence);
    // A new snapshot: the writers of this round are free again.
    let members = round.swarm.members();
    let editor = editor(&members, &messages, &round.standing, &round.kind).ok_or(NO_EDITOR)?;
    let answer = write(round, editor.id, messages)
        .await
        .and_then(|(text, end)| candidate(round, editor.id, text, end))
        .and_then(|answer| match round.ask.constraint.is_cut(&answer) {
            true => Err(WorkError::Unsuitable("it was cut before it kept to the response format")),
            false => Ok(answer),
        })
        .map_err(|error| {
            tracing::debug!(node.id = %editor.id.short(), %error, "no fused answer");
            error.label()
        })?;
    let pools = agree::pools_of(round.ask, outcome.candidates.iter().chain([&answer]));
    let twin = outcome.candidates.iter().zip(&pools).find(|(_, pool)| Some(*pool) == pools.last());
    let new_pool = outcome.candidates.iter().map(|candidate| candidate.pool + 1).max().unwrap_or(0);
    let pool = twin.map_or(new_pool, |(candidate, _)| candidate.pool);
    Ok(Candidate { model: editor.model.name.clone(), pool, ..answer })
}

async fn write(
    round: &Round<'_>,
    editor: NodeId,
    messages: Vec<ChatMessage>,
) -> Result<(String, shoal_proto::generate::Done), WorkError> {
    let ask = Generate { messages, tools: None, prompt: None, ..question(round, editor, 0) };
    let mut answer = round.swarm.generate(editor, ask, round.clock.end).await?;
    let mut text = String::new();
    loop {
        match answer.next().await? {
            AnswerPart::Piece(piece) => text.push_str(&piece),
            AnswerPart::Done(_) if text.trim().is_empty() => {
                return Err(WorkError::InvalidMessage("an empty answer"));
            }
            AnswerPart::Done(end) => return Ok((text, end)),
        }
    }
}
