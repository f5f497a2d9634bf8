mod real;

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::testing::{Kept, tiny};

/// The same model as a GGUF file and as a folder, from `tests/fixtures/gguf/make.py`.
fn fixture(name: &str) -> Weights {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    Weights::open(&Files::open(&folder.join(name).display().to_string()).unwrap()).unwrap()
}

fn folder(folder: &TempDir) -> Weights {
    Weights::open(&Files::folder(folder.path()).unwrap()).unwrap()
}

/// All rows of a tensor as floats.
fn rows(tensors: &dyn Tensors, name: &str) -> Vec<Vec<f32>> {
    let shape = tensors.shape(name).unwrap();
    let count = if shape.len() == 1 { 1 } else { shape[0] };
    (0..count)
        .map(|row| {
            let mut out = vec![0.0; *shape.last().unwrap()];
            tensors.row(name, row, &mut out).unwrap();
            out
        })
        .collect()
}

/// All rows of a packed matrix as floats.
fn unpack(matrix: &Matrix) -> Vec<Vec<f32>> {
    (0..matrix.rows())
        .map(|row| {
            let mut out = vec![0.0; matrix.cols()];
            matrix.row(row, &mut out).unwrap();
            out
        })
        .collect()
}

#[test]
fn a_gguf_file_and_a_folder_are_the_same_model_under_the_same_names() {
    let (gguf, folder) = (fixture("tiny.gguf"), fixture("tiny"));
    let gguf_names: BTreeSet<String> = gguf.names().into_iter().collect();
    assert_eq!(gguf_names, folder.names().into_iter().collect::<BTreeSet<_>>());
    for name in gguf.names() {
        assert_eq!(gguf.shape(&name), folder.shape(&name), "{name}");
        assert_eq!(rows(&gguf, &name), rows(&folder, &name), "{name}");
    }
}

#[test]
fn packed_as_they_are_weights_of_a_file_lose_nothing() {
    let gguf = fixture("tiny.gguf");
    let formats = [
        ("model.embed_tokens", Format::Q8),
        ("lm_head", Format::Q4),
        ("model.layers.0.self_attn.q_proj", Format::F32),
        ("model.layers.0.self_attn.k_proj", Format::Q8),
        ("model.layers.0.self_attn.v_proj", Format::Bf16),
        ("model.layers.0.self_attn.o_proj", Format::Q8),
        ("model.layers.0.mlp.gate_proj", Format::F16),
        ("model.layers.0.mlp.down_proj", Format::Q4Min),
    ];
    for (name, format) in formats {
        let name = format!("{name}.weight");
        let matrix = gguf.matrix(&name, Quant::AsIs).unwrap();
        assert_eq!(matrix.format(), format, "{name}");
        assert_eq!(gguf.format(&name, Quant::AsIs).unwrap(), format, "{name}");
        assert_eq!(unpack(&matrix), rows(&gguf, &name), "{name}");
    }
}

#[test]
fn without_quantisation_every_matrix_is_of_exact_floats() {
    let gguf = fixture("tiny.gguf");
    for name in gguf.names().iter().filter(|name| gguf.shape(name).unwrap().len() == 2) {
        let matrix = gguf.matrix(name, Quant::None).unwrap();
        assert_eq!(unpack(&matrix), rows(&gguf, name), "{name}");
    }
}

#[test]
fn a_quantisation_is_the_most_that_a_weight_takes() {
    let gguf = fixture("tiny.gguf");
    let [floats, five, four] = [
        "model.layers.0.self_attn.q_proj.weight",
        "model.layers.0.self_attn.o_proj.weight",
        "model.layers.0.mlp.down_proj.weight",
    ];
    assert_eq!(
        [floats, five, four].map(|name| gguf.format(name, Quant::Q8).unwrap()),
        [Format::Q8, Format::Q8, Format::Q4Min]
    );
    assert_eq!(
        [floats, five, four].map(|name| gguf.format(name, Quant::Q4).unwrap()),
        [Format::Q4, Format::Q4, Format::Q4Min]
    );
    for (quant, steps) in [(Quant::Q8, 127.0), (Quant::Q4, 8.0)] {
        let packed = unpack(&gguf.matrix(floats, quant).unwrap());
        for (packed, exact) in packed.iter().zip(rows(&gguf, floats)) {
            let largest = exact.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
            let error = packed.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // One step of the largest weight. The code furthest from zero may be clipped by one step.
            assert!(error <= 1.01 * largest / steps, "{quant}: {error} of {largest}");
        }
    }
}

#[test]
fn rows_of_a_fused_tensor_are_packed_alone() {
    let gguf = fixture("tiny.gguf");
    // Rows in another order too: the result has the checkpoint's order.
    for name in ["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"] {
        let part = gguf.rows(name, 3..7, Quant::AsIs).unwrap();
        assert_eq!(unpack(&part), rows(&gguf, name)[3..7], "{name}");
    }
}

/// The part of a message that follows the file.
fn reason(error: LoadError) -> String {
    error.to_string().rsplit_once(": ").unwrap().1.to_owned()
}

#[test]
fn what_is_not_there_is_named() {
    let gguf = fixture("tiny.gguf");
    let no_tensor = "the weights have no model.nothing";
    assert_eq!(reason(gguf.matrix("model.nothing", Quant::AsIs).unwrap_err()), no_tensor);
    assert_eq!(reason(gguf.floats("model.nothing").unwrap_err()), no_tensor);
    let name = "lm_head.weight";
    let beyond = gguf.rows(name, 7..9, Quant::AsIs).unwrap_err();
    assert_eq!(reason(beyond), "lm_head.weight has 8 rows, not 7..9");
    assert_eq!(reason(gguf.floats(name).unwrap_err()), "lm_head.weight is [8, 32], not a vector");
    let vector = gguf.matrix("model.norm.weight", Quant::AsIs).unwrap_err();
    assert_eq!(reason(vector), "model.norm.weight is [32], not a matrix");
    let short = gguf.row(name, 0, &mut [0.0; 3]).unwrap_err();
    assert_eq!(reason(short), "lm_head.weight has rows of 32, not of 3");
    assert_eq!(
        reason(gguf.row(name, 8, &mut [0.0; 32]).unwrap_err()),
        "lm_head.weight has no row 8"
    );
}

#[test]
fn every_way_to_keep_floats_in_a_folder_is_the_same_model() {
    let [f32, f16, bf16, shards] =
        [Kept::F32, Kept::F16, Kept::Bf16, Kept::Shards].map(|format| tiny(64, format));
    let whole = folder(&f32);
    for variant in [folder(&f16), folder(&bf16), folder(&shards)] {
        assert_eq!(whole.names(), variant.names());
        for name in whole.names() {
            assert_eq!(rows(&whole, &name), rows(&variant, &name), "{name}");
        }
    }
}

fn write_index(folder: &TempDir, map: &serde_json::Value) {
    let index = serde_json::json!({ "weight_map": map }).to_string();
    fs::write(folder.path().join("model.safetensors.index.json"), index).unwrap();
}

#[test]
fn an_index_says_which_files_belong_to_the_model() {
    let shards = tiny(64, Kept::Shards);
    let names = folder(&shards).names();
    let stray = tiny(64, Kept::F32);
    fs::copy(
        stray.path().join("model.safetensors"),
        shards.path().join("consolidated.safetensors"),
    )
    .unwrap();
    let twice = Weights::open(&Files::folder(shards.path()).unwrap()).unwrap_err().to_string();
    assert!(twice.ends_with("is in two files"), "{twice}");
    let first = "model-00001-of-00002.safetensors";
    let map: serde_json::Map<String, serde_json::Value> = names
        .iter()
        .enumerate()
        .map(|(index, name)| {
            let file = if index == 0 { first } else { "model-00002-of-00002.safetensors" };
            (name.clone(), file.into())
        })
        .collect();
    write_index(&shards, &map.into());
    assert_eq!(folder(&shards).names(), names);
    write_index(&shards, &serde_json::json!({ "x": "../other/model.safetensors" }));
    let outside = Weights::open(&Files::folder(shards.path()).unwrap()).unwrap_err().to_string();
    assert!(
        outside.contains("\"../other/model.safetensors\" is no file of this folder"),
        "{outside}"
    );
}

#[test]
fn a_file_that_is_cut_off_is_named() {
    let shards = tiny(64, Kept::Shards);
    let path = shards.path().join("model-00002-of-00002.safetensors");
    let bytes = fs::read(&path).unwrap();
    for keep in [0, 5, bytes.len() / 2, bytes.len() - 1] {
        fs::write(&path, &bytes[..keep]).unwrap();
        let error = Weights::open(&Files::folder(shards.path()).unwrap()).unwrap_err().to_string();
        assert!(error.contains("/model-00002-of-00002.safetensors: "), "{error}");
    }
}

#[test]
fn work_in_parallel_keeps_its_order_and_its_first_error() {
    let squares = in_parallel(50, |index| Ok::<_, usize>(index * index)).unwrap();
    assert_eq!(squares, (0..50).map(|index| index * index).collect::<Vec<_>>());
    assert_eq!(in_parallel(0, Ok::<_, usize>), Ok(vec![]));
    let result = in_parallel(50, |index| if index >= 7 { Err(index) } else { Ok(index) });
    assert_eq!(result, Err(7));
}

#[test]
fn quantisations_are_read_as_they_are_written() {
    for quant in [Quant::AsIs, Quant::None, Quant::Q8, Quant::Q4] {
        assert_eq!(quant.to_string().parse(), Ok(quant));
    }
    let error = "q5".parse::<Quant>().unwrap_err();
    assert_eq!(error, "no quantisation \"q5\": there are as-is, none, q8, q4");
}
