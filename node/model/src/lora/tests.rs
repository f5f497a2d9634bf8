use std::{fs, path::Path};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::weights::Weights;

/// Made by `tests/fixtures/lora/make.py` and `tests/fixtures/gguf/make.py`.
fn fixtures() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn weights(name: &str) -> Weights {
    let place = fixtures().join(name).display().to_string();
    Weights::open(&Files::open(&place).unwrap()).unwrap()
}

/// The fixture with other keys in its configuration.
fn with(change: &Value) -> TempDir {
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

fn rows(of: &dyn Tensors, name: &str) -> Vec<f32> {
    let shape = of.shape(name).unwrap();
    let mut floats = vec![0.0; shape.iter().product()];
    let width = *shape.last().unwrap();
    for (row, out) in floats.chunks_mut(width).enumerate() {
        of.row(name, row, out).unwrap();
    }
    floats
}

fn furthest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn a_merged_adapter_gives_the_weights_that_numpy_gives() {
    let merged = Files::folder(&fixtures().join("lora")).unwrap();
    let mut expected = BTreeMap::new();
    safetensors::add(&merged, "merged.safetensors", &mut expected).unwrap();
    assert_eq!(expected.len(), 2);
    // A folder and a GGUF file alike: their tensors have the same names and orders.
    for base in ["gguf/tiny", "gguf/tiny.gguf"] {
        let plain = weights(base);
        let adapted =
            WithAdapter::new(weights(base), open(&fixtures().join("lora")).unwrap()).unwrap();
        for name in plain.names().iter().filter(|name| plain.shape(name).unwrap().len() == 2) {
            let found = rows(&adapted, name);
            match expected.get(name) {
                Some(stored) => {
                    let [outputs, inputs] = stored.shape[..] else { panic!("no matrix") };
                    let expected = matrix(stored, outputs, inputs).unwrap();
                    assert!(furthest(&found, &expected) < 1e-6, "{name}");
                    assert!(furthest(&found, &rows(&plain, name)) > 0.1, "{name} is changed");
                }
                None => assert_eq!(found, rows(&plain, name), "{name}"),
            }
        }
    }
}

#[test]
fn changed_matrices_are_packed_with_what_was_added() {
    let adapter = || open(&fixtures().join("lora")).unwrap();
    let adapted = WithAdapter::new(weights("gguf/tiny.gguf"), adapter()).unwrap();
    let down = "model.layers.0.mlp.down_proj.weight";
    assert_eq!(adapted.format(down, Quant::AsIs).unwrap(), Format::Q8);
    assert_eq!(adapted.format(down, Quant::Q4).unwrap(), Format::Q4Min);
    let exact = rows(&adapted, down);
    let matrix = adapted.matrix(down, Quant::AsIs).unwrap();
    let mut packed = vec![0.0; exact.len()];
    for (row, out) in packed.chunks_mut(matrix.cols()).enumerate() {
        matrix.row(row, out);
    }
    let most = exact.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
    assert!(furthest(&packed, &exact) < 1.01 * most / 127.0);
    let head = adapted.matrix("lm_head.weight", Quant::AsIs).unwrap();
    assert_eq!(head.format(), Format::Q4, "what is not changed is kept as it is");
}

#[test]
fn rank_stabilised_adapters_are_scaled_by_the_root() {
    let plain = open(with(&json!({})).path()).unwrap();
    let stable = open(with(&json!({ "use_rslora": true })).path()).unwrap();
    let scales = |adapter: &Adapter| adapter.changes.values().map(|c| c.scale).collect::<Vec<_>>();
    assert_eq!(scales(&plain), [3.0, 1.5], "down_proj has rank 2, q_proj has 4");
    assert_eq!(scales(&stable), [6.0 / 2.0_f32.sqrt(), 3.0]);
}

#[test]
fn what_is_more_than_low_rank_changes_is_refused_by_name() {
    let refused = |change: Value| {
        let folder = with(&change);
        let error = open(folder.path()).unwrap_err().to_string();
        error.rsplit_once("adapter_config.json: ").unwrap().1.to_owned()
    };
    assert_eq!(refused(json!({ "use_dora": true })), "use_dora is not supported");
    assert_eq!(refused(json!({ "bias": "all" })), "bias is not supported");
    assert_eq!(refused(json!({ "alpha_pattern": { "q": 1 } })), "alpha_pattern is not supported");
    let saved = json!({ "modules_to_save": ["lm_head"] });
    assert_eq!(refused(saved), "modules_to_save is not supported");
    assert_eq!(refused(json!({ "peft_type": "IA3" })), "IA3 adapters are not read, LORA is");
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let folder = crate::testing::tiny(64, crate::testing::Kept::F32);
    let base = Weights::open(&Files::folder(folder.path()).unwrap()).unwrap();
    let error = WithAdapter::new(base, open(&fixtures().join("lora")).unwrap()).unwrap_err();
    let says = error.to_string();
    assert!(
        says.contains("down_proj.weight is [32, 64], but config.json makes it [32, 48]"),
        "{says}"
    );
}
