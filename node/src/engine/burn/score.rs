//! Judges by likelihood: how probable is each candidate, word for word, in this model's eyes?

use shoal_proto::{
    generate::Fault,
    judge::{Ballot, Judge, Score},
};

use super::{
    load::Loaded,
    write::{Halt, count, floats},
};
use crate::{engine::EngineError, model::sample::LogSum};

/// Tokens that are read in one go: between two of them a cancelled judge stops.
const CHUNK: usize = 256;

/// A likelihood ballot: one pass over the conversation, and one over each candidate.
pub(super) fn ballot(model: &Loaded, ask: &Judge, gone: &dyn Fn() -> bool) -> Result<Ballot, Halt> {
    let prompt = model.prompt(&ask.messages)?;
    let (mut cache, last) = model.read(&prompt, gone)?;
    let read = cache.len();
    let mut ballot = Ballot { prompt_tokens: count(prompt.len()), ..Ballot::default() };
    for candidate in &ask.candidates {
        let tokens = tokens(model, candidate)?;
        cache.truncate(read);
        let mut sum = 0.0;
        // What does not fit the context has no place in it: no opinion, every token alike.
        let (fits, rest) = tokens.split_at(tokens.len().min(model.context() - read));
        let mut before = last;
        for chunk in fits.chunks(CHUNK) {
            if gone() {
                return Err(Halt::Gone);
            }
            let inputs: Vec<u32> = std::iter::once(before).chain(all_but_last(chunk)).collect();
            let logits = floats(model.llama.forward_cached(model.row(&inputs), &mut [&mut cache]))?;
            let rows = logits.chunks_exact(model.vocab());
            for (row, token) in rows.zip(chunk) {
                sum += match model.tokenizer.is_end(*token) {
                    true => model.end(row)?,
                    false => {
                        let index = usize::try_from(*token).unwrap_or(usize::MAX);
                        LogSum::of(row)?.logprob(row, index)?
                    }
                };
            }
            before = chunk.last().copied().unwrap_or(before);
        }
        sum -= (model.vocab() as f64).ln() * rest.len() as f64;
        ballot.scores.push(Score { logprob: sum, tokens: count(tokens.len()) });
        ballot.prompt_tokens = ballot.prompt_tokens.saturating_add(count(tokens.len()));
    }
    Ok(ballot)
}

/// A candidate's tokens and an end token, which stands for all of the model's.
fn tokens(model: &Loaded, candidate: &str) -> Result<Vec<u32>, EngineError> {
    let mut tokens = model.tokenizer.encode(candidate).ok_or_else(|| {
        EngineError::new(Fault::Unsupported, "the model has no words for a candidate")
    })?;
    tokens.extend(model.tokenizer.ends().next());
    Ok(tokens)
}

fn all_but_last(tokens: &[u32]) -> impl Iterator<Item = u32> {
    tokens.iter().copied().take(tokens.len().saturating_sub(1))
}
