//! `config.json` as Hugging Face writes it, checked.

use serde::{Deserialize, Serialize};

/// The shape of a Llama-style decoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LlamaConfig {
    pub hidden_size: usize,
    pub num_hidden_layers: usize,
    pub num_attention_heads: usize,
    /// Heads of keys and values; every query head has its own where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub num_key_value_heads: Option<usize>,
    pub intermediate_size: usize,
    pub vocab_size: usize,
    #[serde(default = "default_eps")]
    pub rms_norm_eps: f64,
    #[serde(default = "default_theta")]
    pub rope_theta: f32,
    #[serde(default)]
    pub tie_word_embeddings: bool,
    #[serde(default = "default_positions")]
    pub max_position_embeddings: usize,
    /// Floats per head; `hidden_size / num_attention_heads` where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_dim: Option<usize>,
}

fn default_eps() -> f64 {
    1e-6
}
fn default_theta() -> f32 {
    10_000.0
}
fn default_positions() -> usize {
    2048
}

/// Why a `config.json` describes no model that can be built.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("not a model configuration: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0}")]
    Shape(&'static str),
}

impl LlamaConfig {
    /// Reads and checks a `config.json`. Unknown fields are ignored.
    pub(crate) fn parse(json: &str) -> Result<Self, ConfigError> {
        let config: Self = serde_json::from_str(json)?;
        config.check()?;
        Ok(config)
    }

    /// Query heads per pair of key and value heads are whole, and every size is positive.
    fn check(&self) -> Result<(), ConfigError> {
        let sizes = [self.hidden_size, self.num_hidden_layers, self.num_attention_heads];
        let more = [self.intermediate_size, self.vocab_size, self.max_position_embeddings];
        if sizes.iter().chain(&more).any(|size| *size == 0 || *size > 1 << 24) {
            return Err(ConfigError::Shape("a size is 0 or beyond reason"));
        }
        if self.kv_heads() == 0 || !self.num_attention_heads.is_multiple_of(self.kv_heads()) {
            return Err(ConfigError::Shape("num_key_value_heads does not divide the heads"));
        }
        if self.head_dim() == 0 || !self.head_dim().is_multiple_of(4) {
            return Err(ConfigError::Shape("head_dim is not a multiple of 4"));
        }
        Ok(())
    }

    /// Heads of keys and values.
    pub(crate) fn kv_heads(&self) -> usize {
        self.num_key_value_heads.unwrap_or(self.num_attention_heads)
    }

    /// Floats per head.
    pub(crate) fn head_dim(&self) -> usize {
        self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1))
    }

    /// Weights, counted once where the head shares the embedding.
    pub(crate) fn params(&self) -> usize {
        let (width, head) = (self.hidden_size, self.head_dim());
        let attention = 2 * width * head * (self.num_attention_heads + self.kv_heads());
        let layer = attention + 3 * width * self.intermediate_size + 2 * width;
        let tables = if self.tie_word_embeddings { 1 } else { 2 };
        self.num_hidden_layers * layer + tables * self.vocab_size * width + width
    }
}
