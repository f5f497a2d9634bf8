//! Model folders made on the spot: tiny, random, and whole.

use std::{collections::BTreeMap, fs, path::Path};

use half::{bf16, f16};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use safetensors::{Dtype, tensor::TensorView};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// Letters that the tiny model knows; three marks follow.
pub const LETTERS: &str = "abcdefghijklmno";
const WIDTH: usize = 32;
const INNER: usize = 48;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const LAYERS: usize = 2;

/// How the weights are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    F32,
    F16,
    Bf16,
    /// f32 in two files.
    Shards,
}

/// A whole folder of a random model with this context.
pub fn tiny(context: usize, kept: Kept) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    put(&folder, "config.json", &config(context));
    put(&folder, "tokenizer.json", &tokenizer(LETTERS.chars()));
    put(&folder, "tokenizer_config.json", &words());
    weights(&folder, kept, &tensors());
    folder
}

pub fn put(folder: &TempDir, name: &str, value: &Value) {
    fs::write(folder.path().join(name), value.to_string()).unwrap();
}

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

pub fn words() -> Value {
    json!({
        "bos_token": "<bos>",
        "eos_token": { "content": "<eos>" },
        "chat_template": "{{ bos_token }}{{ messages[-1].content }}<sep>",
    })
}

/// A byte-level BPE without merges over `letters` (GPT-2's stand-ins for bytes), and three marks.
pub fn tokenizer(letters: impl Iterator<Item = char>) -> Value {
    let vocab: Map<String, Value> =
        letters.enumerate().map(|(id, letter)| (letter.to_string(), json!(id))).collect();
    let mark = |(index, content): (usize, &str)| {
        json!({
            "id": vocab.len() + index, "content": content, "special": true, "normalized": false,
            "single_word": false, "lstrip": false, "rstrip": false,
        })
    };
    let marks: Vec<Value> = ["<bos>", "<eos>", "<sep>"].into_iter().enumerate().map(mark).collect();
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

/// Random weights that f16 and bf16 hold exactly, so that every way to keep them is the same model.
pub fn tensors() -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let (head, vocab) = (WIDTH / HEADS, LETTERS.len() + 3);
    let mut shapes = BTreeMap::new();
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.insert(format!("model.layers.{layer}.{name}.weight"), shape.to_vec());
        };
        add("self_attn.q_proj", &[HEADS * head, WIDTH]);
        add("self_attn.k_proj", &[KV_HEADS * head, WIDTH]);
        add("self_attn.v_proj", &[KV_HEADS * head, WIDTH]);
        add("self_attn.o_proj", &[WIDTH, HEADS * head]);
        add("mlp.gate_proj", &[INNER, WIDTH]);
        add("mlp.up_proj", &[INNER, WIDTH]);
        add("mlp.down_proj", &[WIDTH, INNER]);
        add("input_layernorm", &[WIDTH]);
        add("post_attention_layernorm", &[WIDTH]);
    }
    shapes.insert("model.embed_tokens.weight".to_owned(), vec![vocab, WIDTH]);
    shapes.insert("model.norm.weight".to_owned(), vec![WIDTH]);
    shapes.insert("lm_head.weight".to_owned(), vec![vocab, WIDTH]);
    let mut chance = ChaCha8Rng::seed_from_u64(3);
    // Sixty-fourths up to a half: few enough bits for either half type.
    let mut weight = move || f32::from(chance.random_range(-32i8..=32)) / 64.0;
    let filled = shapes.into_iter().map(|(name, shape)| {
        let floats = (0..shape.iter().product()).map(|_| weight()).collect();
        (name, (shape, floats))
    });
    filled.collect()
}

pub fn weights(folder: &TempDir, kept: Kept, tensors: &BTreeMap<String, (Vec<usize>, Vec<f32>)>) {
    let stored: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, (shape, floats))| {
            let (dtype, bytes) = bytes(kept, floats);
            (name.clone(), dtype, shape.clone(), bytes)
        })
        .collect();
    let write = |name: &str, part: &[(String, Dtype, Vec<usize>, Vec<u8>)]| {
        let views = part.iter().map(|(name, dtype, shape, bytes)| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        let path: &Path = folder.path();
        fs::write(path.join(name), safetensors::serialize(views, None).unwrap()).unwrap();
    };
    if kept == Kept::Shards {
        let (first, second) = stored.split_at(stored.len() / 2);
        write("model-00001-of-00002.safetensors", first);
        write("model-00002-of-00002.safetensors", second);
    } else {
        write("model.safetensors", &stored);
    }
}

fn bytes(kept: Kept, floats: &[f32]) -> (Dtype, Vec<u8>) {
    match kept {
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
