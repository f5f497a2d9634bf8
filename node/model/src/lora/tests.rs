use std::{fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::weights::Weights;

/// Written by `tests/fixtures/lora/make.py` and `tests/fixtures/gguf/make.py`.
fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn weights(name: &str) -> Weights {
    let place = fixtures().join(name).display().to_string();
    Weights::open(&Files::open(&place).unwrap()).unwrap()
}

/// A copy of the fixture with these keys in its configuration.
fn with_config(change: &Value) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = fixtures().join("lora");
    fs::copy(from.join(WEIGHTS), folder.path().join(WEIGHTS)).unwrap();
    let mut config: Value = serde_json::from_slice(&fs::read(from.join(CONFIG)).unwrap()).unwrap();
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(folder.path().join(CONFIG), config.to_string()).unwrap();
    folder
}

fn open(folder: &Path) -> Result<Adapter, LoadError> {
    Adapter::open(&Files::folder(folder).unwrap())
}

fn rows(tensors: &dyn Tensors, name: &str) -> Vec<f32> {
    let shape = tensors.shape(name).unwrap();
    let mut floats = vec![0.0; shape.iter().product()];
    let width = *shape.last().unwrap();
    for (row, out) in floats.chunks_mut(width).enumerate() {
        tensors.row(name, row, out).unwrap();
    }
    floats
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_merged_adapter_gives_the_weights_that_numpy_gives() {
    let fixture = Files::folder(&fixtures().join("lora")).unwrap();
    let mut references = BTreeMap::new();
    safetensors::add(&fixture, "merged.safetensors", &mut references).unwrap();
    assert_eq!(references.len(), 2);
    // The tensors of a folder and of a GGUF file have the same names and orders.
    for base in ["gguf/tiny", "gguf/tiny.gguf"] {
        let plain = weights(base);
        let with_adapter =
            WithAdapter::new(weights(base), open(&fixtures().join("lora")).unwrap()).unwrap();
        for name in plain.names().iter().filter(|name| plain.shape(name).unwrap().len() == 2) {
            let merged_rows = rows(&with_adapter, name);
            match references.get(name) {
                Some(tensor) => {
                    let [outputs, inputs] = tensor.shape[..] else { panic!("no matrix") };
                    let reference = matrix(tensor, outputs, inputs).unwrap();
                    assert!(furthest(&merged_rows, &reference) < 1e-6, "{name}");
                    assert!(furthest(&merged_rows, &rows(&plain, name)) > 0.1, "{name} is changed");
                }
                None => assert_eq!(merged_rows, rows(&plain, name), "{name}"),
            }
        }
    }
}

#[test]
fn changed_matrices_are_packed_with_what_was_added() {
    let adapter = open(&fixtures().join("lora")).unwrap();
    let with_adapter = WithAdapter::new(weights("gguf/tiny.gguf"), adapter).unwrap();
    let down = "model.layers.0.mlp.down_proj.weight";
    assert_eq!(with_adapter.format(down, Quant::AsIs).unwrap(), Format::Q8);
    assert_eq!(with_adapter.format(down, Quant::Q4).unwrap(), Format::Q4Min);
    let exact = rows(&with_adapter, down);
    let matrix = with_adapter.matrix(down, Quant::AsIs).unwrap();
    let mut packed = vec![0.0; exact.len()];
    for (row, out) in packed.chunks_mut(matrix.cols()).enumerate() {
        matrix.row(row, out).unwrap();
    }
    let largest = exact.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
    assert!(furthest(&packed, &exact) < 1.01 * largest / 127.0);
    let head = with_adapter.matrix("lm_head.weight", Quant::AsIs).unwrap();
    assert_eq!(head.format(), Format::Q4, "what is not changed is kept as it is");
}

fn scales(adapter: &Adapter) -> Vec<f32> {
    adapter.changes.values().map(|change| change.scale).collect()
}

#[test]
fn rank_stabilised_adapters_are_scaled_by_the_root() {
    let plain = open(with_config(&json!({})).path()).unwrap();
    let stable = open(with_config(&json!({ "use_rslora": true })).path()).unwrap();
    assert_eq!(scales(&plain), [3.0, 1.5], "down_proj has rank 2, q_proj has 4");
    assert_eq!(scales(&stable), [6.0 / 2.0_f32.sqrt(), 3.0]);
}

/// The reason why the fixture with these keys does not open.
fn refusal(config: Value) -> String {
    let folder = with_config(&config);
    let error = open(folder.path()).unwrap_err().to_string();
    error.rsplit_once("adapter_config.json: ").unwrap().1.to_owned()
}

#[test]
fn what_is_more_than_low_rank_changes_is_refused_by_name() {
    assert_eq!(refusal(json!({ "use_dora": true })), "use_dora is not supported");
    assert_eq!(refusal(json!({ "bias": "all" })), "bias is not supported");
    assert_eq!(refusal(json!({ "alpha_pattern": { "q": 1 } })), "alpha_pattern is not supported");
    let modules = json!({ "modules_to_save": ["lm_head"] });
    assert_eq!(refusal(modules), "modules_to_save is not supported");
    assert_eq!(refusal(json!({ "peft_type": "IA3" })), "IA3 adapters are not read, LORA is");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let folder = crate::testing::tiny(64, crate::testing::Kept::F32);
    let base = Weights::open(&Files::folder(folder.path()).unwrap()).unwrap();
    let error = WithAdapter::new(base, open(&fixtures().join("lora")).unwrap()).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("down_proj.weight is [32, 64], but config.json makes it [32, 48]"),
        "{message}"
    );
}
