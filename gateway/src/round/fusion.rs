//! Fusion, for those who ask for it: the member of best standing writes the answer from the best
//! candidates.
//!
//! It happens after the round: the ranking stands, is learned from, and its winner is sent when no
//! fused text comes of it. So the text is not sent before it is complete: what was told cannot be
//! taken back.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{ChatMessage, Generate},
};
use tokio::time::Instant;

use super::{
    Round,
    written::{candidate, question},
};
use crate::swarm::{WorkError, Written};
use shoal_consensus::{Candidate, Outcome, outcome::Decided};
use shoal_consensus::{
    agree,
    fusion::{best_texts, editor, prompt},
};

/// Why there is no fused text, as metrics name it.
const NOBODY: &str = "nobody";
const LATE: &str = "late";

/// Lets a member write the answer, if that was asked for and there is more than one candidate.
pub(super) async fn fuse(round: &Round<'_>, outcome: &mut Outcome) {
    // Calls cannot be woven together: they are made or not.
    let calls = outcome.winner().is_some_and(|winner| !winner.tool_calls.is_empty());
    if !round.ask.effort.fusion || outcome.candidates.len() < 2 || calls {
        return;
    }
    let begun = round.clock.elapsed();
    match written(round, outcome).await {
        Ok(candidate) => {
            round.metrics.fusion("fused");
            outcome.fused = Some(candidate);
            outcome.decided = Decided::Fused;
        }
        Err(why) => round.metrics.fusion(why),
    }
    outcome.timings.total = round.clock.elapsed();
    outcome.timings.fuse = outcome.timings.total.saturating_sub(begun);
}

async fn written(round: &Round<'_>, outcome: &Outcome) -> Result<Candidate, &'static str> {
    let settings = &round.config.fusion;
    let left = round.clock.end.saturating_duration_since(Instant::now());
    if left < round.ask.effort.deadline.mul_f64(settings.time_share.clamp(0.0, 1.0)) {
        return Err(LATE);
    }
    let texts = best_texts(outcome, settings.candidates_max);
    let fence: u64 = ChaCha8Rng::seed_from_u64(round.seed ^ u64::MAX).random();
    let messages = prompt(&round.ask.messages, &texts, fence);
    // As they are now: the writers of this round are free again.
    let members = round.swarm.members();
    let editor = editor(&members, &messages, &round.standing, &round.kind).ok_or(NOBODY)?;
    let written = write(round, editor.id, messages).await;
    let written = written.and_then(|(text, done)| candidate(round, editor.id, text, done));
    let fused = written.map_err(|error| {
        tracing::debug!(node.id = %editor.id.short(), %error, "no fused answer");
        error.label()
    })?;
    let json = round.ask.form.is_json();
    let pools = agree::pools_of(outcome.candidates.iter().chain([&fused]), json);
    let same = outcome.candidates.iter().zip(&pools).find(|(_, pool)| Some(*pool) == pools.last());
    let new = outcome.candidates.iter().map(|one| one.pool + 1).max().unwrap_or(0);
    let pool = same.map_or(new, |(one, _)| one.pool);
    Ok(Candidate { model: editor.model.name.clone(), pool, ..fused })
}

async fn write(
    round: &Round<'_>,
    editor: NodeId,
    messages: Vec<ChatMessage>,
) -> Result<(String, shoal_proto::generate::Done), WorkError> {
    let ask = Generate { messages, tools: None, prompt: None, ..question(round, editor, 0) };
    let mut writing = round.swarm.generate(editor, ask, round.clock.end).await?;
    let mut text = String::new();
    loop {
        match writing.next().await? {
            Written::Piece(piece) => text.push_str(&piece),
            Written::Done(_) if text.trim().is_empty() => {
                return Err(WorkError::Nonsense("an empty answer"));
            }
            Written::Done(done) => return Ok((text, done)),
        }
    }
}
