//! Tests on real files, if `SHOAL_MODELS` names the folder with them. Otherwise they are skipped.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;

/// A file of the folder. Prints that the test is skipped if there is none.
fn real(file: &str) -> Option<Files> {
    let folder = std::env::var_os("SHOAL_MODELS").map(PathBuf::from);
    let path = folder.map(|folder| folder.join(file)).filter(|path| path.is_file());
    if path.is_none() {
        eprintln!("skipped: no {file} in the folder SHOAL_MODELS");
    }
    Some(Files::gguf_file(&path?).unwrap())
}

/// Packs all matrices as a decoder does, checks a few rows of each, and measures.
fn assert_packs(files: &Files) {
    let weights = Weights::open(files).unwrap();
    let names = weights.names();
    let start = std::time::Instant::now();
    let packed = in_parallel(names.len(), |index| {
        if weights.shape(&names[index]).unwrap().len() == 1 {
            return weights.floats(&names[index]).map(|_| None);
        }
        weights.matrix(&names[index], Quant::AsIs).map(Some)
    });
    let packed = packed.unwrap();
    let time = start.elapsed();
    let bytes: usize = packed.iter().flatten().map(Matrix::bytes).sum();
    let peak_bytes = peak();
    for (name, matrix) in names.iter().zip(&packed) {
        let Some(matrix) = matrix else { continue };
        for row in [0, matrix.rows() / 3, matrix.rows() - 1] {
            assert_same_row(&weights, name, matrix, row);
        }
    }
    eprintln!(
        "{}: {} bytes packed in {time:.2?}, {peak_bytes:?} bytes at most",
        files.name(),
        bytes
    );
    // The program and the file's vocabulary take memory that does not grow with the weights.
    if let Some(peak_bytes) = peak_bytes {
        assert!(
            peak_bytes <= bytes + bytes * 3 / 10 + (48 << 20),
            "{peak_bytes} bytes for {bytes} of weights"
        );
    }
}

/// A packed row equals the file's row, bit by bit.
fn assert_same_row(weights: &Weights, name: &str, matrix: &Matrix, row: usize) {
    let (mut exact, mut packed) = (vec![0.0; matrix.cols()], vec![0.0; matrix.cols()]);
    weights.row(name, row, &mut exact).unwrap();
    matrix.row(row, &mut packed).unwrap();
    assert!(exact == packed, "{name} row {row} as {:?}", matrix.format());
}

/// The peak memory of this process, if the system reports it.
fn peak() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024)
}

/// The configuration holds these values of Hugging Face's own `config.json` of the model.
fn assert_config(files: &Files, values: Value) {
    let config = files.gguf().unwrap().config().unwrap();
    for (key, value) in values.as_object().unwrap() {
        assert_eq!(config.get(key), Some(value), "{key}");
    }
}

#[test]
fn smollm2_is_read_as_it_is() {
    let Some(files) = real("SmolLM2-135M-Instruct.Q4_1.gguf") else { return };
    assert_config(
        &files,
        json!({
            "model_type": "llama", "hidden_size": 576, "intermediate_size": 1536, "head_dim": 64,
            "num_hidden_layers": 30, "num_attention_heads": 9, "num_key_value_heads": 3,
            "vocab_size": 49152, "max_position_embeddings": 8192, "rms_norm_eps": 1e-5,
            "rope_theta": 100_000.0, "tie_word_embeddings": true, "attention_bias": false,
            "hidden_act": "silu",
        }),
    );
    assert_packs(&files);
}

#[test]
fn gemma_3_is_read_as_it_is() {
    let Some(files) = real("gemma-3-270m.Q4_K_M.gguf") else { return };
    assert_config(
        &files,
        json!({
            "model_type": "gemma3_text", "hidden_size": 640, "intermediate_size": 2048, "head_dim": 256,
            "num_hidden_layers": 18, "num_attention_heads": 4, "num_key_value_heads": 1,
            "vocab_size": 262_144, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
            "rope_theta": 1e6, "rope_local_base_freq": 1e4, "sliding_window": 512,
            "sliding_window_pattern": 6, "query_pre_attn_scalar": 256, "tie_word_embeddings": true,
            "hidden_activation": "gelu_pytorch_tanh",
        }),
    );
    assert_packs(&files);
}

#[test]
fn qwen_2_5_is_read_as_it_is() {
    let Some(files) = real("qwen2.5-coder-1.5b-instruct.Q4_K_M.gguf") else { return };
    assert_config(
        &files,
        json!({
            "model_type": "qwen2", "hidden_size": 1536, "intermediate_size": 8960, "head_dim": 128,
            "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
            "vocab_size": 151_936, "max_position_embeddings": 32768, "rms_norm_eps": 1e-6,
            // The checkpoint ties its head to the embedding; the file has both, rounded differently.
            "rope_theta": 1e6, "tie_word_embeddings": false, "use_sliding_window": false,
        }),
    );
    assert_packs(&files);
}

#[test]
fn stories260k_is_the_llama2_c_model_of_the_same_name() {
    let default_root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared_root = std::env::var_os("SHOAL_SHARED").map_or(default_root, PathBuf::from);
    let folder = shared_root.join("data/weights");
    let (Ok(bin), Ok(files)) = (
        fs::read(folder.join("stories260K.bin")),
        Files::gguf_file(&folder.join("stories260K.gguf")),
    ) else {
        eprintln!("skipped: no stories260K in {}", folder.display());
        return;
    };
    let weights = Weights::open(&files).unwrap();
    // The file of llama2.c has seven numbers and then the tensors of all layers, the embedding first. Its
    // queries and keys are rotated in pairs, as in llama.cpp.
    let (floats, _) = bin[28..].as_chunks::<4>();
    let floats: Vec<f32> = floats.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let embedding = rows(&weights, "model.embed_tokens.weight").concat();
    assert_eq!(embedding, floats[..embedding.len()]);
    let norms = 512 * 64;
    let norm = weights.floats("model.layers.4.input_layernorm.weight").unwrap();
    assert_eq!(norm, floats[norms + 4 * 64..][..norm.len()]);
    let queries = norms + 5 * 64;
    let query = rows(&weights, "model.layers.0.self_attn.q_proj.weight");
    for (row, weights) in query.iter().enumerate() {
        // Heads of 8: row 4 + i of the checkpoint is row 2 i + 1 of the file.
        let file = row / 8 * 8 + row % 4 * 2 + row % 8 / 4;
        let start = queries + file * 64;
        assert_eq!(*weights, floats[start..start + weights.len()], "row {row}");
    }
}
