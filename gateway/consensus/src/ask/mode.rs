//! The modes of a round, each with a model name.

/// How thoroughly the swarm answers. [`crate::ask::Limits`] has the number of members of each mode, and the
/// round's settings when enough is known.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Balanced,
    /// Few writers, likelihood ballots only, and an early end.
    Fast,
    /// Many writers and judges, and more of them until the best answer is nearly certain.
    Deep,
}

impl Mode {
    /// Every mode, in the order in which their models are listed.
    pub const ALL: [Self; 3] = [Self::Balanced, Self::Fast, Self::Deep];

    /// The name of the model that stands for it.
    pub fn model(self) -> &'static str {
        match self {
            Self::Balanced => "shoal",
            Self::Fast => "shoal-fast",
            Self::Deep => "shoal-deep",
        }
    }

    /// Its value in a request's `shoal.mode`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::Fast => "fast",
            Self::Deep => "deep",
        }
    }

    /// The mode of a model's name; None for a member's model.
    pub fn of_model(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.model() == name)
    }

    /// The mode of a value of `shoal.mode`.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.word() == word)
    }
}
