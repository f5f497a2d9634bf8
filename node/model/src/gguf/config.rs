//! Converts a file's metadata to the `config.json` that the same model has at Hugging Face, so that one
//! parser reads both.
#![expect(clippy::indexing_slicing, reason = "indexing JSON by an absent key gives null")]

use serde_json::{Map, Value as Json, json};

use super::{Gguf, architecture::Architecture};
use crate::LoadError;

impl Gguf {
    /// The equivalent of `config.json`. llama.cpp's factors for each pair of a head (`rope_freqs.weight` of
    /// Llama 3, `rope_factors_long.weight` of Phi-3) become the equivalent lists of `longrope`.
    ///
    /// # Errors
    /// When the architecture does not run here, or a key that it needs is missing.
    pub(crate) fn config(&self) -> Result<Json, LoadError> {
        let arch = Architecture::from_gguf(self)?;
        let mut config = Map::new();
        config.insert("model_type".to_owned(), json!(arch.model_type));
        self.sizes(&mut config)?;
        self.rotary(arch, &mut config)?;
        self.family(arch, &mut config)?;
        config.retain(|_, value| !value.is_null());
        Ok(Json::Object(config))
    }

    /// A key of the file's architecture.
    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture())
    }

    fn size(&self, key: &str) -> Option<u64> {
        self.metadata.unsigned(&self.key(key))
    }

    fn number(&self, key: &str) -> Option<f64> {
        // The file holds an f32: its shortest decimal form, not its expansion to f64.
        let number = self.metadata.float(&self.key(key))?;
        (number as f32).to_string().parse().ok()
    }

    fn need(&self, key: &str) -> Result<u64, LoadError> {
        let size = self.size(key).filter(|size| *size > 0);
        size.ok_or_else(|| self.fault(format!("its metadata has no {}", self.key(key))))
    }

    /// Heads of queries (`attention.head_count`), or of keys and values (`.._kv`).
    pub(crate) fn heads(&self, key: &str) -> Result<usize, LoadError> {
        let heads = match self.size(key) {
            Some(heads) if heads > 0 => heads,
            _ => self.need("attention.head_count")?,
        };
        usize::try_from(heads).map_err(|_| self.fault(format!("{heads} heads")))
    }

    fn sizes(&self, config: &mut Map<String, Json>) -> Result<(), LoadError> {
        let width = self.need("embedding_length")?;
        let heads = self.need("attention.head_count")?;
        let eps = self.number("attention.layer_norm_rms_epsilon");
        let eps = eps.ok_or_else(|| {
            let key = self.key("attention.layer_norm_rms_epsilon");
            self.fault(format!("its metadata has no {key}"))
        })?;
        let embedding = self.tensor("token_embd.weight").and_then(|entry| entry.shape.first());
        let Some(vocab) = embedding else {
            return Err(self.no_tensor("token_embd.weight"));
        };
        let attention_bias = self.has("blk.0.attn_output.bias") || self.has("blk.0.attn_q.bias");
        config.extend(
            [
                ("hidden_size", json!(width)),
                ("num_hidden_layers", json!(self.need("block_count")?)),
                ("num_attention_heads", json!(heads)),
                ("num_key_value_heads", json!(self.heads("attention.head_count_kv")?)),
                ("head_dim", json!(self.head_dim(width, heads))),
                ("intermediate_size", json!(self.need("feed_forward_length")?)),
                ("vocab_size", json!(vocab)),
                ("max_position_embeddings", json!(self.need("context_length")?)),
                ("rms_norm_eps", json!(eps)),
                ("tie_word_embeddings", json!(!self.has("output.weight"))),
                ("attention_bias", json!(attention_bias)),
                ("mlp_bias", json!(self.has("blk.0.ffn_down.bias"))),
                ("bos_token_id", json!(self.metadata.unsigned("tokenizer.ggml.bos_token_id"))),
                ("eos_token_id", json!(self.metadata.unsigned("tokenizer.ggml.eos_token_id"))),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        Ok(())
    }

    fn has(&self, tensor: &str) -> bool {
        self.tensor(tensor).is_some()
    }

    fn no_tensor(&self, tensor: &str) -> LoadError {
        LoadError::NoTensor { place: self.place.clone(), tensor: tensor.to_owned() }
    }

    fn head_dim(&self, width: u64, heads: u64) -> u64 {
        self.size("attention.key_length").unwrap_or(width / heads.max(1))
    }

    fn rotary(&self, arch: &Architecture, config: &mut Map<String, Json>) -> Result<(), LoadError> {
        let dim = self.head_dim(self.need("embedding_length")?, self.need("attention.head_count")?);
        let rotary_dim = self.size("rope.dimension_count").unwrap_or(dim);
        if rotary_dim != dim {
            let part = json!(rotary_dim as f64 / dim.max(1) as f64);
            config.insert("partial_rotary_factor".to_owned(), part);
        }
        let theta = self.number("rope.freq_base").unwrap_or(10_000.0);
        config.insert("rope_theta".to_owned(), json!(theta));
        if arch.model_type == "gemma3_text" {
            let local = self.number("rope.freq_base_swa").unwrap_or(10_000.0);
            config.insert("rope_local_base_freq".to_owned(), json!(local));
        }
        let original = self.size("rope.scaling.original_context_length");
        config.insert("original_max_position_embeddings".to_owned(), json!(original));
        config.insert("rope_scaling".to_owned(), self.scaling(original)?);
        Ok(())
    }

    /// `rope_scaling`; null if positions are not scaled.
    fn scaling(&self, original: Option<u64>) -> Result<Json, LoadError> {
        let attention = self.number("rope.scaling.attn_factor");
        let common = self.factors("rope_freqs.weight")?;
        let long = self.factors("rope_factors_long.weight")?.or_else(|| common.clone());
        let short = self.factors("rope_factors_short.weight")?.or(common);
        if let (Some(long), Some(short)) = (long, short) {
            // Llama 3's factors leave the attention unchanged. Phi-3's file holds the attention factor.
            let mut scaling =
                json!({ "rope_type": "longrope", "long_factor": long, "short_factor": short });
            let llama = self.tensor("rope_freqs.weight").is_some();
            if let Some(attention) = attention.or(llama.then_some(1.0)) {
                scaling["attention_factor"] = json!(attention);
            }
            return Ok(scaling);
        }
        let factor =
            self.number("rope.scaling.factor").or_else(|| self.number("rope.scale_linear"));
        let factor = factor.filter(|factor| *factor != 0.0 && (*factor - 1.0).abs() > 1e-9);
        let kind = self.metadata.text(&self.key("rope.scaling.type"));
        match (kind, factor) {
            (Some("none"), _) | (_, None) => Ok(Json::Null),
            (None | Some("linear"), Some(factor)) => {
                Ok(json!({ "rope_type": "linear", "factor": factor }))
            }
            (Some("yarn"), Some(factor)) => Ok(json!({
                "rope_type": "yarn",
                "factor": factor,
                "original_max_position_embeddings": original,
                "beta_fast": self.number("rope.scaling.yarn_beta_fast"),
                "beta_slow": self.number("rope.scaling.yarn_beta_slow"),
            })),
            (Some(kind), _) => {
                Err(self.fault(format!("{kind} scaling of rotary positions is not supported")))
            }
        }
    }

    /// The divisors of the rotary speed, one for each pair of a head.
    fn factors(&self, tensor: &str) -> Result<Option<Vec<f32>>, LoadError> {
        let Some(entry) = self.tensor(tensor) else { return Ok(None) };
        let len = entry.shape.iter().product();
        if len > 1 << 16 {
            return Err(self.fault(format!("{tensor} has {len} factors")));
        }
        let mut factors = vec![0.0; len];
        let bytes = self.bytes.get(entry.start..entry.start + entry.len);
        let bytes = bytes.ok_or_else(|| self.fault(format!("{tensor} is cut off")))?;
        entry.kind.widen(bytes, &mut factors);
        Ok(Some(factors))
    }

    /// The keys of one model family, which llama.cpp derives from the family's name.
    fn family(&self, arch: &Architecture, config: &mut Map<String, Json>) -> Result<(), LoadError> {
        let window = self.size("attention.sliding_window").filter(|window| *window > 0);
        let gemma = arch.double_norms;
        let (activation_key, activation) = match gemma {
            true => ("hidden_activation", "gelu_pytorch_tanh"),
            false => ("hidden_act", "silu"),
        };
        let mut keys = vec![("sliding_window", json!(window)), (activation_key, json!(activation))];
        if gemma {
            keys.push(("query_pre_attn_scalar", json!(self.query_scalar()?)));
        }
        match arch.model_type {
            "llama" if window.is_some() => keys.push(("model_type", json!("mistral"))),
            "qwen2" | "qwen3" => keys.push(("use_sliding_window", json!(false))),
            "smollm3" => keys.extend([
                ("use_sliding_window", json!(false)),
                ("no_rope_layer_interval", json!(4)),
            ]),
            "gemma2" => keys.extend([
                ("attn_logit_softcapping", json!(self.number("attn_logit_softcapping"))),
                ("final_logit_softcapping", json!(self.number("final_logit_softcapping"))),
            ]),
            "gemma3_text" => keys.push(("sliding_window_pattern", json!(6))),
            _ => {}
        }
        config.extend(keys.into_iter().map(|(key, value)| (key.to_owned(), value)));
        Ok(())
    }

    /// Its root divides Gemma's attention scores. It is the width of a head, except in the 27B models (with
    /// 46 layers in Gemma 2 and 62 in Gemma 3), where it is the model's width divided by its heads.
    fn query_scalar(&self) -> Result<u64, LoadError> {
        let width = self.need("embedding_length")?;
        let heads = self.need("attention.head_count")?;
        let layers_of_27b = if self.architecture() == "gemma2" { 46 } else { 62 };
        let is_big = self.need("block_count")? == layers_of_27b;
        Ok(if is_big { width / heads } else { self.head_dim(width, heads) })
    }
}
