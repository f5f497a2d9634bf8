//! The decoder: a decoder-only model in this process, with burn.
//!
//! [`open`] loads a model and starts the engine that serves it. On the CPU its layers are custom
//! operations on packed weights (`shoal-kernel`); on any other device they are burn's own tensor
//! operations. [`bench`] measures speed, [`rounding`] what quantisation costs, and [`logits`]
//! writes what another engine is compared with.

mod budget;
mod decoder;
mod load;
pub mod bench;
pub mod logits;
pub mod rounding;
#[cfg(test)]
mod tests;

use self::decoder::{Settings, Shape};
pub use self::{
    budget::CacheLimit,
    decoder::{DeviceKind, architecture_table},
    load::LoadedModel,
};
use shoal_engine::Service;
use shoal_model::{
    BatchOptions, Decode, Files, LoadError, Local, Metrics, Quant, TemplateChoice, bundled_names,
};

/// A model with fewer parameters than this runs on one thread: waking a second one takes longer than
/// its share of the work.
const SMALL: usize = 8_000_000;

/// How a model is loaded and computed.
#[derive(Clone, Debug)]
pub struct Options {
    /// How the weights are kept.
    pub quant: Quant,
    /// Where the arithmetic is done.
    pub device: DeviceKind,
    /// Threads of the arithmetic on the CPU; 0: all cores, or one for a small model.
    pub threads: usize,
    /// The limit on a sequence's positions, if below the model's own.
    pub context: Option<usize>,
    /// The limit on the KV cache; memory is taken as it fills.
    pub cache: CacheLimit,
    /// Low-rank adapters to merge into the weights, one after another.
    pub adapters: Vec<Files>,
    /// The chat template.
    pub template: TemplateChoice,
    /// Whether the model compares pairs of answers. Small models are bad at it.
    pub judges: bool,
    /// Whether tokens are drafted (speculative decoding) when that saves time.
    pub speculate: bool,
    /// Whether the model's speed is measured before it serves.
    pub measure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            quant: Quant::default(),
            device: DeviceKind::default(),
            threads: 0,
            context: None,
            cache: CacheLimit::Auto { models: 1 },
            adapters: Vec::new(),
            template: TemplateChoice::default(),
            judges: false,
            speculate: true,
            measure: false,
        }
    }
}

impl Options {
    /// Options for work without a conversation: a base model, which has no template, can do it too.
    fn without_talk(&self) -> Self {
        Self { template: TemplateChoice::Plain, ..self.clone() }
    }

    fn decoder(&self, shape: &Shape) -> Settings {
        let defaults = Settings::default();
        let threads = match self.threads {
            0 if shape.params() < SMALL => 1,
            0 => defaults.threads,
            threads => threads,
        };
        Settings { quant: self.quant, device: self.device, threads, ..defaults }
    }

    fn batch(&self, service: &Service, decoder: &impl Decode) -> BatchOptions {
        let slots = usize::try_from(service.slots).unwrap_or(1).max(1);
        // A judgment is as many sequences as there are candidates.
        let sequences = slots.saturating_mul(4).max(8);
        BatchOptions {
            sequences,
            // The queue before the engine admits as many requests as there are slots. The other
            // half is for cancelled requests that the model has not dropped yet.
            requests: slots.saturating_mul(2),
            cache_bytes: self.cache.bytes(decoder, self.device, sequences),
            answer_tokens: usize::try_from(service.answer_tokens).unwrap_or(usize::MAX),
            speculate: self.speculate,
        }
    }
}

/// Loads a model and starts its threads. Blocks until the model is loaded.
///
/// # Errors
/// When the files are not a model that can be served. The message is one line.
pub fn open(
    files: Files,
    service: &Service,
    options: &Options,
    metrics: Metrics,
) -> Result<Local, LoadError> {
    let LoadedModel { decoder, pipeline, mut card } = LoadedModel::open(files, options)?;
    if let Some(name) = &service.name {
        card.name.clone_from(name);
    }
    if !service.tags.is_empty() {
        card.tags.clone_from(&service.tags);
    }
    let batch = options.batch(service, &decoder);
    tracing::info!(limit = batch.cache_bytes, "bytes of the KV cache at most");
    Local::start(decoder, pipeline, card, (&batch, options.judges), metrics)
        .map_err(LoadError::Thread)
}

/// The models in the program, one line each, with their descriptions.
pub fn bundled() -> String {
    let rows: Vec<String> = bundled_names().map(bundled_row).collect();
    if rows.is_empty() { "no models are bundled".to_owned() } else { rows.join("\n") }
}

fn bundled_row(name: &str) -> String {
    let description = Files::bundled(name)
        .and_then(|files| load::description(&files, &decoder::shape_of(&files, None)?))
        .unwrap_or_else(|error| error.to_string());
    format!("bundled:{name:<16} {description}")
}
