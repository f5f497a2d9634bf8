//! A model's weights, packed, under the names that Hugging Face gives them.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use shoal_kernel::Matrix;
use shoal_model::{LoadError, Quant, Tensors, in_parallel};

use super::{arch::Norms, shape::Shape};

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
    /// Packs all of a model's tensors, each straight from its file.
    pub(super) fn read(
        shape: &Shape,
        tensors: &dyn Tensors,
        quant: Quant,
    ) -> Result<Self, LoadError> {
        let prefix = prefix(tensors);
        let read = Reader { shape, tensors, quant, prefix, used: Mutex::default() };
        let table = [shape.vocab, shape.width];
        let head = || read.matrix("lm_head.weight", table, None);
        let layers = in_parallel(shape.layers.len(), |layer| read.layer(layer))?;
        let weights = Self {
            embed: read.matrix(&format!("{prefix}embed_tokens.weight"), table, None)?,
            layers,
            norm: read.gamma(&format!("{prefix}norm"), shape.width)?,
            head: (!shape.tied).then(head).transpose()?,
        };
        read.nothing_left()?;
        Ok(weights)
    }
}

impl Weights {
    /// Bytes of packed weights that a step of one token reads.
    pub(super) fn bytes_a_step(&self) -> u64 {
        self.matrices_a_step().map(|matrix| matrix.bytes() as u64).sum()
    }

    /// Weights that a step of one token reads.
    pub(super) fn values_a_step(&self) -> u64 {
        self.matrices_a_step().map(|matrix| (matrix.rows() * matrix.cols()) as u64).sum()
    }

    /// All matrices, but of an embedding that is not the output head too only a row is read.
    fn matrices_a_step(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| {
            layer.qkv.iter().chain([&layer.out, &layer.gate, &layer.up, &layer.down])
        });
        let head = self.head.as_ref().unwrap_or(&self.embed);
        layers.map(|linear| &linear.matrix).chain([head])
    }
}

/// Models that also see pictures keep their text side under a longer name.
fn prefix(tensors: &dyn Tensors) -> &'static str {
    let all = ["model.", "language_model.model.", "model.language_model."];
    let holds = |prefix: &&str| tensors.shape(&format!("{prefix}embed_tokens.weight")).is_some();
    all.into_iter().find(holds).unwrap_or("model.")
}

struct Reader<'a> {
    shape: &'a Shape,
    tensors: &'a dyn Tensors,
    quant: Quant,
    prefix: &'static str,
    used: Mutex<BTreeSet<String>>,
}

impl Reader<'_> {
    fn layer(&self, index: usize) -> Result<LayerWeights, LoadError> {
        let shape = self.shape;
        let (width, inner) = (shape.width, shape.inner);
        let (queries, keys) = shape.attention_widths();
        let at = |name: &str| format!("{}layers.{index}.{name}", self.prefix);
        let part = |joined: &str, all, from, name: &str, rows, bias| {
            if shape.arch.joined {
                let rows = Some(from..from + rows);
                let matrix = self.matrix(&at(&format!("{joined}.weight")), [all, width], rows)?;
                return Ok(Linear { matrix, bias: None });
            }
            self.linear(&at(name), [rows, width], bias)
        };
        let attention = |from, name: &str, rows| {
            let all = queries + 2 * keys;
            part("self_attn.qkv_proj", all, from, name, rows, shape.bias.qkv)
        };
        let mlp = |from, name: &str| {
            part("mlp.gate_up_proj", 2 * inner, from, name, inner, shape.bias.mlp)
        };
        let heads = || {
            let q = self.gamma(&at("self_attn.q_norm"), shape.dim)?;
            Ok::<_, LoadError>([q, self.gamma(&at("self_attn.k_norm"), shape.dim)?])
        };
        let around = shape.arch.norms == Norms::Around;
        let gamma = |name: &str| self.gamma(&at(name), width);
        let after = |name: &str| around.then(|| gamma(name)).transpose();
        // Gemma's norm after attention has the name that all others give to the one before the MLP.
        let before_mlp =
            if around { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
        Ok(LayerWeights {
            norm_attention: gamma("input_layernorm")?,
            qkv: [
                attention(0, "self_attn.q_proj", queries)?,
                attention(queries, "self_attn.k_proj", keys)?,
                attention(queries + keys, "self_attn.v_proj", keys)?,
            ],
            norm_heads: shape.arch.qk_norm.then(heads).transpose()?,
            out: self.linear(&at("self_attn.o_proj"), [width, queries], shape.bias.out)?,
            after_attention: after("post_attention_layernorm")?,
            norm_mlp: gamma(before_mlp)?,
            gate: mlp(0, "mlp.gate_proj")?,
            up: mlp(inner, "mlp.up_proj")?,
            down: self.linear(&at("mlp.down_proj"), [width, inner], shape.bias.mlp)?,
            after_mlp: after("post_feedforward_layernorm")?,
        })
    }

    fn linear(&self, name: &str, shape: [usize; 2], bias: bool) -> Result<Linear, LoadError> {
        let matrix = self.matrix(&format!("{name}.weight"), shape, None)?;
        let [rows, _] = shape;
        let bias = bias.then(|| self.vector(&format!("{name}.bias"), rows)).transpose()?;
        Ok(Linear { matrix, bias })
    }

    /// `[outputs, inputs]`: all of the rows, or some.
    fn matrix(
        &self,
        name: &str,
        shape: [usize; 2],
        rows: Option<Range<usize>>,
    ) -> Result<Matrix, LoadError> {
        self.fits(name, &shape)?;
        match rows {
            Some(rows) => self.tensors.rows(name, rows, self.quant),
            None => self.tensors.matrix(name, self.quant),
        }
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        self.fits(name, &[len])?;
        self.tensors.floats(name)
    }

    /// A norm's factors.
    fn gamma(&self, name: &str, len: usize) -> Result<Vec<f32>, LoadError> {
        let mut gamma = self.vector(&format!("{name}.weight"), len)?;
        if self.shape.arch.norms == Norms::Around {
            gamma.iter_mut().for_each(|factor| *factor += 1.0);
        }
        Ok(gamma)
    }

    fn fits(&self, name: &str, expected: &[usize]) -> Result<(), LoadError> {
        let (place, tensor) = (self.tensors.place(), name.to_owned());
        match self.tensors.shape(name) {
            None => Err(LoadError::NoTensor { place, tensor }),
            Some(found) if found == expected => {
                self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(tensor);
                Ok(())
            }
            Some(found) => {
                Err(LoadError::Shape { place, tensor, found, expected: expected.to_vec() })
            }
        }
    }

    /// Weights of layers that nothing above reads belong to a part that this build has not: the
    /// model would be another one without it.
    fn nothing_left(&self) -> Result<(), LoadError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = format!("{}layers.", self.prefix);
        let weighs = |name: &str| name.ends_with(".weight") || name.ends_with(".bias");
        let left = |name: &String| {
            name.starts_with(&layers) && weighs(name) && !used.contains(name.as_str())
        };
        match self.tensors.names().into_iter().find(left) {
            None => Ok(()),
            Some(tensor) => {
                let why = format!("has no place in a {} model of this shape", self.shape.arch.kind);
                Err(LoadError::Tensor { place: self.tensors.place(), tensor, why })
            }
        }
    }
}
