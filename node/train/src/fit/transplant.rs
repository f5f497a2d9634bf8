//! The weights of a finished model as the start of a run.

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param},
    tensor::{Device, Tensor, TensorData},
};

use crate::llama::LlamaForCausalLm;

/// `target` with the weights of `source`, a model of the same shape. `source` may know fewer tokens:
/// each token that it lacks starts with the embedding of `like`.
///
/// # Errors
/// If the shapes differ in more than the tokens.
pub(super) fn transplant(
    source: &LlamaForCausalLm,
    target: LlamaForCausalLm,
    like: u32,
    device: &Device,
) -> Result<LlamaForCausalLm> {
    let mut weights = Weights::default();
    source.visit(&mut weights);
    let mut graft = Graft { weights: weights.0, like: like as usize, fits: true, device };
    let target = target.map(&mut graft);
    ensure!(graft.fits && graft.weights.is_empty(), "the model has another shape");
    Ok(target)
}

/// All weights of a model, in the order of its modules.
#[derive(Default)]
struct Weights(VecDeque<TensorData>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push_back(param.val().into_data());
    }
}

struct Graft<'a> {
    weights: VecDeque<TensorData>,
    like: usize,
    fits: bool,
    device: &'a Device,
}

impl Graft<'_> {
    /// The next weights in `shape`, `None` if they do not fit it.
    fn next(&mut self, shape: &[usize]) -> Option<Vec<f32>> {
        let data = self.weights.pop_front()?;
        let source_shape: Vec<usize> = data.shape().iter().copied().collect();
        let mut numbers: Vec<f32> = data.iter::<f32>().collect();
        if source_shape == shape {
            return Some(numbers);
        }
        let ([rows, width], [source_rows, source_width]) = (shape, source_shape.as_slice()) else {
            return None;
        };
        if width != source_width || rows < source_rows {
            return None;
        }
        let like = numbers.get(self.like * width..(self.like + 1) * width)?.to_vec();
        numbers.extend(like.iter().copied().cycle().take((rows - source_rows) * width));
        Some(numbers)
    }
}

impl ModuleMapper for Graft<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value) = (param.id, param.into_value());
        let shape = value.shape();
        let dims: Vec<usize> = shape.iter().copied().collect();
        let Some(numbers) = self.next(&dims) else {
            self.fits = false;
            return Param::initialized(id, value);
        };
        let data = TensorData::new::<f32, _>(numbers, shape);
        Param::initialized(id, Tensor::from_data(data, self.device).require_grad())
    }
}
