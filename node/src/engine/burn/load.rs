//! A folder becomes a model: its shape, its weights, its words.

pub(super) mod shape;
mod weights;
#[expect(dead_code, reason = "the batching engine opens models with it")]
pub(super) mod served;

use burn::tensor::Device;
use serde_json::Value;
use sha2::{Digest, Sha256};
use shoal_proto::{generate::Sampling, hello::Model};

use super::{
    Options,
    llama::{LlamaConfig, LlamaForCausalLm},
};
use crate::{
    engine::swarm_name,
    model::{
        LoadError,
        files::Files,
        template::{Choice, Template},
        tokenizer::{Tokenizer, json},
    },
};

/// A model, ready to write.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) llama: LlamaForCausalLm,
    pub(super) tokenizer: Tokenizer,
    pub(super) template: Template,
    pub(super) card: Model,
    pub(super) device: Device,
    pub(super) answer_tokens: u32,
    pub(super) defaults: Defaults,
}

/// How the model likes to be sampled, where an ask leaves it open: `generation_config.json`, as
/// Hugging Face reads it. Greedy where it says nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Defaults {
    temperature: f32,
    top_p: f32,
}

impl Defaults {
    fn read(files: &Files) -> Result<Self, LoadError> {
        let config = json(files, "generation_config.json")?;
        let number = |name| config.get(name).and_then(Value::as_f64).unwrap_or(1.0) as f32;
        let samples = config.get("do_sample").and_then(Value::as_bool).unwrap_or(false);
        Ok(if samples {
            Self { temperature: number("temperature"), top_p: number("top_p") }
        } else {
            Self { temperature: 0.0, top_p: 1.0 }
        })
    }

    /// The ask's own wishes come first.
    pub(super) fn fill(self, asked: Sampling) -> Sampling {
        Sampling {
            temperature: asked.temperature.or(Some(self.temperature)),
            top_p: asked.top_p.or(Some(self.top_p)),
            ..asked
        }
    }
}

impl Loaded {
    /// Reads everything; the weights are turned once into the layout that burn multiplies fastest.
    pub(super) fn open(files: &Files, options: &Options) -> Result<Self, LoadError> {
        let device = Device::flex();
        let names = files.weights()?;
        let config = shape::read(files)?;
        let tokenizer = Tokenizer::read(files, config.vocab_size)?;
        let template = Template::read(files, &Choice::Own)?;
        let mut digest = Sha256::new();
        let mut store = weights::Weights::new(files);
        for name in names {
            let bytes = files.read(&name)?.unwrap_or_default();
            digest.update(&bytes);
            store.add(&name, bytes)?;
        }
        // What turns a conversation into tokens decides as much as the weights how likely a text
        // is: nodes that differ in it must not audit each other.
        for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
            digest.update(files.read(name)?.unwrap_or_default());
        }
        for end in tokenizer.ends() {
            digest.update(end.to_le_bytes());
        }
        let card = card(files, options, &config, &digest.finalize())?;
        let llama = store.fill(LlamaForCausalLm::new(config, &device), &device)?;
        Ok(Self {
            llama,
            tokenizer,
            template,
            card,
            device,
            answer_tokens: options.answer_tokens,
            defaults: Defaults::read(files)?,
        })
    }

    /// Tokens of prompt and answer together.
    pub(super) fn context(&self) -> usize {
        self.llama.config().max_position_embeddings
    }

    /// Logits for each step.
    pub(super) fn vocab(&self) -> usize {
        self.llama.config().vocab_size
    }
}

fn card(
    files: &Files,
    options: &Options,
    config: &LlamaConfig,
    digest: &[u8],
) -> Result<Model, LoadError> {
    Ok(Model {
        name: options.name.clone().unwrap_or_else(|| swarm_name(files.name())),
        family: "llama".to_owned(),
        digest: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        context: u32::try_from(config.max_position_embeddings).unwrap_or(u32::MAX),
        parameters: config.params() as u64,
        certainty: true,
        likelihood: true,
        pairwise: false,
        description: description(files, config)?,
        ..Model::default()
    })
}

/// What the model's `card.json` says of it in a sentence; its size where it has none.
pub(super) fn description(files: &Files, config: &LlamaConfig) -> Result<String, LoadError> {
    let card = json(files, "card.json")?;
    let words = card.get("description").and_then(Value::as_str).unwrap_or_default();
    if words.is_empty() {
        let millions = config.params() as f64 / 1e6;
        return Ok(format!("A llama model of {millions:.1} million parameters."));
    }
    Ok(words.chars().take(200).collect())
}

#[cfg(test)]
mod tests;
