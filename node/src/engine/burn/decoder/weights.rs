//! A model's weights, packed, under the names that Hugging Face gives them.

use std::ops::Range;

use shoal_kernel::Matrix;

use super::shape::Shape;
use crate::{engine::burn::decoder::arch::Norms, model::LoadError};

/// Where the weights come from. Names are those of a Hugging Face checkpoint.
pub trait Source {
    /// Whether there is such a tensor.
    fn has(&self, name: &str) -> bool;
    /// A matrix, `shape` being `[outputs, inputs]`: all of its rows, or some.
    ///
    /// # Errors
    /// When it is missing, of another shape, or of a type that is not read.
    fn matrix(
        &self,
        name: &str,
        shape: [usize; 2],
        rows: Option<Range<usize>>,
    ) -> Result<Matrix, LoadError>;
    /// A vector.
    ///
    /// # Errors
    /// As above.
    fn floats(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError>;
    /// What must be added to the weights of norms that count from 1.
    fn norms_count_from_one(&self) -> bool;
}

/// All of them.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embed: Matrix,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) norm: Vec<f32>,
    /// Absent when the embedding is the output head too.
    pub(super) head: Option<Matrix>,
}

/// Those of one layer.
#[derive(Debug)]
pub(super) struct LayerWeights {
    pub(super) norm_attention: Vec<f32>,
    /// Queries, keys, values.
    pub(super) qkv: [Linear; 3],
    /// Of queries and keys, head by head.
    pub(super) norm_heads: Option<[Vec<f32>; 2]>,
    pub(super) out: Linear,
    pub(super) after_attention: Option<Vec<f32>>,
    pub(super) norm_mlp: Vec<f32>,
    pub(super) gate: Linear,
    pub(super) up: Linear,
    pub(super) down: Linear,
    pub(super) after_mlp: Option<Vec<f32>>,
}

/// A projection.
#[derive(Debug)]
pub(super) struct Linear {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Vec<f32>>,
}

impl Weights {
    pub(super) fn read(shape: &Shape, source: &dyn Source) -> Result<Self, LoadError> {
        let prefix = prefix(source);
        let read = Reader { shape, source, prefix };
        let table = [shape.vocab, shape.width];
        let head = match shape.tied {
            true => None,
            false => Some(source.matrix("lm_head.weight", table, None)?),
        };
        Ok(Self {
            embed: source.matrix(&format!("{prefix}embed_tokens.weight"), table, None)?,
            layers: (0..shape.layers.len())
                .map(|layer| read.layer(layer))
                .collect::<Result<_, _>>()?,
            norm: read.gamma(&format!("{prefix}norm"), shape.width)?,
            head,
        })
    }
}

/// Models that also see pictures keep their text side under a longer name.
fn prefix(source: &dyn Source) -> &'static str {
    let all = ["model.", "language_model.model.", "model.language_model."];
    let holds = |prefix: &&&str| source.has(&format!("{prefix}embed_tokens.weight"));
    all.iter().find(holds).copied().unwrap_or("model.")
}

struct Reader<'a> {
    shape: &'a Shape,
    source: &'a dyn Source,
    prefix: &'static str,
}

impl Reader<'_> {
    fn layer(&self, index: usize) -> Result<LayerWeights, LoadError> {
        let shape = self.shape;
        let (width, inner) = (shape.width, shape.inner);
        let (queries, keys) = shape.attention_widths();
        let at = |name: &str| format!("{}layers.{index}.{name}", self.prefix);
        let around = shape.arch.norms == Norms::Around;
        let gamma = |name: &str| self.gamma(&at(name), width);
        let heads = || {
            let q = self.gamma(&at("self_attn.q_norm"), shape.dim)?;
            Ok::<_, LoadError>([q, self.gamma(&at("self_attn.k_norm"), shape.dim)?])
        };
        let out = self.linear(&at("self_attn.o_proj"), [width, queries], shape.bias.out)?;
        let down = self.linear(&at("mlp.down_proj"), [width, inner], shape.bias.mlp)?;
        let [gate, up] =
            self.split(&at("mlp."), &[("gate", inner), ("up", inner)], shape.bias.mlp)?;
        // Gemma's norm after attention has the name that all others give to the one before the MLP.
        let before_mlp =
            if around { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        let after = |name: &str| around.then(|| gamma(name)).transpose();
        Ok(LayerWeights {
            norm_attention: gamma("input_layernorm")?,
            qkv: self.split(
                &at("self_attn."),
                &[("q", queries), ("k", keys), ("v", keys)],
                shape.bias.qkv,
            )?,
            norm_heads: shape.arch.qk_norm.then(heads).transpose()?,
            out,
            after_attention: after("post_attention_layernorm")?,
            norm_mlp: gamma(before_mlp)?,
            gate,
            up,
            down,
            after_mlp: after("post_feedforward_layernorm")?,
        })
    }

    /// Projections of the same input, which some files hold in one matrix.
    fn split<const N: usize>(
        &self,
        at: &str,
        parts: &[(&str, usize); N],
        bias: bool,
    ) -> Result<[Linear; N], LoadError> {
        let width = self.shape.width;
        let names: Vec<&str> = parts.iter().map(|(name, _)| *name).collect();
        let joined = match names.concat().as_str() {
            "qkv" => format!("{at}qkv_proj.weight"),
            _ => format!("{at}gate_up_proj.weight"),
        };
        let total = parts.iter().map(|(_, rows)| rows).sum();
        let mut from = 0;
        let mut linears = Vec::with_capacity(N);
        for (name, rows) in parts {
            linears.push(if self.shape.arch.joined {
                let rows = from..from + rows;
                let matrix = self.source.matrix(&joined, [total, width], Some(rows.clone()))?;
                from = rows.end;
                Linear { matrix, bias: None }
            } else {
                self.linear(&format!("{at}{name}_proj"), [*rows, width], bias)?
            });
        }
        let wrong = |_| LoadError::NoTensor { place: String::new(), tensor: joined };
        linears.try_into().map_err(wrong)
    }

    fn linear(&self, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear, LoadError> {
        let matrix = self.source.matrix(&format!("{name}.weight"), shape, None)?;
        let [rows, _] = shape;
        let bias = bias.then(|| self.source.floats(&format!("{name}.bias"), rows)).transpose()?;
        Ok(Linear { matrix, bias })
    }

    /// A norm's factors.
    fn gamma(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        let mut gamma = self.source.floats(&format!("{name}.weight"), len)?;
        if self.shape.arch.norms == Norms::Around && !self.source.norms_count_from_one() {
            gamma.iter_mut().for_each(|factor| *factor += 1.0);
        }
        Ok(gamma)
    }
}
