//! The decoder that every model here is: Llama's, as Hugging Face lays it out.
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
        let small = 0.02 / (2.0 * config.num_hidden_layers as f64).sqrt();
        let linear = |from, to, std| {
            let initializer = Initializer::Normal { mean: 0.0, std };
            LinearConfig::new(from, to).with_bias(false).with_initializer(initializer).init(device)
        };
        let norm = || RmsNormConfig::new(width).with_epsilon(config.rms_norm_eps).init(device);
        let layer = |_| LlamaLayer {
            input_layernorm: norm(),
            self_attn: Attention {
                q_proj: linear(width, config.num_attention_heads * head, 0.02),
                k_proj: linear(width, config.kv_heads() * head, 0.02),
                v_proj: linear(width, config.kv_heads() * head, 0.02),
                o_proj: linear(config.num_attention_heads * head, width, small),
            },
            post_attention_layernorm: norm(),
            mlp: Mlp {
                gate_proj: linear(width, config.intermediate_size, 0.02),
                up_proj: linear(width, config.intermediate_size, 0.02),
                down_proj: linear(config.intermediate_size, width, small),
            },
        };
        let embedding = EmbeddingConfig::new(config.vocab_size, width)
            .with_initializer(Initializer::Normal { mean: 0.0, std: 0.02 });
        Self {
            model: LlamaModel {
                embed_tokens: embedding.init(device),
                layers: (0..config.num_hidden_layers).map(layer).collect(),
                norm: norm(),
            },
            lm_head: (!config.tie_word_embeddings).then(|| linear(width, config.vocab_size, 0.02)),
            rope: Arc::new(Rope::new(config.max_position_embeddings, head, config.rope_theta)),
            config,
        }
    }

    /// What the model was made from.
    #[cfg(test)]
    pub(crate) fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// `[batch, len]` tokens, each row from position 0, to logits `[batch, len, vocab]`.
    /// Rows shorter than `len` are padded at the end: what follows a token never changes it.
    #[cfg(test)]
    pub(crate) fn forward(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        let [batch, len] = tokens.dims();
        let logits = self.head(self.hidden(tokens));
        logits.reshape([batch, len, self.config.vocab_size])
    }

    /// The same up to the last norm: `[batch * len, hidden]`. For callers that need few logits.
    pub(crate) fn hidden(&self, tokens: Tensor<2, Int>) -> Tensor<2> {
        let heads = self.heads(tokens.dims());
        self.layers(tokens, |q, k, v| fused::attention(q, k, v, heads, &self.rope))
    }

    /// The output head over `[rows, hidden]`: `[rows, vocab]`.
    pub(crate) fn head(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.forward(hidden),
            None => hidden.matmul(self.model.embed_tokens.weight.val().transpose()),
        }
    }

    /// The layers, with `mix` as the attention over projected q, k and v.
    fn layers(
        &self,
        tokens: Tensor<2, Int>,
        mix: impl Fn(Tensor<2>, Tensor<2>, Tensor<2>) -> Tensor<2>,
    ) -> Tensor<2> {
        let [batch, len] = tokens.dims();
        let mut x = self.model.embed_tokens.weight.val().select(0, tokens.reshape([batch * len]));
        for layer in &self.model.layers {
            let (attn, mlp) = (&layer.self_attn, &layer.mlp);
            let h = norm(&layer.input_layernorm, x.clone());
            let (q, k) = (attn.q_proj.forward(h.clone()), attn.k_proj.forward(h.clone()));
            let attention = mix(q, k, attn.v_proj.forward(h));
            x = x + attn.o_proj.forward(attention);
            let h = norm(&layer.post_attention_layernorm, x.clone());
            let product = fused::swiglu(mlp.gate_proj.forward(h.clone()), mlp.up_proj.forward(h));
            x = x + mlp.down_proj.forward(product);
        }
        norm(&self.model.norm, x)
    }

    fn heads(&self, [batch, len]: [usize; 2]) -> Heads {
        let (heads, kv_heads) = (self.config.num_attention_heads, self.config.kv_heads());
        Heads { batch, len, heads, kv_heads, dim: self.config.head_dim() }
    }
}

fn norm(norm: &RmsNorm, x: Tensor<2>) -> Tensor<2> {
    fused::rms_norm(x, norm.gamma.val(), norm.epsilon as f32)
}
