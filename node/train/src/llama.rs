//! The decoder of all models here: Llama's, in Hugging Face's layout.
//!
//! RMS norm, rotary positions, grouped query heads, SwiGLU, an output head that may share the
//! embedding. Field names are the checkpoint's, so that `model.safetensors` maps without a table.

mod config;
#[cfg(test)]
mod tests;

pub(crate) use config::LlamaConfig;

use std::sync::Arc;

use burn::{
    module::{Initializer, Module},
    nn::{Embedding, EmbeddingConfig, Linear, LinearConfig, RmsNorm, RmsNormConfig},
    tensor::{Device, Int, Tensor},
};

use super::{
    fused::{self, Heads},
    rope::Rope,
};

/// Standard deviation of random weights, as in GPT-2.
const STD: f64 = 0.02;

/// A decoder with its output head.
#[derive(Module, Debug)]
pub(crate) struct LlamaForCausalLm {
    pub model: LlamaModel,
    /// Absent when the embedding is the output head too.
    pub lm_head: Option<Linear>,
    #[module(skip)]
    config: LlamaConfig,
    #[module(skip)]
    rope: Arc<Rope>,
}

#[derive(Module, Debug)]
pub(crate) struct LlamaModel {
    pub embed_tokens: Embedding,
    pub layers: Vec<LlamaLayer>,
    pub norm: RmsNorm,
}

#[derive(Module, Debug)]
pub(crate) struct LlamaLayer {
    pub input_layernorm: RmsNorm,
    pub self_attn: Attention,
    pub post_attention_layernorm: RmsNorm,
    pub mlp: Mlp,
}

#[derive(Module, Debug)]
pub(crate) struct Attention {
    pub q_proj: Linear,
    pub k_proj: Linear,
    pub v_proj: Linear,
    pub o_proj: Linear,
}

#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub gate_proj: Linear,
    pub up_proj: Linear,
    pub down_proj: Linear,
}

impl LlamaForCausalLm {
    /// Random weights (normal, 0.02; projections into the residual smaller, as GPT-2 does).
    pub(crate) fn new(config: LlamaConfig, device: &Device) -> Self {
        let (width, head) = (config.hidden_size, config.head_dim());
        let embedding = EmbeddingConfig::new(config.vocab_size, width)
            .with_initializer(Initializer::Normal { mean: 0.0, std: STD });
        Self {
            model: LlamaModel {
                embed_tokens: embedding.init(device),
                layers: (0..config.num_hidden_layers)
                    .map(|_| LlamaLayer::new(&config, device))
                    .collect(),
                norm: new_norm(&config, device),
            },
            lm_head: (!config.tie_word_embeddings)
                .then(|| linear([width, config.vocab_size], STD, device)),
            rope: Arc::new(Rope::new(config.max_position_embeddings, head, config.rope_theta)),
            config,
        }
    }

    /// `[batch, len]` tokens, each row from position 0, to the rows after the last norm:
    /// `[batch * len, width]`. Rows shorter than `len` are padded at the end: the tokens after a
    /// token never change it.
    pub(crate) fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let [batch, len] = tokens.dims();
        let heads = self.heads([batch, len]);
        let mut x = self.model.embed_tokens.weight.val().select(0, tokens.reshape([batch * len]));
        for layer in &self.model.layers {
            let (attn, mlp) = (&layer.self_attn, &layer.mlp);
            let h = norm(&layer.input_layernorm, x.clone());
            let (q, k) = (attn.q_proj.forward(h.clone()), attn.k_proj.forward(h.clone()));
            let v = attn.v_proj.forward(h);
            let attention = fused::attention(q, k, v, heads, &self.rope);
            x = x + attn.o_proj.forward(attention);
            let h = norm(&layer.post_attention_layernorm, x.clone());
            let product = fused::swiglu(mlp.gate_proj.forward(h.clone()), mlp.up_proj.forward(h));
            x = x + mlp.down_proj.forward(product);
        }
        norm(&self.model.norm, x)
    }

    /// The output head over `[rows, width]`: `[rows, vocab]`.
    pub(crate) fn head(&self, x: Tensor<2>) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.forward(x),
            None => x.matmul(self.model.embed_tokens.weight.val().transpose()),
        }
    }

    fn heads(&self, [batch, len]: [usize; 2]) -> Heads {
        let (heads, kv_heads) = (self.config.num_attention_heads, self.config.kv_heads());
        Heads { batch, len, heads, kv_heads, dim: self.config.head_dim() }
    }
}

impl LlamaLayer {
    fn new(config: &LlamaConfig, device: &Device) -> Self {
        let (width, inner) = (config.hidden_size, config.intermediate_size);
        let queries = config.num_attention_heads * config.head_dim();
        let keys = config.kv_heads() * config.head_dim();
        // Projections that add to the residual stream.
        let residual_std = STD / (2.0 * config.num_hidden_layers as f64).sqrt();
        Self {
            input_layernorm: new_norm(config, device),
            self_attn: Attention {
                q_proj: linear([width, queries], STD, device),
                k_proj: linear([width, keys], STD, device),
                v_proj: linear([width, keys], STD, device),
                o_proj: linear([queries, width], residual_std, device),
            },
            post_attention_layernorm: new_norm(config, device),
            mlp: Mlp {
                gate_proj: linear([width, inner], STD, device),
                up_proj: linear([width, inner], STD, device),
                down_proj: linear([inner, width], residual_std, device),
            },
        }
    }
}

fn linear([inputs, outputs]: [usize; 2], std: f64, device: &Device) -> Linear {
    let initializer = Initializer::Normal { mean: 0.0, std };
    LinearConfig::new(inputs, outputs).with_bias(false).with_initializer(initializer).init(device)
}

fn new_norm(config: &LlamaConfig, device: &Device) -> RmsNorm {
    RmsNormConfig::new(config.hidden_size).with_epsilon(config.rms_norm_eps).init(device)
}

fn norm(norm: &RmsNorm, x: Tensor<2>) -> Tensor<2> {
    fused::rms_norm(x, norm.gamma.val(), norm.epsilon as f32)
}
