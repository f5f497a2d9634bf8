//! The keys of a configuration file.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Architecture, ShapeError};

/// The keys that are read. Files differ in which of them they have.
#[derive(Debug, Deserialize)]
pub(super) struct Raw {
    pub(super) hidden_size: usize,
    pub(super) num_hidden_layers: usize,
    pub(super) num_attention_heads: usize,
    pub(super) num_key_value_heads: Option<usize>,
    pub(super) head_dim: Option<usize>,
    pub(super) intermediate_size: usize,
    pub(super) vocab_size: usize,
    #[serde(default = "positions")]
    pub(super) max_position_embeddings: usize,
    #[serde(default = "eps")]
    pub(super) rms_norm_eps: f64,
    #[serde(alias = "hidden_activation")]
    hidden_act: Option<String>,
    pub(super) tie_word_embeddings: Option<bool>,
    pub(super) attention_bias: Option<bool>,
    pub(super) mlp_bias: Option<bool>,

    pub(super) sliding_window: Option<usize>,
    pub(super) use_sliding_window: Option<bool>,
    pub(super) max_window_layers: Option<usize>,
    pub(super) layer_types: Option<Vec<String>>,
    #[serde(alias = "_sliding_window_pattern")]
    pub(super) sliding_window_pattern: Option<usize>,

    pub(super) query_pre_attn_scalar: Option<f32>,
    pub(super) attn_logit_softcapping: Option<f32>,
    pub(super) final_logit_softcapping: Option<f32>,

    pub(super) no_rope_layers: Option<Vec<u8>>,
    pub(super) no_rope_layer_interval: Option<usize>,
    pub(super) rope_theta: Option<f64>,
    pub(super) rope_local_base_freq: Option<f64>,
    pub(super) partial_rotary_factor: Option<f64>,
    pub(super) original_max_position_embeddings: Option<usize>,
    pub(super) rope_scaling: Option<Value>,
    /// The newest files keep all keys about rotary positions here.
    pub(super) rope_parameters: Option<Value>,
}

fn positions() -> usize {
    2048
}
fn eps() -> f64 {
    1e-6
}

/// Keys that, if they are on, make another model of the same name.
const UNSUPPORTED_KEYS: &[&str] = &[
    "num_experts",
    "num_local_experts",
    "n_routed_experts",
    "attention_sinks",
    "kv_lora_rank",
    "quantization_config",
    "use_bidirectional_attention",
    "attn_temperature_tuning",
    "attention_chunk_size",
    "use_mrope",
    "use_qk_norm",
];

impl Raw {
    pub(super) fn read(config: &Value, arch: &Architecture) -> Result<Self, ShapeError> {
        let mut full = defaults(arch.kind);
        for (key, value) in config.as_object().into_iter().flatten() {
            if !value.is_null() || !full.contains_key(key) {
                full.insert(key.clone(), value.clone());
            }
        }
        Ok(serde_json::from_value(Value::Object(full))?)
    }

    /// Refuses features of such a model that this build does not have.
    pub(super) fn refuse(
        &self,
        config: &Value,
        arch: &'static Architecture,
    ) -> Result<(), ShapeError> {
        if let Some(key) = UNSUPPORTED_KEYS.iter().find(|key| is_on(config.get(**key))) {
            return Err(ShapeError::Unsupported { feature: (*key).to_owned(), kind: arch.kind });
        }
        match self.hidden_act.as_deref() {
            Some(activation) if !is_activation(activation, arch) => {
                let feature = format!("the activation {activation}");
                Err(ShapeError::Unsupported { feature, kind: arch.kind })
            }
            _ => Ok(()),
        }
    }
}

/// Whether a key of a configuration turns its feature on.
fn is_on(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Number(number)) => number.as_f64().is_some_and(|number| number > 0.0),
        Some(_) => true,
    }
}

/// Whether a name means the architecture's activation. Gemma 2's first files name the exact GELU,
/// but the model was trained with the approximation.
fn is_activation(name: &str, arch: &Architecture) -> bool {
    name == arch.activation || name == "gelu" && arch.activation == "gelu_pytorch_tanh"
}

/// The keys that files omit because they are the defaults of the library that wrote them.
fn defaults(kind: &str) -> Map<String, Value> {
    let defaults = match kind {
        "gemma2" => json!({
            "head_dim": 256, "sliding_window": 4096,
            "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0,
        }),
        "gemma3_text" => json!({
            "hidden_size": 2304, "intermediate_size": 9216, "num_hidden_layers": 26,
            "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
            "vocab_size": 262_208, "max_position_embeddings": 131_072, "sliding_window": 4096,
            "rope_theta": 1e6,
        }),
        "mistral" => json!({ "num_key_value_heads": 8 }),
        "qwen2" | "qwen3" => json!({ "sliding_window": 4096, "max_window_layers": 28 }),
        "smollm3" => json!({ "rope_theta": 2e6 }),
        _ => json!({}),
    };
    match defaults {
        Value::Object(defaults) => defaults,
        _ => Map::new(),
    }
}
