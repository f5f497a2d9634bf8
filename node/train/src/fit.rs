//! The training steps: forward, backward, AdamW, and a checkpoint from time to time.

mod checkpoint;
mod seeded;
mod transplant;

use std::path::Path;

use anyhow::{Context, Result};
use burn::{
    module::{Module, ModuleVisitor, Param, ParamGroup, ParamId},
    optim::{AdamWConfig, GradientsParams, ModuleOptimizer},
    tensor::{Device, Tensor},
};
use shoal_syllabus::Split;

use super::{
    check::{self, Score},
    recipe::Recipe,
    rows::{Batch, Batches},
};
use crate::{fused, llama::LlamaForCausalLm};

/// Steps between checkpoints.
const SAVE_EVERY: usize = 200;
/// Steps between checks on held-out questions.
const CHECK_EVERY: usize = 400;

/// A run's progress.
#[derive(Debug)]
pub(crate) enum TrainingEvent<'a> {
    /// A step was made; the loss is nats per byte of answer.
    Step { step: usize, loss: f64 },
    /// Exact answers on the gold split, which is neither trained on nor reported in the card.
    Checked { step: usize, scores: &'a [Score] },
}

/// A model in training.
pub(crate) struct Run {
    recipe: Recipe,
    model: LlamaForCausalLm,
    optimizer: ModuleOptimizer,
    device: Device,
    /// Steps made.
    step: usize,
    /// Running mean of the loss.
    loss: f64,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run {{ step: {}, loss: {} }}", self.step, self.loss)
    }
}

impl Run {
    /// A run with random weights from the seed.
    pub(crate) fn new(recipe: Recipe) -> Self {
        let device = Device::flex().autodiff();
        let model = seeded::model(&recipe, &device);
        let optimizer = optimizer(&recipe, &model);
        Self { recipe, model, optimizer, device, step: 0, loss: 0.0 }
    }

    /// Continues a run that was saved in `folder`.
    ///
    /// # Errors
    /// When the folder has no such run.
    pub(crate) fn resume(recipe: Recipe, folder: &Path) -> Result<Self> {
        checkpoint::load(Self::new(recipe), folder)
            .with_context(|| format!("no run can be resumed from {}", folder.display()))
    }

    /// A new run from the weights of the run in `folder`.
    pub(crate) fn based_on(recipe: Recipe, folder: &Path) -> Result<Self> {
        checkpoint::base(Self::new(recipe), folder)
            .with_context(|| format!("no run can start from {}", folder.display()))
    }

    /// A new run from the weights of a finished model, which may lack the last tokens. These start as
    /// the letter `I`: earlier models began with it where they could not answer.
    pub(crate) fn from_model(recipe: Recipe, source: &LlamaForCausalLm) -> Result<Self> {
        let mut run = Self::new(recipe);
        run.model = transplant::transplant(source, run.model, u32::from(b'I'), &run.device)?;
        Ok(run)
    }

    /// Continues the run in `folder` for more steps, with its optimizer and step count.
    pub(crate) fn longer(recipe: Recipe, folder: &Path) -> Result<Self> {
        checkpoint::longer(Self::new(recipe), folder)
            .with_context(|| format!("no run can be made longer from {}", folder.display()))
    }

    #[cfg(test)]
    pub(crate) fn step(&self) -> usize {
        self.step
    }

    /// Nats per byte of answer, averaged over about the last fifty steps.
    pub(crate) fn loss(&self) -> f64 {
        self.loss
    }

    /// The current weights, without gradients.
    pub(crate) fn model(&self) -> LlamaForCausalLm {
        self.model.valid()
    }

    /// Saves a checkpoint for [`Run::resume`] in `folder`.
    pub(crate) fn save(&self, folder: &Path) -> Result<()> {
        checkpoint::save(self, folder)
    }

    /// Trains up to step `until`, at most the recipe's last one, and saves checkpoints in `folder`.
    pub(crate) fn fit(
        mut self,
        until: usize,
        folder: Option<&Path>,
        watch: &mut dyn FnMut(TrainingEvent<'_>),
    ) -> Result<Self> {
        let mut batches = Batches::new(&self.recipe);
        while self.step < until.min(self.recipe.steps) {
            let batch = batches.at(self.step).context("a pool holds a batch for every step")?;
            self = self.learn(batch)?;
            watch(TrainingEvent::Step { step: self.step, loss: self.loss });
            let last = self.step == self.recipe.steps;
            if let Some(folder) = folder
                && (last || self.step.is_multiple_of(SAVE_EVERY))
            {
                self.save(folder)?;
            }
            if last || self.step.is_multiple_of(CHECK_EVERY) {
                let strong = self.recipe.specialist.strong;
                let scores = check::by_family(&self.model(), strong, Split::Gold, 1, 64);
                watch(TrainingEvent::Checked { step: self.step, scores: &scores });
            }
        }
        Ok(self)
    }

    fn learn(mut self, batch: &Batch) -> Result<Self> {
        let logits = check::logits(&self.model, batch, &self.device);
        let loss = fused::cross_entropy(logits, batch.targets.clone());
        let gradients = loss.backward();
        let mut gradients = GradientsParams::from_grads(gradients, &self.model);
        let value = f64::from(loss.into_scalar::<f32>());
        anyhow::ensure!(value.is_finite(), "the loss is no number at step {}", self.step);
        clip(&self.model, &mut gradients);
        let rate = self.recipe.rate_at(self.step);
        self.model = self.optimizer.step(rate, self.model, gradients);
        self.loss = if self.step == 0 { value } else { 0.98 * self.loss + 0.02 * value };
        self.step += 1;
        Ok(self)
    }
}

/// AdamW, with weight decay on matrices only.
fn optimizer(recipe: &Recipe, model: &LlamaForCausalLm) -> ModuleOptimizer {
    let mut vectors = Vectors::default();
    model.visit(&mut vectors);
    let config = AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.98).with_epsilon(1e-8);
    let matrices = config.clone().with_weight_decay(recipe.weight_decay).init();
    let plain = config.with_weight_decay(0.0).build();
    matrices.with_group(ParamGroup::from_ids(vectors.0), plain, None)
}

/// The parameters that are vectors: norms.
#[derive(Default)]
struct Vectors(Vec<ParamId>);

impl ModuleVisitor for Vectors {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.0.push(param.id);
        }
    }
}

/// Scales all gradients together so that their norm is at most 1.
fn clip(model: &LlamaForCausalLm, gradients: &mut GradientsParams) {
    let mut norm = Norm { gradients, squares: 0.0 };
    model.visit(&mut norm);
    let length = norm.squares.sqrt();
    if length > 1.0 {
        model.visit(&mut Scale { gradients, factor: 1.0 / length });
    }
}

struct Norm<'a> {
    gradients: &'a GradientsParams,
    squares: f64,
}

impl ModuleVisitor for Norm<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares += f64::from(gradient.square().sum().into_scalar::<f32>());
        }
    }
}

struct Scale<'a> {
    gradients: &'a mut GradientsParams,
    factor: f64,
}

impl ModuleVisitor for Scale<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register::<D>(param.id, gradient * self.factor);
        }
    }
}
