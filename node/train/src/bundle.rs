//! The folder that a node serves, in Hugging Face's layout.
//!
//! ```text
//! config.json  generation_config.json  model.safetensors   the decoder, weights in f16
//! tokenizer.json  tokenizer_config.json                    bytes, and a template for chats
//! README.md  card.json                                     what it can do, measured on these files
//! ```

mod card;
mod tokenizer;

#[cfg(test)]
pub(crate) use card::to_owned_course;
pub(crate) use card::{Abstentions, Card};

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use burn::{
    store::{
        BurnToPyTorchAdapter, FloatCastAdapter, HalfPrecisionAdapter, ModuleAdapter,
        ModuleSnapshot, PyTorchToBurnAdapter, SafetensorsStore,
    },
    tensor::{DType, Device},
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use shoal_syllabus::{Family, Split};

use super::{
    check::{self, Score},
    fit::Run,
    outside::{Kind, Part, question_of_kind},
    recipe::{Recipe, Stage},
    rows::Row,
    tokens::{ABSTAIN, BOS, EOS},
};
use crate::llama::{LlamaConfig, LlamaForCausalLm};

/// Test questions of each family for the card's figures.
const QUESTIONS: usize = 250;

/// Held-out questions of each kind outside of the syllabus, for the card's figures.
const OUTSIDE: usize = 100;

/// Writes the folder, reads it back, and examines what was read on the test split and on held-out
/// questions outside of the syllabus. `base`: the SHA-256 of the weights that the last stage started
/// from, if they did not come out of the same run of the course.
pub(crate) fn write(
    run: &Run,
    recipe: &Recipe,
    (course, base): (&[Stage], Option<String>),
    models: &Path,
) -> Result<Vec<Score>> {
    let folder = models.join(recipe.specialist.name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    weights(&run.model(), &folder)?;
    put(&folder, "config.json", &config(&recipe.model)?)?;
    put(&folder, "generation_config.json", &generation())?;
    put(&folder, "tokenizer.json", &tokenizer::tokenizer())?;
    put(&folder, "tokenizer_config.json", &tokenizer::config())?;
    let model = read(&folder)?;
    let scores = check::by_family(&model, &Family::ALL, Split::Test, recipe.seed, QUESTIONS);
    let outside = outside(&model, recipe.seed, OUTSIDE);
    let card = Card { base, outside, ..Card::new(recipe, course, run.loss(), &scores) };
    put(&folder, "card.json", &serde_json::to_value(&card)?)?;
    fs::write(folder.join("README.md"), card.readme())?;
    Ok(scores)
}

/// The SHA-256 of the weights in such a folder, in hex.
pub(crate) fn digest(folder: &Path) -> Result<String> {
    let file = folder.join("model.safetensors");
    let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// How often a model abstains on held-out questions outside of the syllabus, by kind.
pub(crate) fn outside(
    model: &LlamaForCausalLm,
    seed: u64,
    count: usize,
) -> BTreeMap<String, Abstentions> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let kinds = Kind::ALL.into_iter().map(|kind| {
        let rows = (0..count)
            .map(|_| Row::abstention(&question_of_kind(kind, Part::HeldOut, &mut rng)))
            .collect();
        let abstained = check::abstentions(model, rows);
        (kind.name().to_owned(), Abstentions { abstained, asked: count })
    });
    kinds.collect()
}

/// Reads the decoder of such a folder, in f32.
pub(crate) fn read(folder: &Path) -> Result<LlamaForCausalLm> {
    let config = LlamaConfig::parse(&fs::read_to_string(folder.join("config.json"))?)?;
    let mut model = LlamaForCausalLm::new(config, &Device::flex());
    let adapter = PyTorchToBurnAdapter.chain(FloatCastAdapter::to(DType::F32));
    let mut store =
        SafetensorsStore::from_file(folder.join("model.safetensors")).with_from_adapter(adapter);
    model.load_from(&mut store)?;
    Ok(model)
}

fn weights(model: &LlamaForCausalLm, folder: &Path) -> Result<()> {
    let file = folder.join("model.safetensors");
    let mut store = SafetensorsStore::from_file(&file)
        .overwrite(true)
        .clear_metadata()
        .metadata("format", "pt")
        .with_to_adapter(BurnToPyTorchAdapter.chain(HalfPrecisionAdapter::new()));
    model.save_into(&mut store)?;
    readable(&file)
}

/// Makes a file readable for all users: the store writes it with private permissions.
fn readable(file: &Path) -> Result<()> {
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
    Ok(())
}

/// The model's shape, with the keys that other readers of such folders expect.
fn config(model: &LlamaConfig) -> Result<serde_json::Value> {
    let mut config = serde_json::to_value(model)?;
    let more = json!({
        "model_type": "llama",
        "architectures": ["LlamaForCausalLM"],
        "hidden_act": "silu",
        "attention_bias": false,
        "mlp_bias": false,
        "head_dim": model.head_dim(),
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        "dtype": "float16",
    });
    if let (Some(config), Some(more)) = (config.as_object_mut(), more.as_object()) {
        config.extend(more.clone());
    }
    Ok(config)
}

fn generation() -> serde_json::Value {
    json!({
        "bos_token_id": BOS,
        "eos_token_id": EOS,
        "pad_token_id": EOS,
        "abstain_token_id": ABSTAIN,
        "do_sample": false,
        "temperature": 0.0,
        "max_new_tokens": 384,
    })
}

fn put(folder: &Path, name: &str, value: &serde_json::Value) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    fs::write(folder.join(name), text).with_context(|| format!("cannot write {name}"))
}
