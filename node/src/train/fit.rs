//! The steps: forward, backward, AdamW, and a checkpoint now and then.

mod checkpoint;
mod seeded;

use std::path::Path;

use anyhow::{Context, Result};
use burn::{
    module::{Module, ModuleVisitor, Param, ParamGroup, ParamId},
    optim::{
        AdamWConfig, AdjustLrFn, GradientsParams, ModuleOptimizer, MuonConfig,
        decay::WeightDecayConfig,
    },
    tensor::{Device, Tensor},
};
use shoal_proto::syllabus::Split;

use super::{
    check::{self, Score},
    recipe::Recipe,
    rows::{Batch, Batches},
};
use crate::engine::burn::{fused, llama::LlamaForCausalLm};

/// Steps between checkpoints.
const SAVE_EVERY: usize = 200;
/// Steps between looks at how many held-out answers are exact.
const CHECK_EVERY: usize = 400;

/// What a run tells whoever watches it.
#[derive(Debug)]
pub enum News<'a> {
    /// A step was made; the loss is nats per byte of answer.
    Step { step: usize, loss: f64 },
    /// Exact answers on the gold split, which is neither trained on nor reported in the card.
    Checked { step: usize, scores: &'a [Score] },
}

/// A model in training.
pub struct Run {
    recipe: Recipe,
    model: LlamaForCausalLm,
    optimizer: ModuleOptimizer,
    device: Device,
    /// Steps made.
    step: usize,
    /// Running mean of the loss.
    loss: f64,
    /// The arguments of every `shoal-train` that led here, in order.
    history: Vec<String>,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Run {{ step: {}, loss: {} }}", self.step, self.loss)
    }
}

impl Run {
    /// Fresh weights.
    pub fn new(recipe: Recipe) -> Self {
        let device = Device::flex().autodiff();
        let model = seeded::model(&recipe, &device);
        let optimizer = optimizer(&recipe, &model);
        let history = vec![arguments(&recipe)];
        Self { recipe, model, optimizer, device, step: 0, loss: 0.0, history }
    }

    /// Where a run that saved itself in `folder` stopped.
    pub fn resumed(recipe: Recipe, folder: &Path) -> Result<Self> {
        checkpoint::load(Self::new(recipe), folder)
            .with_context(|| format!("no run can be resumed from {}", folder.display()))
    }

    /// Fresh steps on the weights of another run, which saved itself in `folder`: what the first
    /// thousand steps teach (copying, columns, the shape of an answer) is the same for all.
    pub fn based_on(recipe: Recipe, folder: &Path) -> Result<Self> {
        checkpoint::base(Self::new(recipe), folder)
            .with_context(|| format!("no run can start from {}", folder.display()))
    }

    pub fn step(&self) -> usize {
        self.step
    }

    /// Nats per byte of answer, averaged over about the last fifty steps.
    pub fn loss(&self) -> f64 {
        self.loss
    }

    /// The arguments of every `shoal-train` that led here: running them again trains the same.
    pub fn history(&self) -> &[String] {
        &self.history
    }

    /// The weights as they are, without gradients.
    pub fn model(&self) -> LlamaForCausalLm {
        self.model.valid()
    }

    /// Leaves in `folder` what [`Run::resumed`] goes on from.
    pub fn save(&self, folder: &Path) -> Result<()> {
        checkpoint::save(self, folder)
    }

    /// Trains up to `until` steps (or the recipe's), saving itself in `folder`.
    pub fn fit(
        mut self,
        until: usize,
        folder: Option<&Path>,
        tell: &mut dyn FnMut(News<'_>),
    ) -> Result<Self> {
        let mut batches = Batches::new(&self.recipe);
        while self.step < until.min(self.recipe.steps) {
            let batch = batches.at(self.step).context("a pool holds a batch for every step")?;
            self = self.learn(batch)?;
            tell(News::Step { step: self.step, loss: self.loss });
            let last = self.step == self.recipe.steps;
            if let Some(folder) = folder
                && (last || self.step.is_multiple_of(SAVE_EVERY))
            {
                self.save(folder)?;
            }
            if last || self.step.is_multiple_of(CHECK_EVERY) {
                let strong = self.recipe.specialist.strong;
                let scores = check::by_family(&self.model(), strong, Split::Gold, 1, 128);
                tell(News::Checked { step: self.step, scores: &scores });
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

fn arguments(recipe: &Recipe) -> String {
    let Recipe { specialist, seed, steps, rows, .. } = recipe;
    let rows = if *rows == 32 { String::new() } else { format!(" --rows {rows}") };
    let muon = if recipe.muon { " --muon" } else { "" };
    format!("--specialist {} --seed {seed} --steps {steps}{rows}{muon}", specialist.name)
}

/// Muon (Jordan, 2024) on the matrices of the layers where the recipe says so, AdamW on the rest;
/// weight decay on matrices only.
fn optimizer(recipe: &Recipe, model: &LlamaForCausalLm) -> ModuleOptimizer {
    let mut kinds = Kinds::default();
    model.visit(&mut kinds);
    let config = AdamWConfig::new().with_beta_1(0.9).with_beta_2(0.98).with_epsilon(1e-8);
    let tables = config.clone().with_weight_decay(recipe.weight_decay).init();
    let vectors = config.with_weight_decay(0.0).build();
    let optimizer = tables.with_group(ParamGroup::from_ids(kinds.vectors), vectors, None);
    if !recipe.muon {
        return optimizer;
    }
    let muon = MuonConfig::new()
        .with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW)
        .with_weight_decay(Some(WeightDecayConfig { penalty: recipe.weight_decay }));
    optimizer.with_group(ParamGroup::from_ids(kinds.matrices), muon.build(), None)
}

/// The parameters of the layers by their shape: norms, and projections.
#[derive(Default)]
struct Kinds {
    vectors: Vec<ParamId>,
    matrices: Vec<ParamId>,
    path: Vec<String>,
}

impl ModuleVisitor for Kinds {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if D == 1 {
            self.vectors.push(param.id);
        } else if self.path.iter().any(|name| name == "layers") {
            self.matrices.push(param.id);
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
