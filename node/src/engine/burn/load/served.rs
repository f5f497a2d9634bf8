//! A model for serving: its decoder, its words, and what it says of itself.

use std::io::Read;

use serde_json::Value;
use sha2::{Digest, Sha256};
use shoal_proto::hello::Model;

use crate::{
    engine::{
        burn::decoder::{Settings, Shape, open, shape_of},
        swarm_name,
    },
    model::{
        LoadError,
        files::Files,
        step::Decode,
        template::{Choice, Template},
        tokenizer::{Tokenizer, json},
        weights::{Quant, Weights},
    },
};

/// Read at a time when a file is hashed.
const BLOCK: usize = 1 << 20;

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
        let digest = digest(files, &tokenizer, settings.quant)?;
        let card = card(files, name, &shape, digest)?;
        let decoder = open(shape, &Weights::open(files)?, settings)?;
        Ok(Self { decoder, tokenizer, template, card })
    }
}

/// What decides how likely a text is. Nodes that differ in it must not audit each other.
fn digest(files: &Files, tokenizer: &Tokenizer, quant: Quant) -> Result<String, LoadError> {
    let mut digest = Sha256::new();
    let mut block = vec![0; BLOCK];
    for name in files.weights()? {
        let mut reader = files.reader(&name)?;
        let refused = |error: std::io::Error| LoadError::Weights {
            place: files.place(),
            file: name.clone(),
            why: error.to_string(),
        };
        loop {
            let read = reader.read(&mut block).map_err(refused)?;
            if read == 0 {
                break;
            }
            digest.update(block.get(..read).unwrap_or_default());
        }
    }
    // What turns a conversation into tokens counts as much as the weights.
    for name in ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        digest.update(files.read(name)?.unwrap_or_default());
    }
    for end in tokenizer.ends() {
        digest.update(end.to_le_bytes());
    }
    if quant != Quant::AsIs {
        digest.update(quant.to_string());
    }
    Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
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
