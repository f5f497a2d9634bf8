//! The decoder: a decoder-only model in this process, with burn.
//!
//! [`open`] loads a model and starts the engine that serves it. On the CPU its layers are custom
//! operations on packed weights (`shoal-kernel`); on any other device they are burn's own tensor
//! operations. [`bench`] measures speed, [`rounding`] what quantisation costs, and [`logits`]
//! writes what another engine is compared with.

mod decoder;
mod load;
pub mod bench;
pub mod logits;
pub mod rounding;
#[cfg(test)]
mod tests;

use self::decoder::{Settings, Shape};
pub use self::{
    decoder::{DeviceKind, architecture_table},
    load::Loaded,
};
use shoal_model::{
    BatchOptions, Files, LoadError, Local, Metrics, Quant, TemplateChoice, bundled_names,
};

/// Below so many parameters a second thread takes longer to be told than to do its part.
const SMALL: usize = 8_000_000;

/// How a model is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// The model's name in the swarm, if not its folder's.
    pub name: Option<String>,
    /// What it is good at; none: what its `card.json` says.
    pub tags: Vec<String>,
    /// Pieces of work at the same time; a judgment of several candidates is one.
    pub slots: u32,
    /// Tokens of an answer for which the ask sets no limit.
    pub answer_tokens: u32,
    /// How the weights are kept.
    pub quant: Quant,
    /// Where the arithmetic is done.
    pub device: DeviceKind,
    /// Threads of the arithmetic on the CPU; 0: all cores, or one for a small model.
    pub threads: usize,
    /// Positions that a sequence may have, if less than the model was made for.
    pub context: Option<usize>,
    /// Bytes of the KV cache at most; memory is taken as it fills.
    pub cache_bytes: usize,
    /// Low-rank adapters to merge into the weights, one after another.
    pub adapters: Vec<Files>,
    /// The chat template.
    pub template: TemplateChoice,
    /// Whether it says which of two answers is better, which a small model is bad at.
    pub judges: bool,
    /// Whether answers are guessed at where that saves time.
    pub guesses: bool,
    /// Whether it finds out how fast it is before it serves.
    pub measure: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            name: None,
            tags: Vec::new(),
            slots: 1,
            answer_tokens: 1024,
            quant: Quant::default(),
            device: DeviceKind::default(),
            threads: 0,
            context: None,
            cache_bytes: 1 << 30,
            adapters: Vec::new(),
            template: TemplateChoice::default(),
            judges: false,
            guesses: true,
            measure: false,
        }
    }
}

impl Options {
    /// For work that holds no conversation: a base model, which has no template, can do it too.
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

    fn batch(&self) -> BatchOptions {
        let slots = usize::try_from(self.slots).unwrap_or(1).max(1);
        BatchOptions {
            // A judgment is as many sequences as there are candidates.
            sequences: slots.saturating_mul(4).max(8),
            // The desk before the engine lets in no more than there are slots; as many again for
            // those that have left while the model has not noticed yet.
            requests: slots.saturating_mul(2),
            cache_bytes: self.cache_bytes,
            answer_tokens: usize::try_from(self.answer_tokens).unwrap_or(usize::MAX),
            guesses: self.guesses,
        }
    }
}

/// Loads a model and starts its threads. Blocks for as long as that takes.
///
/// # Errors
/// When the files are no model that can be served, in one line.
pub fn open(files: Files, options: &Options, metrics: Metrics) -> Result<Local, LoadError> {
    let Loaded { decoder, words, card } = Loaded::open(files, options)?;
    let how = (&options.batch(), options.judges);
    Local::start(decoder, words, card, how, metrics).map_err(LoadError::Thread)
}

/// The models in the program, each in a line with what it says of itself.
pub fn bundled() -> String {
    let row = |name: &str| {
        let files = Files::bundled(name);
        let says =
            files.and_then(|files| load::description(&files, &decoder::shape_of(&files, None)?));
        format!("bundled:{name:<16} {}", says.unwrap_or_default())
    };
    let rows: Vec<String> = bundled_names().map(row).collect();
    if rows.is_empty() { "no models are bundled".to_owned() } else { rows.join("\n") }
}
