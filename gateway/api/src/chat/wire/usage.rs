//! What an answer cost.

use serde::Serialize;

use shoal_consensus::Candidate;

/// Tokens of the answers that were sent, as their models count. What the whole swarm spent stands
/// in the round's transcript.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    pub total_tokens: u32,
    pub prompt_tokens_details: PromptDetails,
    pub completion_tokens_details: CompletionDetails,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    pub cached_tokens: u32,
    audio_tokens: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CompletionDetails {
    reasoning_tokens: u32,
    audio_tokens: u32,
    accepted_prediction_tokens: u32,
    rejected_prediction_tokens: u32,
}

impl Usage {
    /// What several asks of one request cost together.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.prompt_tokens, more.prompt_tokens),
            (&mut self.completion_tokens, more.completion_tokens),
            (&mut self.total_tokens, more.total_tokens),
            (
                &mut self.prompt_tokens_details.cached_tokens,
                more.prompt_tokens_details.cached_tokens,
            ),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    pub fn of(candidate: &Candidate) -> Self {
        Self::over(&[candidate])
    }

    /// Of several answers to one prompt: it counts once, as the first one's model counts it.
    pub fn over(choices: &[&Candidate]) -> Self {
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
