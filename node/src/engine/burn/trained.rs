//! A folder back into the decoder that the trainer trains: what the serving one is held against.

pub(crate) mod shape;
mod weights;

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::llama::LlamaForCausalLm;
use crate::model::{LoadError, files::Files};

/// The trainer's decoder with the weights of a folder.
pub(crate) fn open(files: &Files) -> Result<LlamaForCausalLm, LoadError> {
    let device = Device::flex();
    let config = shape::read(files)?;
    let mut store = weights::Weights::new(files);
    for name in files.weights()? {
        store.add(&name, files.read(&name)?.unwrap_or_default())?;
    }
    store.fill(LlamaForCausalLm::new(config, &device), &device)
}

/// Logits after each of the tokens, `[tokens, vocab]`.
pub(crate) fn logits(llama: &LlamaForCausalLm, tokens: &[u32]) -> Vec<f32> {
    let row: Vec<i32> = tokens.iter().map(|token| i32::try_from(*token).unwrap()).collect();
    let row = Tensor::<2, Int>::from_data(TensorData::new(row, [1, tokens.len()]), &Device::flex());
    llama.forward(row).into_data().try_into_vec::<f32>().unwrap()
}
