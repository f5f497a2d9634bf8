//! How thoroughly the swarm answers: three names to ask it by.

/// How thoroughly the swarm answers. What each mode comes to stands in [`crate::ask::Limits`] (how many
/// take part) and in the round's settings (when enough is known).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Balanced,
    /// Few writers, likelihood ballots only, and an early end.
    Fast,
    /// Many writers and judges, and more of them asked until the best is hardly in doubt.
    Deep,
}

impl Mode {
    /// Every mode, in the order in which their models are listed.
    pub const ALL: [Self; 3] = [Self::Balanced, Self::Fast, Self::Deep];

    /// The model's name that asks for it.
    pub fn model(self) -> &'static str {
        match self {
            Self::Balanced => "shoal",
            Self::Fast => "shoal-fast",
            Self::Deep => "shoal-deep",
        }
    }

    /// The word for it in a request's `shoal.mode`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Fast => "fast",
            Self::Deep => "deep",
        }
    }

    /// The mode that a model's name asks for; None for a member's model.
    pub fn of_model(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.model() == name)
    }

    /// The mode that a word of [`Self::word`] stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}
