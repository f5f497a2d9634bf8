//! A model for serving: its decoder, its words, and what it says of itself.

use serde_json::Value;
use shoal_proto::hello::Model;

use crate::{
    engine::{
        burn::decoder::{Settings, Shape, open, shape_of},
        swarm_name,
    },
    model::{
        LoadError,
        digest::Digest,
        files::Files,
        step::Decode,
        template::{Choice, Template},
        tokenizer::{Tokenizer, json},
        weights::Weights,
    },
};

/// A model of any kind that runs here.
pub(in crate::engine::burn) struct Served {
    pub(in crate::engine::burn) decoder: Box<dyn Decode>,
    pub(in crate::engine::burn) tokenizer: Tokenizer,
    pub(in crate::engine::burn) template: Template,
    pub(in crate::engine::burn) card: Model,
}

impl Served {
    /// Reads everything and packs the weights. `name` is the model's in the swarm, if not that of
    /// its files.
    pub(in crate::engine::burn) fn open(
        files: &Files,
        name: Option<&str>,
        settings: Settings,
    ) -> Result<Self, LoadError> {
        let shape = shape_of(files, settings.context)?;
        let tokenizer = Tokenizer::read(files, shape.vocab)?;
        let template = Template::read(files, &Choice::Own)?;
        let digest = Digest::begin(files)?;
        let decoder = open(shape.clone(), &Weights::open(files)?, settings)?;
        let ends: Vec<u32> = tokenizer.ends().collect();
        let digest = digest.finish(&ends, settings.quant, &[])?;
        let card = card(files, name, &shape, digest)?;
        Ok(Self { decoder, tokenizer, template, card })
    }
}

fn card(
    files: &Files,
    name: Option<&str>,
    shape: &Shape,
    digest: String,
) -> Result<Model, LoadError> {
    Ok(Model {
        name: name.map_or_else(|| swarm_name(files.name()), str::to_owned),
        family: shape.arch.kind.to_owned(),
        digest,
        context: u32::try_from(shape.context).unwrap_or(u32::MAX),
        parameters: shape.params() as u64,
        certainty: true,
        likelihood: true,
        pairwise: false,
        description: description(files, shape)?,
        ..Model::default()
    })
}

/// What the model's `card.json` says of it in a sentence; its size where it has none.
pub(in crate::engine::burn) fn description(
    files: &Files,
    shape: &Shape,
) -> Result<String, LoadError> {
    let card = json(files, "card.json")?;
    let words = card.get("description").and_then(Value::as_str).unwrap_or_default();
    if words.is_empty() {
        let (kind, millions) = (shape.arch.kind, shape.params() as f64 / 1e6);
        return Ok(format!("A {kind} model of {millions:.1} million parameters."));
    }
    Ok(words.chars().take(200).collect())
}
