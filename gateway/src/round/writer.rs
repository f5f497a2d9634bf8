//! The ask to a writer, and the candidate that its answer becomes.

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shoal_proto::{
    NodeId,
    generate::{Done, Finish, Generate},
};

use super::Round;
use shoal_consensus::{Candidate, constraint::ConstraintViolation};
use shoal_swarm::WorkError;

/// The ask to a writer. `turn` counts how often this round has asked for the same text. A seed gives
/// the same text each time; therefore each turn has its own seed, and the first has the client's.
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

/// The candidate from a writer's answer that ends now.
///
/// # Errors
/// [`WorkError::Abstained`] when the member says that it cannot answer, and [`WorkError::Unsuitable`]
/// when the answer does not keep to the response format or the tools.
pub(super) fn candidate(
    round: &Round<'_>,
    writer: NodeId,
    text: String,
    end: Done,
) -> Result<Candidate, WorkError> {
    let finish = match end.finish() {
        Finish::Abstained => return Err(WorkError::Abstained),
        Finish::Unspecified => Finish::Stop,
        finish => finish,
    };
    let took = round.clock.elapsed();
    let mut candidate = Candidate {
        writer,
        model: round.model(writer),
        text,
        tool_calls: end.tool_calls,
        tokens: end.tokens,
        finish,
        prompt_tokens: end.prompt_tokens,
        completion_tokens: end.completion_tokens,
        cached_tokens: end.cached_tokens.min(end.prompt_tokens),
        reasoning_tokens: end.reasoning_tokens.min(end.completion_tokens),
        logprob: end.logprob,
        took,
        first_piece: took,
        pool: 0,
    };
    round.ask.constraint.enforce(&mut candidate).map_err(|violation| match violation {
        ConstraintViolation::Text => {
            WorkError::Unsuitable("it does not keep to the response format")
        }
        ConstraintViolation::Calls => {
            WorkError::Unsuitable("it does not call functions as the request demands")
        }
    })?;
    name_calls(round, &mut candidate);
    Ok(candidate)
}

/// Gives an id to each call without one: the client sends the call's result under it.
fn name_calls(round: &Round<'_>, candidate: &mut Candidate) {
    let [a, b, c, d, e, f, g, h, ..] = candidate.writer.0;
    let writer_seed = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
    let mut rng = ChaCha8Rng::seed_from_u64(round.seed ^ writer_seed);
    let mut moment = candidate.took.as_nanos();
    for call in candidate.tool_calls.iter_mut().filter(|call| call.id.is_empty()) {
        moment ^= rng.random::<u128>();
        call.id = format!("call_{:024x}", moment >> 32);
    }
}
