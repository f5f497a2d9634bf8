//! One writer's finished answer.

use std::time::Duration;

use shoal_proto::{
    NodeId,
    generate::{Finish, TokenLogprob},
    tools::ToolCall,
};

use crate::{calls, reputation::Likelihood};

/// One writer's finished answer.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub writer: NodeId,
    /// The writer's model name.
    pub model: String,
    pub text: String,
    /// Functions that it calls; each has an id of its own and a JSON object of arguments.
    pub tool_calls: Vec<ToolCall>,
    /// The text's tokens, where they were asked for and its engine knows them.
    pub tokens: Vec<TokenLogprob>,
    pub finish: Finish,
    pub prompt_tokens: u32,
    pub completion_tokens: u32,
    /// Tokens of the prompt that came from its model's cache.
    pub cached_tokens: u32,
    /// Tokens of its completion that are reasoning, which its text does not show.
    pub reasoning_tokens: u32,
    /// Natural log-probability that the writer claims for its text, if its engine knows it.
    pub logprob: Option<f64>,
    /// From the start of the round to its end of writing.
    pub took: Duration,
    /// From the start of the round to its first piece.
    pub first_piece: Duration,
    /// Which pool of equal answers it belongs to; pools are numbered in order of appearance.
    pub pool: usize,
}

impl Candidate {
    /// The likelihood that its writer claims, if any.
    pub fn claim(&self) -> Option<Likelihood> {
        self.logprob.map(|logprob| self.likelihood(logprob))
    }

    /// Its likelihood for a member that computed this log-probability (natural, summed).
    pub fn likelihood(&self, logprob: f64) -> Likelihood {
        Likelihood::new(logprob, &self.display_text())
    }

    /// The form for judges and people: the text, and the calls as the JSON of
    /// [`shoal_proto::judge::Judge::tools`].
    pub fn display_text(&self) -> String {
        if self.tool_calls.is_empty() {
            return self.text.clone();
        }
        let calls = calls::as_json(&self.tool_calls);
        if self.text.is_empty() { calls } else { format!("{}\n{calls}", self.text) }
    }
}
