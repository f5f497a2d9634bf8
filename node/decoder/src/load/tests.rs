use std::fs;

use serde_json::json;
use shoal_engine::{Engine as _, Service};
use shoal_model::Metrics;
use shoal_model::testing::{Kept, config, put, tensors, tiny, tokenizer, weights, words};
use tempfile::TempDir;

use super::*;
use crate::bench;

fn complaint(folder: &TempDir) -> String {
    let files = Files::folder(folder.path()).unwrap();
    let error = LoadedModel::open(files, &Options::default()).err().unwrap().to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error.replace(&folder.path().canonicalize().unwrap().display().to_string(), "DIR")
}

/// A whole folder without one file.
fn without(name: &str) -> TempDir {
    let folder = tiny(64, Kept::F32);
    fs::remove_file(folder.path().join(name)).unwrap();
    folder
}

#[test]
fn a_missing_file_is_named() {
    let no_weights = "DIR has no *.safetensors file: weights as .bin are not read";
    assert_eq!(complaint(&without("model.safetensors")), no_weights);
    assert_eq!(complaint(&tempfile::tempdir().unwrap()), no_weights);
    assert_eq!(complaint(&without("config.json")), "DIR has no config.json");
    assert_eq!(complaint(&without("tokenizer.json")), "DIR has no tokenizer.json");
}

#[test]
fn no_folder_at_all_is_one_line() {
    let error = Files::folder(std::path::Path::new("/nowhere/model")).unwrap_err().to_string();
    assert!(error.starts_with("cannot read /nowhere/model: "), "{error}");
}

#[test]
fn a_model_without_template_or_end_cannot_be_talked_to() {
    let folder = tiny(64, Kept::F32);
    put(&folder, "tokenizer_config.json", &json!({ "eos_token": "<eos>" }));
    assert!(complaint(&folder).starts_with("DIR has no chat template"));
    put(&folder, "tokenizer_config.json", &json!({ "chat_template": "x" }));
    assert!(complaint(&folder).contains("no eos_token"));
    let template = json!({ "eos_token": "<eos>", "chat_template": "{% for %}" });
    put(&folder, "tokenizer_config.json", &template);
    assert!(complaint(&folder).starts_with("DIR: the chat template: "));
}

#[test]
fn a_model_without_template_can_be_measured() {
    let folder = tiny(64, Kept::F32);
    put(&folder, "tokenizer_config.json", &json!({ "eos_token": "<eos>" }));
    let files = Files::folder(folder.path()).unwrap();
    let report = bench::measure(files, &Options::default()).unwrap();
    assert!(report.parameters > 0 && report.decode.len() == 3);
}

#[test]
fn what_this_build_would_get_wrong_is_refused_by_name() {
    let folder = tiny(64, Kept::F32);
    let family = refusal(&folder, "model_type", json!("mamba"));
    assert!(family.contains("mamba") && family.contains("qwen2"), "{family}");
    assert!(refusal(&folder, "hidden_act", json!("relu")).contains("relu"));
    let dynamic = json!({ "rope_type": "dynamic" });
    assert!(refusal(&folder, "rope_scaling", dynamic).contains("dynamic"));
}

/// The error for a configuration with one other value.
fn refusal(folder: &TempDir, key: &str, value: serde_json::Value) -> String {
    let mut config = config(64);
    config[key] = value;
    put(folder, "config.json", &config);
    complaint(folder)
}

#[test]
fn weights_that_do_not_fit_the_config_are_named() {
    let folder = tiny(64, Kept::F32);
    let mut wide = config(64);
    wide["intermediate_size"] = json!(52);
    put(&folder, "config.json", &wide);
    let message =
        "DIR: model.layers.0.mlp.gate_proj.weight is [48, 32], but config.json makes it [52, 32]";
    assert_eq!(complaint(&folder), message);

    let folder = tiny(64, Kept::F32);
    let mut fewer = tensors();
    fewer.remove("model.norm.weight");
    weights(&folder, Kept::F32, &fewer);
    assert_eq!(complaint(&folder), "DIR: the weights have no model.norm.weight");
}

#[test]
fn files_that_are_cut_off_are_named() {
    let folder = tiny(64, Kept::F32);
    let path = folder.path().join("model.safetensors");
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(complaint(&folder).starts_with("DIR/model.safetensors: "));
    fs::write(folder.path().join("tokenizer.json"), "{").unwrap();
    assert!(complaint(&folder).starts_with("DIR/tokenizer.json: "));
}

#[test]
fn an_unknown_bundled_name_lists_the_known_ones() {
    let error = Files::bundled("shoal-nothing").unwrap_err().to_string();
    assert!(error.starts_with("no model \"shoal-nothing\" is bundled, there are: "), "{error}");
}

#[test]
fn the_card_speaks_for_the_model() {
    let folder = tiny(64, Kept::F32);
    let files = Files::folder(folder.path()).unwrap();
    assert_eq!(
        card(&files, &Options::default()).description,
        "A llama model of 0.0 million parameters."
    );
    put(&folder, "card.json", &json!({ "description": "Knows little." }));
    assert_eq!(card(&files, &Options::default()).description, "Knows little.");
    let tags = json!(["tides", 7, "t".repeat(33), "two\nlines", "", "code"]);
    put(&folder, "card.json", &json!({ "tags": tags }));
    assert_eq!(card(&files, &Options::default()).tags, ["tides", "code"]);
    let owner = Service { tags: vec!["math".to_owned()], ..Service::default() };
    let metrics = Metrics::new().unwrap();
    let served = crate::open(files.clone(), &owner, &Options::default(), metrics).unwrap();
    assert_eq!(served.model().tags, ["math"]);
    put(&folder, "card.json", &json!({ "description": "Knows\u{7} little." }));
    // The words and the tokenizer belong to the same folder.
    put(&folder, "tokenizer_config.json", &words());
    put(&folder, "tokenizer.json", &tokenizer("ab".chars()));
    assert_eq!(card(&files, &Options::default()).description, "Knows little.");
}

fn card(files: &Files, options: &Options) -> shoal_proto::hello::Model {
    LoadedModel::open(files.clone(), options).unwrap().card
}
