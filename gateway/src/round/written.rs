//! What a member is asked, and how its words become a candidate.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{Done, Finish, Generate},
};

use super::Round;
use crate::swarm::WorkError;
use shoal_consensus::{Candidate, constraint::ConstraintViolation};

/// What a writer gets. `turn` counts the times that this round has asked for the same: a seed
/// gives the same text each time, so that each turn has one of its own, and the first the client's.
pub(super) fn question(round: &Round<'_>, writer: NodeId, turn: usize) -> Generate {
    let mut sampling = round.ask.sampling.clone();
    let turn = i64::try_from(turn).unwrap_or(i64::MAX);
    sampling.seed = sampling.seed.map(|seed| seed.wrapping_add(turn));
    Generate {
        messages: round.ask.messages.clone(),
        sampling: Some(sampling),
        tools: round.ask.tools.clone(),
        format: round.ask.format.clone(),
        template_variables: round.ask.template_variables.clone(),
        prompt: round.prompt_for(writer),
    }
}

/// A writer's answer, ended now, and held to the form that was asked for.
///
/// # Errors
/// [`WorkError::Misfit`]: it does not keep to the form.
pub(super) fn candidate(
    round: &Round<'_>,
    writer: NodeId,
    text: String,
    done: Done,
) -> Result<Candidate, WorkError> {
    let finish = match done.finish() {
        Finish::Unspecified => Finish::Stop,
        finish => finish,
    };
    let took = round.clock.elapsed();
    let mut candidate = Candidate {
        writer,
        model: round.model(writer),
        text,
        tool_calls: done.tool_calls,
        tokens: done.tokens,
        finish,
        prompt_tokens: done.prompt_tokens,
        completion_tokens: done.completion_tokens,
        cached_tokens: done.cached_tokens.min(done.prompt_tokens),
        logprob: done.logprob,
        took,
        first_piece: took,
        pool: 0,
    };
    round.ask.form.hold(&mut candidate).map_err(|misfit| match misfit {
        ConstraintViolation::Text => WorkError::Misfit("it does not keep to the response format"),
        ConstraintViolation::Calls => WorkError::Misfit("it does not call functions as asked"),
    })?;
    name_calls(round, &mut candidate);
    Ok(candidate)
}

/// Calls that came without an id of their own get one: their results come back under it.
fn name_calls(round: &Round<'_>, candidate: &mut Candidate) {
    let of_writer = candidate.writer.0.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let mut rng = ChaCha8Rng::seed_from_u64(round.seed ^ of_writer);
    let mut moment = candidate.took.as_nanos();
    for call in candidate.tool_calls.iter_mut().filter(|call| call.id.is_empty()) {
        moment ^= rng.random::<u128>();
        call.id = format!("call_{:024x}", moment >> 32);
    }
}
