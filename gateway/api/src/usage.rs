//! The tokens of an answer.

use std::borrow::Borrow;

use serde::Serialize;

use shoal_consensus::Candidate;

/// Tokens of the answers that are sent, as their models count them. The round's transcript has the
/// tokens of the whole swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of all answers.
    pub completion_tokens: u32,
    /// The sum of the two.
    pub total_tokens: u32,
    /// Details of the prompt's tokens.
    pub prompt_tokens_details: PromptDetails,
    /// Details of the answers' tokens.
    pub completion_tokens_details: CompletionDetails,
}

/// Details of a prompt's tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PromptDetails {
    /// Tokens that the model read from its cache.
    pub cached_tokens: u32,
    audio_tokens: u32,
}

/// Details of the answers' tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CompletionDetails {
    /// Tokens of reasoning that the answers do not show, as far as members report them.
    pub reasoning_tokens: u32,
    audio_tokens: u32,
    accepted_prediction_tokens: u32,
    rejected_prediction_tokens: u32,
}

impl Usage {
    /// Adds the tokens of another ask of the same request.
    pub fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.prompt_tokens, more.prompt_tokens),
            (&mut self.completion_tokens, more.completion_tokens),
            (&mut self.total_tokens, more.total_tokens),
            (
                &mut self.prompt_tokens_details.cached_tokens,
                more.prompt_tokens_details.cached_tokens,
            ),
            (
                &mut self.completion_tokens_details.reasoning_tokens,
                more.completion_tokens_details.reasoning_tokens,
            ),
        ] {
            *sum = sum.saturating_add(more);
        }
    }

    /// The tokens of several answers to one prompt. The prompt counts once, as the model of the first
    /// answer counts it.
    pub fn from_choices<C: Borrow<Candidate>>(choices: &[C]) -> Self {
        let first = choices.first().map(Borrow::borrow);
        let prompt_tokens = first.map_or(0, |candidate| candidate.prompt_tokens);
        let cached_tokens = first.map_or(0, |candidate| candidate.cached_tokens);
        let completion_tokens = choices.iter().map(|choice| choice.borrow().completion_tokens);
        let completion_tokens = completion_tokens.fold(0, u32::saturating_add);
        let reasoning_tokens = choices.iter().map(|choice| choice.borrow().reasoning_tokens);
        let reasoning_tokens = reasoning_tokens.fold(0, u32::saturating_add);
        Self {
            prompt_tokens,
            completion_tokens,
            total_tokens: prompt_tokens.saturating_add(completion_tokens),
            prompt_tokens_details: PromptDetails { cached_tokens, ..PromptDetails::default() },
            completion_tokens_details: CompletionDetails {
                reasoning_tokens,
                ..CompletionDetails::default()
            },
        }
    }
}

impl From<&Candidate> for Usage {
    fn from(candidate: &Candidate) -> Self {
        Self::from_choices(&[candidate])
    }
}

/// Tokens of a request whose answer has no text.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PromptUsage {
    /// Tokens that were read.
    pub prompt_tokens: u32,
    total_tokens: u32,
}

impl PromptUsage {
    pub(crate) fn new(prompt_tokens: u32) -> Self {
        Self { prompt_tokens, total_tokens: prompt_tokens }
    }
}
