//! Weights from a seed, the same on every machine, each with a fixed identity.
//!
//! The optimizer keeps its state by parameter identity: fixed ones let a resumed run find it again.

use burn::{
    module::{Module, ModuleMapper, Param, ParamId},
    tensor::{Device, Tensor, TensorData},
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Recipe;
use crate::llama::LlamaForCausalLm;

pub(super) fn model(recipe: &Recipe, device: &Device) -> LlamaForCausalLm {
    let residual = 0.02 / (2.0 * recipe.model.num_hidden_layers as f32).sqrt();
    let rng = ChaCha8Rng::seed_from_u64(recipe.seed);
    let mut initializer =
        SeededInitializer { rng, next: 1, path: Vec::new(), residual, device: device.clone() };
    LlamaForCausalLm::new(recipe.model.clone(), device).map(&mut initializer)
}

struct SeededInitializer {
    rng: ChaCha8Rng,
    next: u64,
    path: Vec<String>,
    /// Deviation of the projections that add to the residual stream.
    residual: f32,
    device: Device,
}

impl ModuleMapper for SeededInitializer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = ParamId::from(self.next);
        self.next += 1;
        let value = param.into_value();
        if D == 1 {
            return Param::initialized(id, value.detach().require_grad());
        }
        let into_residual = self.path.iter().any(|name| name == "o_proj" || name == "down_proj");
        let deviation = if into_residual { self.residual } else { 0.02 };
        let shape = value.shape();
        let numbers =
            (0..shape.num_elements()).map(|_| deviation * normal(&mut self.rng)).collect();
        let data = TensorData::new::<f32, _>(numbers, shape);
        Param::initialized(id, Tensor::from_data(data, &self.device).require_grad())
    }
}

/// A standard normal number (Box and Muller, 1958).
fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (rng.random(), rng.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}
