//! Safetensors into the decoder, every tensor checked against what `config.json` says.

use std::{borrow::Cow, collections::HashMap};

use burn::{
    module::Param,
    nn::{Embedding, Linear, RmsNorm},
    tensor::{Device, Tensor, TensorData},
};
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::LoadError;
use crate::{engine::burn::llama::LlamaForCausalLm, model::files::Files};

/// All tensors of a model, as they lie in its files.
pub(super) struct Weights {
    place: String,
    tensors: HashMap<String, Stored>,
}

struct Stored {
    shape: Vec<usize>,
    floats: Vec<f32>,
}

impl Weights {
    pub(super) fn new(files: &Files) -> Self {
        Self { place: files.place(), tensors: HashMap::new() }
    }

    /// Reads one file; f16 and bf16 become f32.
    pub(super) fn add(&mut self, file: &str, bytes: Cow<'static, [u8]>) -> Result<(), LoadError> {
        let refused = |why: String| LoadError::Weights {
            place: self.place.clone(),
            file: file.to_owned(),
            why,
        };
        let parsed =
            SafeTensors::deserialize(&bytes).map_err(|error| refused(error.to_string()))?;
        for (name, view) in parsed.tensors() {
            let floats = floats(view.dtype(), view.data()).ok_or_else(|| {
                refused(format!("{name} is {:?}: f32, f16 and bf16 are read", view.dtype()))
            })?;
            self.tensors.insert(name, Stored { shape: view.shape().to_vec(), floats });
        }
        Ok(())
    }

    /// Puts the tensors in the place of the decoder's own. Those it has no place for (rotary
    /// tables that older files carry) are left out.
    pub(super) fn fill(
        mut self,
        mut llama: LlamaForCausalLm,
        device: &Device,
    ) -> Result<LlamaForCausalLm, LoadError> {
        let config = llama.config().clone();
        let (width, head, inner) =
            (config.hidden_size, config.head_dim(), config.intermediate_size);
        let (q, kv) = (config.num_attention_heads * head, config.kv_heads() * head);
        let vocab = config.vocab_size;
        self.embedding(
            &mut llama.model.embed_tokens,
            "model.embed_tokens",
            [vocab, width],
            device,
        )?;
        for (index, layer) in llama.model.layers.iter_mut().enumerate() {
            let at = |name: &str| format!("model.layers.{index}.{name}");
            let (attn, mlp) = (&mut layer.self_attn, &mut layer.mlp);
            for (linear, name, shape) in [
                (&mut attn.q_proj, "self_attn.q_proj", [q, width]),
                (&mut attn.k_proj, "self_attn.k_proj", [kv, width]),
                (&mut attn.v_proj, "self_attn.v_proj", [kv, width]),
                (&mut attn.o_proj, "self_attn.o_proj", [width, q]),
                (&mut mlp.gate_proj, "mlp.gate_proj", [inner, width]),
                (&mut mlp.up_proj, "mlp.up_proj", [inner, width]),
                (&mut mlp.down_proj, "mlp.down_proj", [width, inner]),
            ] {
                self.linear(linear, &at(name), shape, device)?;
            }
            self.norm(&mut layer.input_layernorm, &at("input_layernorm"), width, device)?;
            let after = &mut layer.post_attention_layernorm;
            self.norm(after, &at("post_attention_layernorm"), width, device)?;
        }
        self.norm(&mut llama.model.norm, "model.norm", width, device)?;
        if let Some(head) = &mut llama.lm_head {
            self.linear(head, "lm_head", [vocab, width], device)?;
        }
        Ok(llama)
    }

    /// Files hold `[out, in]`; burn multiplies rows by `[in, out]`, and fastest where that is how
    /// the numbers lie in memory.
    fn linear(
        &mut self,
        linear: &mut Linear,
        name: &str,
        [rows, columns]: [usize; 2],
        device: &Device,
    ) -> Result<(), LoadError> {
        let stored = self.take(&format!("{name}.weight"), &[rows, columns])?;
        let turned = transposed(&stored, rows, columns);
        linear.weight = Param::from_tensor(tensor(turned, [columns, rows], device));
        Ok(())
    }

    fn embedding(
        &mut self,
        embedding: &mut Embedding,
        name: &str,
        shape: [usize; 2],
        device: &Device,
    ) -> Result<(), LoadError> {
        let floats = self.take(&format!("{name}.weight"), &shape)?;
        embedding.weight = Param::from_tensor(tensor(floats, shape, device));
        Ok(())
    }

    fn norm(
        &mut self,
        norm: &mut RmsNorm,
        name: &str,
        width: usize,
        device: &Device,
    ) -> Result<(), LoadError> {
        let floats = self.take(&format!("{name}.weight"), &[width])?;
        norm.gamma = Param::from_tensor(tensor(floats, [width], device));
        Ok(())
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (place, tensor) = (self.place.clone(), name.to_owned());
        match self.tensors.remove(name) {
            None => Err(LoadError::NoTensor { place, tensor }),
            Some(stored) if stored.shape == shape => Ok(stored.floats),
            Some(Stored { shape: found, .. }) => {
                Err(LoadError::Shape { place, tensor, found, expected: shape.to_vec() })
            }
        }
    }
}

fn tensor<const D: usize>(floats: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(floats, shape), device)
}

fn transposed(floats: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    let mut turned = Vec::with_capacity(rows * columns);
    for column in 0..columns {
        turned.extend(floats.iter().skip(column).step_by(columns.max(1)));
    }
    turned
}

/// Little-endian numbers as f32; `None` for types that are not read.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let pairs = || bytes.as_chunks::<2>().0.iter().copied();
    match dtype {
        Dtype::F32 => {
            Some(bytes.as_chunks::<4>().0.iter().copied().map(f32::from_le_bytes).collect())
        }
        Dtype::F16 => Some(pairs().map(|pair| f16::from_le_bytes(pair).to_f32()).collect()),
        Dtype::BF16 => Some(pairs().map(|pair| bf16::from_le_bytes(pair).to_f32()).collect()),
        _ => None,
    }
}
