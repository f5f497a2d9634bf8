//! A model's weights, packed, under the names that Hugging Face gives them.

use std::{
    collections::BTreeSet,
    ops::Range,
    sync::{Mutex, PoisonError},
};

use shoal_kernel::Matrix;
use shoal_model::{LoadError, Quant, Tensors, in_parallel};

use super::{arch::Norms, shape::Shape};

/// All weights of a model.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) embed: Matrix,
    pub(super) layers: Vec<LayerWeights>,
    pub(super) norm: Vec<f32>,
    /// Absent when the embedding is the output head too.
    pub(super) head: Option<Matrix>,
}

/// The weights of a layer.
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
        let layers = in_parallel(shape.layers.len(), |layer| read.layer(layer))?;
        let weights = Self {
            embed: read.matrix(&format!("{prefix}embed_tokens.weight"), table, None)?,
            layers,
            norm: read.gamma(&format!("{prefix}norm"), shape.width)?,
            head: (!shape.tied).then(|| read.matrix("lm_head.weight", table, None)).transpose()?,
        };
        read.check_all_used()?;
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

    /// All matrices, without the embedding if it is not the output head too: a step reads only a row
    /// of it.
    fn matrices_a_step(&self) -> impl Iterator<Item = &Matrix> {
        let layers = self.layers.iter().flat_map(|layer| {
            layer.qkv.iter().chain([&layer.out, &layer.gate, &layer.up, &layer.down])
        });
        let head = self.head.as_ref().unwrap_or(&self.embed);
        layers.map(|linear| &linear.matrix).chain([head])
    }
}

/// The prefix of the tensor names. Models that also read images have a longer one for the text part.
fn prefix(tensors: &dyn Tensors) -> &'static str {
    ["model.", "language_model.model.", "model.language_model."]
        .into_iter()
        .find(|prefix| tensors.shape(&format!("{prefix}embed_tokens.weight")).is_some())
        .unwrap_or("model.")
}

struct Reader<'a> {
    shape: &'a Shape,
    tensors: &'a dyn Tensors,
    quant: Quant,
    prefix: &'static str,
    used: Mutex<BTreeSet<String>>,
}

/// Projections that some architectures keep in one fused matrix.
struct Group {
    matrix: String,
    /// Rows of the fused matrix.
    rows: usize,
    bias: bool,
}

impl Reader<'_> {
    fn layer(&self, index: usize) -> Result<LayerWeights, LoadError> {
        let shape = self.shape;
        let (width, inner) = (shape.width, shape.inner);
        let (queries, keys) = shape.attention_widths();
        let layer = format!("{}layers.{index}", self.prefix);
        let has_after = shape.arch.norms == Norms::Around;
        // Gemma's norm after attention has the name that the others use for the norm before the MLP.
        let (before_mlp, after) = if has_after {
            let attention = self.gamma(&format!("{layer}.post_attention_layernorm"), width)?;
            let mlp = self.gamma(&format!("{layer}.post_feedforward_layernorm"), width)?;
            ("pre_feedforward_layernorm", Some((attention, mlp)))
        } else {
            ("post_attention_layernorm", None)
        };
        let (after_attention, after_mlp) = after.unzip();
        let (qkv, gate_up) = (queries + 2 * keys, 2 * inner);
        let attention = Group {
            matrix: format!("{layer}.self_attn.qkv_proj"),
            rows: qkv,
            bias: shape.bias.qkv,
        };
        let mlp = Group {
            matrix: format!("{layer}.mlp.gate_up_proj"),
            rows: gate_up,
            bias: shape.bias.mlp,
        };
        let q_proj = format!("{layer}.self_attn.q_proj");
        let k_proj = format!("{layer}.self_attn.k_proj");
        let v_proj = format!("{layer}.self_attn.v_proj");
        let out = format!("{layer}.self_attn.o_proj");
        Ok(LayerWeights {
            norm_attention: self.gamma(&format!("{layer}.input_layernorm"), width)?,
            qkv: [
                self.part(&attention, &q_proj, 0..queries)?,
                self.part(&attention, &k_proj, queries..queries + keys)?,
                self.part(&attention, &v_proj, queries + keys..qkv)?,
            ],
            norm_heads: shape.arch.qk_norm.then(|| self.norm_heads(&layer)).transpose()?,
            out: self.linear(&out, [width, queries], shape.bias.out)?,
            after_attention,
            norm_mlp: self.gamma(&format!("{layer}.{before_mlp}"), width)?,
            gate: self.part(&mlp, &format!("{layer}.mlp.gate_proj"), 0..inner)?,
            up: self.part(&mlp, &format!("{layer}.mlp.up_proj"), inner..gate_up)?,
            down: self.linear(&format!("{layer}.mlp.down_proj"), [width, inner], shape.bias.mlp)?,
            after_mlp,
        })
    }

    /// A projection: some rows of the group's fused matrix, or a matrix of its own.
    fn part(&self, group: &Group, name: &str, rows: Range<usize>) -> Result<Linear, LoadError> {
        let width = self.shape.width;
        if self.shape.arch.is_fused {
            let name = format!("{}.weight", group.matrix);
            let matrix = self.matrix(&name, [group.rows, width], Some(rows))?;
            return Ok(Linear { matrix, bias: None });
        }
        self.linear(name, [rows.len(), width], group.bias)
    }

    fn norm_heads(&self, layer: &str) -> Result<[Vec<f32>; 2], LoadError> {
        let q = self.gamma(&format!("{layer}.self_attn.q_norm"), self.shape.dim)?;
        let k = self.gamma(&format!("{layer}.self_attn.k_norm"), self.shape.dim)?;
        Ok([q, k])
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

    fn fits(&self, name: &str, dims: &[usize]) -> Result<(), LoadError> {
        let (place, tensor) = (self.tensors.place(), name.to_owned());
        match self.tensors.shape(name) {
            None => Err(LoadError::NoTensor { place, tensor }),
            Some(shape) if shape == dims => {
                self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(tensor);
                Ok(())
            }
            Some(found) => Err(LoadError::Shape { place, tensor, found, expected: dims.to_vec() }),
        }
    }

    /// Fails if a layer has weights that were not read: they belong to a part that this build does not
    /// have, and without it the model computes something else.
    fn check_all_used(&self) -> Result<(), LoadError> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let layers = format!("{}layers.", self.prefix);
        let extra = self.tensors.names().into_iter().find(|name| {
            name.starts_with(&layers) && is_weight(name) && !used.contains(name.as_str())
        });
        match extra {
            None => Ok(()),
            Some(tensor) => {
                let why = format!("has no place in a {} model of this shape", self.shape.arch.kind);
                Err(LoadError::Tensor { place: self.tensors.place(), tensor, why })
            }
        }
    }
}

fn is_weight(name: &str) -> bool {
    name.ends_with(".weight") || name.ends_with(".bias")
}
