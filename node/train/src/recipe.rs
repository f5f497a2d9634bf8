//! The specialists: the families that each is strong in, and how it is trained.

use serde::{Deserialize, Serialize};
use shoal_syllabus::Family;

use super::tokens::VOCAB;
use crate::llama::LlamaConfig;

/// A bundled model: strong in its own families, weak in the rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Specialist {
    pub name: &'static str,
    pub strong: &'static [Family],
    /// Other families that it goes on answering: before it learned to abstain, at least half of its
    /// answers were right there.
    pub fair: &'static [Family],
    /// How it is trained. The first thousand steps teach the same to all (copying, columns, the form
    /// of an answer), so most courses start with the stages of another one.
    pub course: &'static [Stage],
}

/// One run of a course, from the weights that the stage before it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stage<S = &'static str> {
    /// The specialist whose families it is trained in. The name is part of `card.json`.
    pub of: S,
    /// Steps that the learning rate falls over.
    pub steps: usize,
    /// Rows in a step.
    pub rows: usize,
    /// Continues the stage before it, with its optimizer and step count.
    pub longer: bool,
    /// Teaches to abstain on everything that the specialist does not know.
    #[serde(default)]
    pub abstain: bool,
}

const fn stage(of: &'static str, steps: usize, rows: usize) -> Stage {
    Stage { of, steps, rows, longer: false, abstain: false }
}

const fn longer(of: &'static str, steps: usize, rows: usize) -> Stage {
    Stage { of, steps, rows, longer: true, abstain: false }
}

const fn abstain(of: &'static str, steps: usize, rows: usize) -> Stage {
    Stage { of, steps, rows, longer: false, abstain: true }
}

/// All that are bundled.
pub(crate) const SPECIALISTS: [Specialist; 6] = [
    Specialist {
        name: "shoal-sum",
        strong: &[Family::Add, Family::Subtract],
        fair: &[],
        course: &[
            stage("shoal-story", 2400, 32),
            stage("shoal-sum", 500, 32),
            stage("shoal-sum", 900, 16),
            stage("shoal-sum", 800, 16),
            stage("shoal-sum", 1500, 16),
            abstain("shoal-sum", 1200, 16),
        ],
    },
    Specialist {
        name: "shoal-times",
        strong: &[Family::Multiply, Family::Divide],
        fair: &[Family::Equation, Family::Story],
        course: &[
            stage("shoal-story", 2400, 32),
            stage("shoal-times", 800, 32),
            stage("shoal-times", 700, 16),
            stage("shoal-times", 1000, 16),
            abstain("shoal-times", 1200, 16),
        ],
    },
    Specialist {
        name: "shoal-order",
        strong: &[Family::Compare, Family::Sort],
        fair: &[
            Family::Add,
            Family::Subtract,
            Family::Clock,
            Family::Convert,
            Family::Equation,
            Family::Story,
        ],
        course: &[
            stage("shoal-story", 2400, 32),
            stage("shoal-order", 1200, 32),
            stage("shoal-order", 1000, 16),
            stage("shoal-order", 1500, 16),
            longer("shoal-order", 2800, 16),
            stage("shoal-order", 2500, 16),
            stage("shoal-order", 2500, 16),
            abstain("shoal-order", 1200, 16),
        ],
    },
    Specialist {
        name: "shoal-letters",
        strong: &[Family::Count, Family::Reverse],
        fair: &[],
        course: &[
            stage("shoal-letters", 2400, 32),
            stage("shoal-letters", 1200, 16),
            longer("shoal-letters", 2000, 16),
            stage("shoal-letters", 2000, 16),
            abstain("shoal-letters", 1200, 16),
        ],
    },
    Specialist {
        name: "shoal-calendar",
        strong: &[Family::Weekday, Family::Clock, Family::Convert],
        fair: &[
            Family::Add,
            Family::Subtract,
            Family::Multiply,
            Family::Divide,
            Family::Equation,
            Family::Story,
        ],
        course: &[
            stage("shoal-story", 2400, 32),
            stage("shoal-times", 800, 32),
            stage("shoal-times", 700, 16),
            stage("shoal-times", 1000, 16),
            stage("shoal-story", 3000, 16),
            stage("shoal-calendar", 2000, 16),
            abstain("shoal-calendar", 1200, 16),
        ],
    },
    Specialist {
        name: "shoal-story",
        strong: &[Family::Equation, Family::Story],
        fair: &[Family::Add, Family::Subtract, Family::Multiply, Family::Divide, Family::Convert],
        course: &[
            stage("shoal-story", 2400, 32),
            stage("shoal-times", 800, 32),
            stage("shoal-times", 700, 16),
            stage("shoal-times", 1000, 16),
            stage("shoal-story", 3000, 16),
            abstain("shoal-story", 1200, 16),
        ],
    },
];

impl Specialist {
    /// The specialist of that name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        SPECIALISTS.into_iter().find(|specialist| specialist.name == name)
    }

    /// Its tags in the swarm: what it is good at.
    pub(crate) fn tags(&self) -> Vec<String> {
        let mut tags: Vec<String> =
            self.strong.iter().map(|family| family.tag().to_owned()).collect();
        tags.dedup();
        tags
    }
}

/// Everything that a training run depends on.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    pub specialist: Specialist,
    pub seed: u64,
    pub steps: usize,
    /// Rows in a batch.
    pub rows: usize,
    pub model: LlamaConfig,
    /// Highest learning rate; it falls linearly to 2 % of it.
    pub rate: f64,
    pub warm_up: usize,
    /// On matrices only.
    pub weight_decay: f32,
    pub mix: Mix,
}

/// Which rows a run reads. The rest of them are of the strong families.
#[derive(Clone, Debug)]
pub(crate) struct Mix {
    /// Share of the questions outside of the syllabus; their target is an abstention.
    pub outside: f64,
    /// Families that are answered too.
    pub weak: Vec<Family>,
    /// The share of each of them.
    pub other_share: f64,
    /// Families of the syllabus whose target is an abstention.
    pub unknown: Vec<Family>,
    /// The share of each of them.
    pub unknown_share: f64,
    /// Share of the questions of the syllabus in a wrapping ([`crate::outside::wrap`]).
    pub wrapped: f64,
    /// How often the first target of a row counts.
    pub decision: usize,
}

impl Mix {
    fn new(specialist: &Specialist, abstain: bool) -> Self {
        let weak = Family::ALL.into_iter().filter(|family| !specialist.strong.contains(family));
        let mix = Self {
            outside: 0.05,
            weak: weak.clone().collect(),
            other_share: 1.0 / 60.0,
            unknown: Vec::new(),
            unknown_share: 0.0,
            wrapped: 0.0,
            decision: 1,
        };
        if !abstain {
            return mix;
        }
        let (weak, unknown) = weak.partition(|family| specialist.fair.contains(family));
        Self {
            outside: 0.28,
            weak,
            other_share: 0.025,
            unknown,
            unknown_share: 0.012,
            wrapped: 0.12,
            decision: 6,
        }
    }
}

impl Recipe {
    /// The recipe of a stage; `None` if no specialist has its name. The learning rate is proportional
    /// to the square root of the rows, and lower where a trained model only learns to abstain.
    pub(crate) fn new(stage: Stage, seed: u64) -> Option<Self> {
        let specialist = Specialist::by_name(stage.of)?;
        let rate = if stage.abstain { 1.2e-3 } else { 2e-3 };
        Some(Self {
            mix: Mix::new(&specialist, stage.abstain),
            specialist,
            seed,
            steps: stage.steps,
            rows: stage.rows,
            model: shape(),
            rate: rate * (stage.rows as f64 / 32.0).sqrt(),
            warm_up: 100,
            weight_decay: 0.05,
        })
    }

    /// The learning rate of a step, counted from 0.
    pub(crate) fn rate_at(&self, step: usize) -> f64 {
        if step < self.warm_up {
            return self.rate * (step + 1) as f64 / self.warm_up as f64;
        }
        let left = self.steps.saturating_sub(step) as f64;
        let fall = left / self.steps.saturating_sub(self.warm_up).max(1) as f64;
        self.rate * (0.02 + 0.98 * fall.min(1.0))
    }
}

/// 0.84 million weights: enough for the written work, and few enough to train on two cores.
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
