//! What an answer cost.

use serde::Serialize;

use crate::ask::Candidate;

/// Tokens of the answers that were sent, as their models count. What the whole swarm spent stands
/// in the round's transcript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::http) struct Usage {
    pub(in crate::http) prompt_tokens: u32,
    pub(in crate::http) completion_tokens: u32,
    pub(in crate::http) total_tokens: u32,
    pub(in crate::http) prompt_tokens_details: PromptDetails,
    pub(in crate::http) completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::http) struct PromptDetails {
    pub(in crate::http) cached_tokens: u32,
    audio_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::http) struct CompletionDetails {
    reasoning_tokens: u32,
    audio_tokens: u32,
    accepted_prediction_tokens: u32,
    rejected_prediction_tokens: u32,
}

impl Usage {
    pub(in crate::http) fn of(candidate: &Candidate) -> Self {
        Self::over(&[candidate])
    }

    /// Of several answers to one prompt: it counts once, as the first one's model counts it.
    pub(in crate::http) fn over(choices: &[&Candidate]) -> Self {
        let first = choices.first();
        let prompt_tokens = first.map_or(0, |one| one.prompt_tokens);
        let completion_tokens =
            choices.iter().fold(0, |sum: u32, one| sum.saturating_add(one.completion_tokens));
        let cached_tokens = first.map_or(0, |one| one.cached_tokens);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens, ..PromptDetails::default() },
            completion_tokens_details: CompletionDetails::default(),
        }
    }
}
