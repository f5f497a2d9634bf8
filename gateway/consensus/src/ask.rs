//! A request to a round: the conversation, the target, the effort and the constraint of the answer. `shoal-api`
//! makes an [`Ask`] from a checked request, so every [`Ask`] is valid.

mod limits;
mod mode;

use std::{sync::Arc, time::Duration};

use shoal_proto::{
    generate::{ChatMessage, Format, Prompt, Sampling},
    tools::Tools,
};

use crate::constraint::ResponseConstraint;
pub use limits::{Limits, Size};
pub use mode::Mode;

/// A checked request.
#[derive(Clone, Debug)]
pub struct Ask {
    pub target: Target,
    /// The conversation, never empty, oldest first.
    pub messages: Vec<ChatMessage>,
    pub sampling: Sampling,
    pub effort: Effort,
    /// Functions that the answer may call; None: none.
    pub tools: Option<Tools>,
    /// The format that the answer must have; None: any.
    pub format: Option<Format>,
    /// Checks answers against `tools` and `format`.
    pub constraint: Arc<ResponseConstraint>,
    /// Further variables of the models' chat templates, as a JSON object; empty: none.
    pub template_variables: String,
    /// Answers wanted, 1 at least.
    pub choices: usize,
    /// Path of the request's first image; None: it has none.
    pub image: Option<String>,
    /// A text to continue, for members that can do so; for the others the conversation contains it.
    pub prompt: Option<Prompt>,
}

impl Ask {
    /// An ask for one answer without a constraint.
    pub fn plain(
        target: Target,
        messages: Vec<ChatMessage>,
        sampling: Sampling,
        effort: Effort,
    ) -> Self {
        Self {
            target,
            messages,
            sampling,
            effort,
            tools: None,
            format: None,
            constraint: Arc::default(),
            template_variables: String::new(),
            choices: 1,
            image: None,
            prompt: None,
        }
    }

    /// Whether a writer gets the conversation and nothing else, so that its answer can be recomputed from that.
    pub fn is_plain(&self) -> bool {
        self.constraint.is_free()
            && self.template_variables.is_empty()
            && self.image.is_none()
            && self.prompt.is_none()
    }
}

/// The members that may answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The swarm, in a round.
    Swarm,
    /// One member serving this model, without a round.
    Model(String),
}

impl Target {
    /// The model's name, if there is one.
    pub fn name(&self) -> Option<&String> {
        match self {
            Self::Swarm => None,
            Self::Model(name) => Some(name),
        }
    }
}

/// How hard the swarm works, within the operator's limits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Effort {
    /// Members that write: N.
    pub writers: usize,
    /// Members that judge: M.
    pub judges: usize,
    /// Time for the whole round.
    pub deadline: Duration,
    /// How thoroughly the round is judged.
    pub mode: Mode,
    /// Whether a member writes the final answer from the best candidates.
    pub fusion: bool,
    /// P(right) that the answer must have; below it the round asks more writers, and then fails. 0: any.
    pub min_confidence: f64,
}

/// The text of the last user message, or of the last message if none is a user's. The kind of question is
/// guessed from it.
pub fn question(messages: &[ChatMessage]) -> &str {
    let user = messages.iter().rev().find(|message| message.role == "user");
    user.or(messages.last()).map_or("", |message| message.content.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_is_what_the_user_said_last() {
        let talk = [("system", "s"), ("user", "one"), ("assistant", "a"), ("user", "two")]
            .map(|(role, content)| ChatMessage::new(role, content));
        assert_eq!(question(&talk), "two");
        assert_eq!(question(&talk[..1]), "s");
        assert_eq!(question(&[]), "");
    }
}
