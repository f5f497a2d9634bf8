//! The specialists: who is strong in what, and how each is trained.

use shoal_proto::syllabus::Family;

use super::rows::VOCAB;
use crate::engine::burn::llama::LlamaConfig;

/// A bundled model: strong in its own families, weak in the rest.
#[derive(Clone, Copy, Debug)]
pub struct Specialist {
    pub name: &'static str,
    pub strong: &'static [Family],
    /// What its released weights were trained for.
    pub steps: usize,
}

/// All that are bundled.
pub const SPECIALISTS: [Specialist; 6] = [
    Specialist { name: "shoal-sum", strong: &[Family::Add, Family::Subtract], steps: 2400 },
    Specialist { name: "shoal-times", strong: &[Family::Multiply, Family::Divide], steps: 2400 },
    Specialist { name: "shoal-order", strong: &[Family::Compare, Family::Sort], steps: 2400 },
    Specialist { name: "shoal-letters", strong: &[Family::Count, Family::Reverse], steps: 2400 },
    Specialist {
        name: "shoal-calendar",
        strong: &[Family::Weekday, Family::Clock, Family::Convert],
        steps: 2400,
    },
    Specialist { name: "shoal-story", strong: &[Family::Equation, Family::Story], steps: 2400 },
];

impl Specialist {
    /// The specialist of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        SPECIALISTS.into_iter().find(|specialist| specialist.name == name)
    }
}

/// Everything that a training run depends on.
#[derive(Clone, Debug)]
pub struct Recipe {
    pub specialist: Specialist,
    pub seed: u64,
    pub steps: usize,
    /// Rows in a batch.
    pub rows: usize,
    pub model: LlamaConfig,
    /// Highest learning rate; it falls linearly to 2 % of it.
    pub rate: f64,
    pub warm_up: usize,
    /// Muon instead of AdamW on the layers' matrices.
    pub muon: bool,
    /// On matrices only.
    pub weight_decay: f32,
    /// One weak family's share of the rows.
    pub weak_share: f64,
    /// Share of the rows about something else entirely.
    pub off_topic: f64,
}

impl Recipe {
    /// The recipe of the released weights.
    pub fn of(specialist: Specialist, seed: u64) -> Self {
        Self {
            specialist,
            seed,
            steps: specialist.steps,
            rows: 32,
            model: shape(),
            rate: 2e-3,
            warm_up: 100,
            muon: false,
            weight_decay: 0.05,
            weak_share: 1.0 / 60.0,
            off_topic: 0.05,
        }
    }

    /// Other rows in a step than 32; the learning rate goes with their square root.
    pub fn set_rows(&mut self, rows: usize) {
        self.rate *= (rows as f64 / self.rows as f64).sqrt();
        self.rows = rows;
    }

    /// The learning rate of a step, counted from 0.
    pub fn rate_at(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.rate * (step + 1) as f64 / self.warm_up as f64;
        }
        let left = self.steps.saturating_sub(step) as f64;
        let fall = left / self.steps.saturating_sub(self.warm_up).max(1) as f64;
        self.rate * (0.02 + 0.98 * fall.min(1.0))
    }
}

/// 0.84 million weights: what the written work needs, and little enough for two cores.
fn shape() -> LlamaConfig {
    LlamaConfig {
        hidden_size: 128,
        num_hidden_layers: 4,
        num_attention_heads: 4,
        num_key_value_heads: Some(4),
        intermediate_size: 352,
        vocab_size: VOCAB,
        rms_norm_eps: 1e-5,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        max_position_embeddings: 512,
        head_dim: None,
    }
}
