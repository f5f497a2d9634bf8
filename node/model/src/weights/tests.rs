mod real;

use std::{collections::BTreeSet, fs, path::Path};

use tempfile::TempDir;

use super::*;
use crate::testing::{Kept, tiny};

/// The same model in both kinds of files, made by `tests/fixtures/gguf/make.py`.
fn fixture(name: &str) -> Weights {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gguf");
    Weights::open(&Files::open(&folder.join(name).display().to_string()).unwrap()).unwrap()
}

fn folder(folder: &TempDir) -> Weights {
    Weights::open(&Files::folder(folder.path()).unwrap()).unwrap()
}

/// All rows of a tensor as floats.
fn rows(of: &dyn Tensors, name: &str) -> Vec<Vec<f32>> {
    let shape = of.shape(name).unwrap();
    let count = if shape.len() == 1 { 1 } else { shape[0] };
    let row = |row| {
        let mut out = vec![0.0; *shape.last().unwrap()];
        of.row(name, row, &mut out).unwrap();
        out
    };
    (0..count).map(row).collect()
}

fn unpacked(matrix: &Matrix) -> Vec<Vec<f32>> {
    let row = |row| {
        let mut out = vec![0.0; matrix.cols()];
        matrix.row(row, &mut out);
        out
    };
    (0..matrix.rows()).map(row).collect()
}

#[test]
fn a_gguf_file_and_a_folder_are_the_same_model_under_the_same_names() {
    let (gguf, folder) = (fixture("tiny.gguf"), fixture("tiny"));
    let names = |of: &Weights| of.names().into_iter().collect::<BTreeSet<_>>();
    assert_eq!(names(&gguf), names(&folder));
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
        assert_eq!(unpacked(&matrix), rows(&gguf, &name), "{name}");
    }
}

#[test]
fn without_quantisation_every_matrix_is_of_exact_floats() {
    let gguf = fixture("tiny.gguf");
    for name in gguf.names().iter().filter(|name| gguf.shape(name).unwrap().len() == 2) {
        let matrix = gguf.matrix(name, Quant::None).unwrap();
        assert_eq!(unpacked(&matrix), rows(&gguf, name), "{name}");
    }
}

#[test]
fn a_quantisation_is_the_most_that_a_weight_takes() {
    let gguf = fixture("tiny.gguf");
    let format = |name: &str, quant| gguf.format(&format!("{name}.weight"), quant).unwrap();
    let (floats, five) = ("model.layers.0.self_attn.q_proj", "model.layers.0.self_attn.o_proj");
    let four = "model.layers.0.mlp.down_proj";
    assert_eq!(
        [floats, five, four].map(|name| format(name, Quant::Q8)),
        [Format::Q8, Format::Q8, Format::Q4Min]
    );
    assert_eq!(
        [floats, five, four].map(|name| format(name, Quant::Q4)),
        [Format::Q4, Format::Q4, Format::Q4Min]
    );
    for (quant, steps) in [(Quant::Q8, 127.0), (Quant::Q4, 8.0)] {
        let name = format!("{floats}.weight");
        let packed = unpacked(&gguf.matrix(&name, quant).unwrap());
        for (packed, exact) in packed.iter().zip(rows(&gguf, &name)) {
            let most = exact.iter().fold(0.0_f32, |most, weight| most.max(weight.abs()));
            let off = packed.iter().zip(&exact).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // A step of the greatest; the code furthest from zero may be cut off by one.
            assert!(off <= 1.01 * most / steps, "{quant}: {off} of {most}");
        }
    }
}

#[test]
fn rows_of_a_fused_tensor_are_packed_alone() {
    let gguf = fixture("tiny.gguf");
    // Turned rows too: they are those of the checkpoint.
    for name in ["model.layers.0.self_attn.q_proj.weight", "model.embed_tokens.weight"] {
        let part = gguf.rows(name, 3..7, Quant::AsIs).unwrap();
        assert_eq!(unpacked(&part), rows(&gguf, name)[3..7], "{name}");
    }
}

#[test]
fn what_is_not_there_is_named() {
    let gguf = fixture("tiny.gguf");
    let says = |error: LoadError| error.to_string().rsplit_once(": ").unwrap().1.to_owned();
    let missing = "the weights have no model.nothing";
    assert_eq!(says(gguf.matrix("model.nothing", Quant::AsIs).unwrap_err()), missing);
    assert_eq!(says(gguf.floats("model.nothing").unwrap_err()), missing);
    let name = "lm_head.weight";
    let beyond = gguf.rows(name, 7..9, Quant::AsIs).unwrap_err();
    assert_eq!(says(beyond), "lm_head.weight has 8 rows, not 7..9");
    assert_eq!(says(gguf.floats(name).unwrap_err()), "lm_head.weight is [8, 32], not a vector");
    let vector = gguf.matrix("model.norm.weight", Quant::AsIs).unwrap_err();
    assert_eq!(says(vector), "model.norm.weight is [32], not a matrix");
    let short = gguf.row(name, 0, &mut [0.0; 3]).unwrap_err();
    assert_eq!(says(short), "lm_head.weight has rows of 32, not of 3");
    assert_eq!(says(gguf.row(name, 8, &mut [0.0; 32]).unwrap_err()), "lm_head.weight has no row 8");
}

#[test]
fn every_way_to_keep_floats_in_a_folder_is_the_same_model() {
    let [f32, f16, bf16, shards] =
        [Kept::F32, Kept::F16, Kept::Bf16, Kept::Shards].map(|kept| tiny(64, kept));
    let whole = folder(&f32);
    for other in [folder(&f16), folder(&bf16), folder(&shards)] {
        assert_eq!(whole.names(), other.names());
        for name in whole.names() {
            assert_eq!(rows(&whole, &name), rows(&other, &name), "{name}");
        }
    }
}

#[test]
fn an_index_says_which_files_belong_to_the_model() {
    let shards = tiny(64, Kept::Shards);
    let all = folder(&shards).names();
    let other = tiny(64, Kept::F32);
    fs::copy(
        other.path().join("model.safetensors"),
        shards.path().join("consolidated.safetensors"),
    )
    .unwrap();
    let twice = Weights::open(&Files::folder(shards.path()).unwrap()).unwrap_err().to_string();
    assert!(twice.ends_with("is in two files"), "{twice}");
    let first = "model-00001-of-00002.safetensors";
    let map: serde_json::Map<String, serde_json::Value> = all
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let file = if at == 0 { first } else { "model-00002-of-00002.safetensors" };
            (name.clone(), file.into())
        })
        .collect();
    let write = |map: serde_json::Value| {
        let index = serde_json::json!({ "weight_map": map }).to_string();
        fs::write(shards.path().join("model.safetensors.index.json"), index).unwrap();
    };
    write(map.into());
    assert_eq!(folder(&shards).names(), all);
    write(serde_json::json!({ "x": "../other/model.safetensors" }));
    let out = Weights::open(&Files::folder(shards.path()).unwrap()).unwrap_err().to_string();
    assert!(out.contains("\"../other/model.safetensors\" is no file of this folder"), "{out}");
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
    let odd = |index: usize| if index >= 7 { Err(index) } else { Ok(index) };
    assert_eq!(in_parallel(50, odd), Err(7));
}

#[test]
fn quantisations_are_read_as_they_are_written() {
    for quant in [Quant::AsIs, Quant::None, Quant::Q8, Quant::Q4] {
        assert_eq!(quant.to_string().parse(), Ok(quant));
    }
    let error = "q5".parse::<Quant>().unwrap_err();
    assert_eq!(error, "no quantisation \"q5\": there are as-is, none, q8, q4");
}
