//! A file's metadata as the `config.json` that the same model has at Hugging Face, so that one
//! parser reads the shapes of both.
#![expect(clippy::indexing_slicing, reason = "JSON read by a key that is not there is null")]

use serde_json::{Map, Value as Json, json};

use super::{Gguf, architecture::Architecture};
use crate::LoadError;

impl Gguf {
    /// The equivalent of `config.json`. Factors that llama.cpp keeps for each pair of a head
    /// (`rope_freqs.weight` of Llama 3, `rope_factors_long.weight` of Phi-3) become the lists of
    /// `longrope`, which mean the same.
    ///
    /// # Errors
    /// When the architecture does not run here, or a key that it needs is missing.
    pub(crate) fn config(&self) -> Result<Json, LoadError> {
        let arch = Architecture::of(self)?;
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
        // Kept as f32 in the file: what was written there, not its expansion.
        let number = self.metadata.float(&self.key(key))?;
        (number as f32).to_string().parse().ok()
    }

    fn need(&self, key: &str) -> Result<u64, LoadError> {
        let found = self.size(key).filter(|size| *size > 0);
        found.ok_or_else(|| self.fault(format!("its metadata has no {}", self.key(key))))
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
            return Err(self.missing("token_embd.weight"));
        };
        let has = |name: &str| self.tensor(name).is_some();
        let mut put = |key: &str, value: Json| config.insert(key.to_owned(), value);
        put("hidden_size", json!(width));
        put("num_hidden_layers", json!(self.need("block_count")?));
        put("num_attention_heads", json!(heads));
        put("num_key_value_heads", json!(self.heads("attention.head_count_kv")?));
        put("head_dim", json!(self.head_dim(width, heads)));
        put("intermediate_size", json!(self.need("feed_forward_length")?));
        put("vocab_size", json!(vocab));
        put("max_position_embeddings", json!(self.need("context_length")?));
        put("rms_norm_eps", json!(eps));
        put("tie_word_embeddings", json!(!has("output.weight")));
        put("attention_bias", json!(has("blk.0.attn_output.bias") || has("blk.0.attn_q.bias")));
        put("mlp_bias", json!(has("blk.0.ffn_down.bias")));
        put("bos_token_id", json!(self.metadata.unsigned("tokenizer.ggml.bos_token_id")));
        put("eos_token_id", json!(self.metadata.unsigned("tokenizer.ggml.eos_token_id")));
        Ok(())
    }

    fn missing(&self, tensor: &str) -> LoadError {
        LoadError::NoTensor { place: self.place.clone(), tensor: tensor.to_owned() }
    }

    fn head_dim(&self, width: u64, heads: u64) -> u64 {
        self.size("attention.key_length").unwrap_or(width / heads.max(1))
    }

    fn rotary(&self, arch: &Architecture, config: &mut Map<String, Json>) -> Result<(), LoadError> {
        let dim = self.head_dim(self.need("embedding_length")?, self.need("attention.head_count")?);
        let turned = self.size("rope.dimension_count").unwrap_or(dim);
        if turned != dim {
            let part = json!(turned as f64 / dim.max(1) as f64);
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

    /// `rope_scaling`; null where positions are not stretched.
    fn scaling(&self, original: Option<u64>) -> Result<Json, LoadError> {
        let attention = self.number("rope.scaling.attn_factor");
        let both = self.factors("rope_freqs.weight")?;
        let long = self.factors("rope_factors_long.weight")?.or_else(|| both.clone());
        let short = self.factors("rope_factors_short.weight")?.or(both);
        if let (Some(long), Some(short)) = (long, short) {
            // Llama 3's factors change no attention; Phi-3's file says by how much they do.
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
            (Some(other), _) => {
                Err(self.fault(format!("{other} scaling of rotary positions is not read")))
            }
        }
    }

    /// What divides the speed of each pair of a head.
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

    /// What one family has and llama.cpp knows by the family's name.
    fn family(&self, arch: &Architecture, config: &mut Map<String, Json>) -> Result<(), LoadError> {
        let window = self.size("attention.sliding_window").filter(|window| *window > 0);
        let mut put = |key: &str, value: Json| config.insert(key.to_owned(), value);
        put("sliding_window", json!(window));
        let gemma = arch.norms_around;
        put(if gemma { "hidden_activation" } else { "hidden_act" }, {
            json!(if gemma { "gelu_pytorch_tanh" } else { "silu" })
        });
        if gemma {
            put("query_pre_attn_scalar", json!(self.query_scalar()?));
        }
        match arch.model_type {
            "llama" if window.is_some() => _ = put("model_type", json!("mistral")),
            "qwen2" | "qwen3" => _ = put("use_sliding_window", json!(false)),
            "smollm3" => {
                put("use_sliding_window", json!(false));
                put("no_rope_layer_interval", json!(4));
            }
            "gemma2" => {
                put("attn_logit_softcapping", json!(self.number("attn_logit_softcapping")));
                put("final_logit_softcapping", json!(self.number("final_logit_softcapping")));
            }
            "gemma3_text" => _ = put("sliding_window_pattern", json!(6)),
            _ => {}
        }
        Ok(())
    }

    /// The root of this divides Gemma's scores: the width of a head, but in the 27B models (told
    /// by their layers: 46 of Gemma 2, 62 of Gemma 3) the model's width by its heads.
    fn query_scalar(&self) -> Result<u64, LoadError> {
        let width = self.need("embedding_length")?;
        let heads = self.need("attention.head_count")?;
        let big = if self.architecture() == "gemma2" { 46 } else { 62 };
        let is_big = self.need("block_count")? == big;
        Ok(if is_big { width / heads } else { self.head_dim(width, heads) })
    }
}
