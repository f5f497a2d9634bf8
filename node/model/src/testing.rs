//! Tiny random model folders, for tests.

use std::{collections::BTreeMap, fs, path::Path};

use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// The letters of the tiny vocabulary. Three control tokens follow.
pub const LETTERS: &str = "abcdefghijklmno";
const WIDTH: usize = 32;
const INNER: usize = 48;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;

/// The format of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// One file of f32.
    F32,
    /// One file of f16.
    F16,
    /// One file of bf16.
    Bf16,
    /// Two files of f32.
    Shards,
}

/// A complete folder of a random model with this context.
pub fn tiny(context: usize, format: Kept) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "config.json", &config(context));
    put(&folder, "tokenizer.json", &tokenizer(LETTERS.chars()));
    put(&folder, "tokenizer_config.json", &words());
    weights(&folder, format, &tensors());
    folder
}

/// Writes a JSON file.
pub fn put(folder: &TempDir, name: &str, value: &Value) {
    fs::write(folder.path().join(name), value.to_string()).unwrap();
}

/// `config.json` of the tiny model.
pub fn config(context: usize) -> Value {
    json!({
        "model_type": "llama",
        "hidden_size": WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "intermediate_size": INNER,
        "vocab_size": LETTERS.len() + 3,
        "max_position_embeddings": context,
        "tie_word_embeddings": false,
    })
}

/// `tokenizer_config.json` of the tiny model.
pub fn words() -> Value {
    json!({
        "bos_token": "<bos>",
        "eos_token": { "content": "<eos>" },
        "chat_template": "{{ bos_token }}{{ messages[-1].content }}<sep>",
    })
}

/// `tokenizer.json` of a byte-level BPE without merges over `letters` (GPT-2's letters for bytes), and three
/// control tokens.
pub fn tokenizer(letters: impl Iterator<Item = char>) -> Value {
    let vocab: Map<String, Value> =
        letters.enumerate().map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    let marks: Vec<Value> = ["<bos>", "<eos>", "<sep>"]
        .into_iter()
        .enumerate()
        .map(|(index, content)| {
            json!({
                "id": vocab.len() + index, "content": content, "special": true,
                "normalized": false, "single_word": false, "lstrip": false, "rstrip": false,
            })
        })
        .collect();
    let byte_level = json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false,
    });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": marks,
        "normalizer": null, "pre_tokenizer": byte_level, "post_processor": null,
        "decoder": byte_level,
        "model": { "type": "BPE", "vocab": vocab, "merges": [], "unk_token": null },
    })
}

/// Random weights that f16 and bf16 hold exactly, so that the model is the same in every format.
pub fn tensors() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let (head, vocab) = (WIDTH / HEADS, LETTERS.len() + 3);
    let mut shapes = BTreeMap::new();
    for layer in 0..LAYERS {
        shapes.extend(
            [
                ("self_attn.q_proj", vec![HEADS * head, WIDTH]),
                ("self_attn.k_proj", vec![KV_HEADS * head, WIDTH]),
                ("self_attn.v_proj", vec![KV_HEADS * head, WIDTH]),
                ("self_attn.o_proj", vec![WIDTH, HEADS * head]),
                ("mlp.gate_proj", vec![INNER, WIDTH]),
                ("mlp.up_proj", vec![INNER, WIDTH]),
                ("mlp.down_proj", vec![WIDTH, INNER]),
                ("input_layernorm", vec![WIDTH]),
                ("post_attention_layernorm", vec![WIDTH]),
            ]
            .map(|(name, shape)| (format!("model.layers.{layer}.{name}.weight"), shape)),
        );
    }
    shapes.insert("model.embed_tokens.weight".to_owned(), vec![vocab, WIDTH]);
    shapes.insert("model.norm.weight".to_owned(), vec![WIDTH]);
    shapes.insert("lm_head.weight".to_owned(), vec![vocab, WIDTH]);
    let mut chance = ChaCha8Rng::seed_from_u64(3);
    // Sixty-fourths up to a half: few enough bits for either 16-bit type.
    shapes
        .into_iter()
        .map(|(name, shape)| {
            let floats = (0..shape.iter().product())
                .map(|_| f32::from(chance.random_range(-32i8..=32)) / 64.0)
                .collect();
            (name, (shape, floats))
        })
        .collect()
}

/// Writes the weight files.
pub fn weights(folder: &TempDir, format: Kept, tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) {
    let tensors: Vec<FileEntry> = tensors
        .iter()
        .map(|(name, (shape, floats))| {
            let (dtype, bytes) = bytes(format, floats);
            (name.clone(), dtype, shape.clone(), bytes)
        })
        .collect();
    if format == Kept::Shards {
        let (first, second) = tensors.split_at(tensors.len() / 2);
        write(&folder.path().join("model-00001-of-00002.safetensors"), first);
        write(&folder.path().join("model-00002-of-00002.safetensors"), second);
    } else {
        write(&folder.path().join("model.safetensors"), &tensors);
    }
}

/// Name, type, shape and bytes of a tensor.
type FileEntry = (String, Dtype, Vec<usize>, Vec<u8>);

fn write(path: &Path, tensors: &[FileEntry]) {
    let views = tensors.iter().map(|(name, dtype, shape, bytes)| {
        (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
}

fn bytes(format: Kept, floats: &[f32]) -> (Dtype, Vec<u8>) {
    match format {
        Kept::F32 | Kept::Shards => {
            (Dtype::F32, floats.iter().flat_map(|x| x.to_le_bytes()).collect())
        }
        Kept::F16 => {
            (Dtype::F16, floats.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect())
        }
        Kept::Bf16 => {
            (Dtype::BF16, floats.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect())
        }
    }
}
