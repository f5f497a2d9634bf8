//! Loads a model's files: its decoder, its text pipeline, and its description.

use std::time::Duration;

use serde_json::Value;
use shoal_model::{
    Decode, Defaults, Digest, Files, LoadError, Pooling, Template, TextPipeline, Tokenizer,
    Weights, json, measure_speed,
};
use shoal_proto::hello::{Model, TAGS_MAX, is_tag, model_name};

use super::{
    Options,
    decoder::{Shape, open, shape_of},
};

/// The time limit, roughly, for measuring a model's speed.
const MEASURE_TIME: Duration = Duration::from_millis(900);

/// A model, ready to serve.
#[expect(missing_debug_implementations, reason = "a decoder has no Debug")]
pub struct LoadedModel {
    /// The decoder with its weights.
    pub decoder: Box<dyn Decode>,
    /// The tokenizer and the chat template.
    pub pipeline: TextPipeline,
    /// The model's description, with its own name and tags.
    pub card: Model,
}

impl LoadedModel {
    /// Reads all files and packs the weights; another thread computes the digest meanwhile.
    ///
    /// # Errors
    /// When a file is missing or invalid, or the model does not run here.
    pub fn open(mut files: Files, options: &Options) -> Result<Self, LoadError> {
        // A folder without weights is not a model: this error comes first.
        files.weights()?;
        let shape = shape_of(&files, options.context)?;
        // Before the weights, not at the same time: building a large vocabulary takes much memory for
        // a moment.
        let tokenizer = Tokenizer::read(&files, shape.vocab)?;
        let template = Template::read(&files, &options.template)?;
        files.forget_vocabulary();
        let files = &files;
        let digest = Digest::begin(files)?;
        let card = card(files, &shape)?;
        let tensors = Weights::open(files)?.with_adapters(&options.adapters)?;
        let mut decoder = open(shape.clone(), &*tensors, options.decoder(&shape))?;
        drop(tensors);
        files.forget();
        let ends: Vec<u32> = tokenizer.ends().collect();
        let digest = digest.finish(&ends, options.quant, &options.adapters)?;
        let speed = options.measure.then(|| {
            let weights = decoder.weight_bytes();
            let speed = measure_speed(&mut *decoder, weights, MEASURE_TIME).ok();
            decoder.release_from(0);
            speed
        });
        let card = Model { digest, speed: speed.flatten(), ..card };
        let pipeline =
            TextPipeline::new(tokenizer, template, Defaults::read(files)?, pooling(files)?);
        Ok(Self { decoder, pipeline, card })
    }
}

fn card(files: &Files, shape: &Shape) -> Result<Model, LoadError> {
    Ok(Model {
        name: model_name(files.name()),
        family: shape.arch.kind.to_owned(),
        context: u32::try_from(shape.context).unwrap_or(u32::MAX),
        parameters: shape.params() as u64,
        description: description(files, shape)?,
        tags: tags(files)?,
        completes: !files.is_bundled(),
        ..Model::default()
    })
}

/// The pooling that sentence-transformers' file names. A decoder's last token has seen all the
/// others, but only a model trained for it keeps the text's meaning there.
fn pooling(files: &Files) -> Result<Pooling, LoadError> {
    let config = json(files, "1_Pooling/config.json")?;
    let last = config.get("pooling_mode_lasttoken").and_then(Value::as_bool).unwrap_or(false);
    Ok(if last { Pooling::Last } else { Pooling::Mean })
}

/// The description in the model's `card.json`; without one, a sentence with its size.
pub(super) fn description(files: &Files, shape: &Shape) -> Result<String, LoadError> {
    let card = json(files, "card.json")?;
    let text = card.get("description").and_then(Value::as_str).unwrap_or_default();
    if text.is_empty() {
        let (kind, millions) = (shape.arch.kind, shape.params() as f64 / 1e6);
        return Ok(format!("A {kind} model of {millions:.1} million parameters."));
    }
    // A hello must not have control characters.
    Ok(text.chars().filter(|letter| !letter.is_control()).take(200).collect())
}

/// The tags of the model's `card.json`; invalid ones are skipped.
fn tags(files: &Files) -> Result<Vec<String>, LoadError> {
    let card = json(files, "card.json")?;
    let values = card.get("tags").and_then(Value::as_array).into_iter().flatten();
    let tags = values.filter_map(Value::as_str).filter(|tag| is_tag(tag));
    Ok(tags.take(TAGS_MAX).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests;
