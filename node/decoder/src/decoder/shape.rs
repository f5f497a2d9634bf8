//! `config.json`, or a GGUF file's metadata under the same keys, as the shape of the layers.
//!
//! A feature that this build would compute wrongly is refused by name.

mod raw;
mod rotary;

pub(crate) use rotary::RopeShape;
pub(crate) use shoal_kernel::Activation;

use serde_json::Value;

use super::arch::{self, Architecture, Bias, Norms, Rotary, Window};
use raw::Raw;

/// A decoder without its weights. All sizes are positive and fit each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Shape {
    pub arch: &'static Architecture,
    /// Floats of a token between the layers.
    pub width: usize,
    /// Query heads, a multiple of `kv_heads`.
    pub heads: usize,
    pub kv_heads: usize,
    /// Floats of a head.
    pub dim: usize,
    /// Floats inside the MLP.
    pub inner: usize,
    pub vocab: usize,
    /// Positions that a sequence may have.
    pub context: usize,
    pub layers: Vec<LayerShape>,
    /// At most two; [`LayerShape::rope`] is an index into it.
    pub ropes: Vec<RopeShape>,
    pub eps: f32,
    pub activation: Activation,
    /// Scores are multiplied by this.
    pub scale: f32,
    /// Scores `s` become `cap * tanh(s / cap)`.
    pub softcap: Option<f32>,
    /// Logits, likewise.
    pub final_softcap: Option<f32>,
    /// Embeddings are multiplied by this.
    pub embed_scale: f32,
    /// The embedding is the output head.
    pub tied: bool,
    pub bias: Biases,
}

/// The part of a shape that differs between layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerShape {
    /// Tokens that a token sees, including itself; `None`: all.
    pub window: Option<usize>,
    /// An index into [`Shape::ropes`]; `None`: the layer has no positions.
    pub rope: Option<usize>,
}

/// Which projections have a bias.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Biases {
    pub qkv: bool,
    pub out: bool,
    pub mlp: bool,
}

/// Why the model of a `config.json` does not run here.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ShapeError {
    #[error("not a model configuration: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{kind:?} models do not run here; these do: {kinds}")]
    Unknown { kind: String, kinds: String },
    #[error("{feature} is not supported for {kind} models")]
    Unsupported { feature: String, kind: &'static str },
    #[error("{0}")]
    Size(&'static str),
}

impl Shape {
    /// Reads and checks a configuration. The context is the model's, or `cap` if that is less. A
    /// LongRoPE model's context is the original one unless `cap` is more.
    pub(crate) fn read(config: &Value, cap: Option<usize>) -> Result<Self, ShapeError> {
        // Models that also read images keep the text part one level deeper.
        let (config, kind) = match kind(config) {
            "gemma3" => (config.get("text_config").unwrap_or(config), "gemma3_text"),
            kind => (config, kind),
        };
        let arch = arch::find(kind)
            .ok_or_else(|| ShapeError::Unknown { kind: kind.to_owned(), kinds: arch::kinds() })?;
        let raw = Raw::read(config, arch)?;
        raw.refuse(config, arch)?;
        let shape = Self::new(&raw, arch, cap)?;
        shape.check()?;
        Ok(shape)
    }

    fn new(raw: &Raw, arch: &'static Architecture, cap: Option<usize>) -> Result<Self, ShapeError> {
        let heads = raw.num_attention_heads;
        let dim = raw.head_dim.unwrap_or(raw.hidden_size / heads.max(1));
        let context = cap.map_or_else(|| rotary::usual(raw), Ok)?.min(raw.max_position_embeddings);
        let layers = layers(raw, arch)?;
        let around = arch.norms == Norms::Around;
        let may_have_bias = matches!(arch.bias, Bias::Config | Bias::AttentionConfig);
        let attention = may_have_bias && raw.attention_bias.unwrap_or(false);
        Ok(Self {
            arch,
            width: raw.hidden_size,
            heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(heads),
            dim,
            inner: raw.intermediate_size,
            vocab: raw.vocab_size,
            context,
            layers,
            ropes: rotary::ropes(raw, arch, dim, context)?,
            eps: raw.rms_norm_eps as f32,
            activation: if around { Activation::GeluTanh } else { Activation::Silu },
            scale: raw.query_pre_attn_scalar.filter(|_| around).unwrap_or(dim as f32).powf(-0.5),
            softcap: raw.attn_logit_softcapping.filter(|_| arch.softcaps),
            final_softcap: raw.final_logit_softcapping.filter(|_| arch.softcaps),
            embed_scale: if around { (raw.hidden_size as f32).sqrt() } else { 1.0 },
            tied: raw.tie_word_embeddings.unwrap_or(arch.tied),
            bias: Biases {
                qkv: attention || arch.bias == Bias::Qkv,
                out: attention,
                mlp: arch.bias == Bias::Config && raw.mlp_bias.unwrap_or(false),
            },
        })
    }

    fn check(&self) -> Result<(), ShapeError> {
        let sizes = [self.width, self.heads, self.kv_heads, self.dim, self.inner, self.vocab];
        let more = [self.context, self.layers.len()];
        if sizes.iter().chain(&more).any(|size| *size == 0 || *size > 1 << 24) {
            return Err(ShapeError::Size("a size is 0 or beyond reason"));
        }
        if !self.heads.is_multiple_of(self.kv_heads) {
            return Err(ShapeError::Size("num_key_value_heads does not divide the heads"));
        }
        if self.layers.iter().any(|layer| layer.window == Some(0)) {
            return Err(ShapeError::Size("sliding_window is 0"));
        }
        if self
            .ropes
            .iter()
            .any(|rope| rope.dims == 0 || rope.dims > self.dim || !rope.dims.is_multiple_of(2))
        {
            return Err(ShapeError::Size("the dimensions that positions turn are not pairs"));
        }
        Ok(())
    }

    /// Floats of all query heads, and of all key heads.
    pub(crate) fn attention_widths(&self) -> (usize, usize) {
        (self.heads * self.dim, self.kv_heads * self.dim)
    }

    /// Weights, counted once where the head shares the embedding.
    pub(crate) fn params(&self) -> usize {
        let (queries, keys) = self.attention_widths();
        let norms = if self.arch.norms == Norms::Around { 4 } else { 2 };
        let layer = 2 * self.width * (queries + keys)
            + 3 * self.width * self.inner
            + norms * self.width
            + if self.arch.qk_norm { 2 * self.dim } else { 0 }
            + if self.bias.qkv { queries + 2 * keys } else { 0 };
        let tables = if self.tied { 1 } else { 2 };
        self.layers.len() * layer + tables * self.vocab * self.width + self.width
    }
}

/// `model_type`; older files of Llama have none.
fn kind(config: &Value) -> &str {
    config.get("model_type").and_then(Value::as_str).unwrap_or("llama")
}

fn layers(raw: &Raw, arch: &'static Architecture) -> Result<Vec<LayerShape>, ShapeError> {
    // The cap refuses a senseless number of layers before there is a list of them.
    (0..raw.num_hidden_layers.min(1 << 16))
        .map(|index| {
            let has_window = has_window(raw, arch, index)?;
            let window = raw.sliding_window.filter(|_| has_window);
            Ok(LayerShape { window, rope: rope(raw, arch, index, has_window) })
        })
        .collect()
}

fn has_window(raw: &Raw, arch: &'static Architecture, layer: usize) -> Result<bool, ShapeError> {
    match (&raw.layer_types, arch.window) {
        (_, Window::None) => Ok(false),
        (Some(kinds), _) => match kinds.get(layer).map(String::as_str) {
            Some("sliding_attention") => Ok(true),
            Some("full_attention") => Ok(false),
            kind => {
                let feature = format!("the layer type {:?}", kind.unwrap_or("(none)"));
                Err(ShapeError::Unsupported { feature, kind: arch.kind })
            }
        },
        (None, Window::All) => Ok(true),
        (None, Window::Config) => {
            let first = raw.max_window_layers.unwrap_or(0);
            Ok(raw.use_sliding_window.unwrap_or(false) && layer >= first)
        }
        (None, Window::AllButEach(nth)) => {
            let nth = raw.sliding_window_pattern.unwrap_or(nth);
            Ok(nth == 0 || !(layer + 1).is_multiple_of(nth))
        }
    }
}

/// Which of [`Shape::ropes`] a layer uses.
fn rope(raw: &Raw, arch: &Architecture, layer: usize, has_window: bool) -> Option<usize> {
    match arch.rotary {
        Rotary::Whole | Rotary::Partial => Some(0),
        Rotary::LocalAndGlobal => Some(usize::from(has_window)),
        Rotary::NotEachFourth => {
            let flag = raw.no_rope_layers.as_ref().and_then(|flags| flags.get(layer).copied());
            let interval = raw.no_rope_layer_interval.unwrap_or(4).max(1);
            flag.map_or(!(layer + 1).is_multiple_of(interval), |flag| flag != 0).then_some(0)
        }
    }
}

#[cfg(test)]
mod tests;
