use proptest::prelude::*;
use serde_json::json;

pub(crate) mod builder;

use self::builder::GgufBuilder;
use super::*;
use crate::weights::tensors_of;

/// Written by `tests/fixtures/gguf/make.py` with the gguf package.
const TINY: &[u8] = include_bytes!("../../tests/fixtures/gguf/tiny.gguf");

fn parse(bytes: &[u8]) -> Result<Gguf, LoadError> {
    Gguf::parse("m.gguf".to_owned(), Bytes::Memory(bytes.into()))
}

fn complaint(bytes: &[u8]) -> String {
    let error = parse(bytes).unwrap_err().to_string();
    assert!(!error.contains('\n'), "one line: {error}");
    error
}

/// A model of this architecture with the keys that every architecture needs.
pub(super) fn model(arch: &str) -> GgufBuilder {
    GgufBuilder::default()
        .text("general.architecture", arch)
        .size(&format!("{arch}.embedding_length"), 16)
        .size(&format!("{arch}.block_count"), 2)
        .size(&format!("{arch}.attention.head_count"), 4)
        .size(&format!("{arch}.attention.head_count_kv"), 2)
        .size(&format!("{arch}.feed_forward_length"), 24)
        .size(&format!("{arch}.context_length"), 128)
        .pair(&format!("{arch}.attention.layer_norm_rms_epsilon"), Value::Float(1e-5))
        .floats("token_embd.weight", &[8, 16], &[0.5; 128])
}

fn config(file: &GgufBuilder) -> serde_json::Value {
    parse(&file.bytes()).unwrap().config().unwrap()
}

fn keys(gguf: &Gguf) -> Vec<String> {
    gguf.metadata().keys().map(str::to_owned).collect()
}

fn with_version(version: u32) -> Vec<u8> {
    GgufBuilder { version: Some(version), ..model("llama") }.bytes()
}

/// A file that promises these numbers of tensors and pairs, and has none.
fn with_counts(tensors: u64, pairs: u64) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(tensors.to_le_bytes());
    bytes.extend(pairs.to_le_bytes());
    bytes
}

#[test]
fn what_the_gguf_package_writes_is_read() {
    let gguf = parse(TINY).unwrap();
    let metadata = gguf.metadata();
    assert_eq!(gguf.architecture(), "llama");
    assert_eq!(metadata.text("general.name"), Some("Tiny"));
    assert_eq!(metadata.unsigned("llama.embedding_length"), Some(32));
    assert_eq!(metadata.float("llama.rope.freq_base"), Some(500_000.0));
    assert_eq!(metadata.flag("tokenizer.ggml.add_bos_token"), Some(true));
    let tokens = metadata.texts("tokenizer.ggml.tokens").unwrap();
    let vocabulary = ["a", "b", "\u{120}", "\u{e4}", "<0x41>", "<s>", "</s>", "abc"];
    assert!(tokens.iter().eq(vocabulary));
    let kinds = metadata.integers("tokenizer.ggml.token_type").unwrap();
    assert_eq!(kinds, [1, 1, 1, 1, 1, 3, 3, 1]);
    let scores = metadata.floats("tokenizer.ggml.scores").unwrap();
    assert_eq!(scores.last(), Some(&-3.5));
    assert_eq!(metadata.unsigned("general.name"), None, "a text is no number");
    assert_eq!(metadata.text("no.such.key"), None);
    let down = gguf.tensor("blk.0.ffn_down.weight").unwrap();
    assert_eq!((down.shape.as_slice(), down.kind), ([32, 64].as_slice(), Kind::Q4_1));
}

#[test]
fn a_vocabulary_can_be_forgotten_and_nothing_else_is() {
    let mut gguf = parse(TINY).unwrap();
    let before = keys(&gguf);
    gguf.forget_vocabulary();
    let after = keys(&gguf);
    let difference: Vec<_> = before.iter().filter(|key| !after.contains(key)).collect();
    let lists = ["scores", "token_type", "tokens"];
    assert_eq!(difference, lists.map(|list| format!("tokenizer.ggml.{list}")).each_ref());
    assert!(gguf.config().is_ok(), "the shape needs none of it");
}

#[test]
fn what_is_no_whole_gguf_file_is_refused_with_what_is_wrong() {
    assert_eq!(
        complaint(b"PK\x03\x04 a zip"),
        "m.gguf: not a GGUF file: it does not begin with GGUF"
    );
    assert!(complaint(b"GG").starts_with("m.gguf: cut off: "));
    assert!(parse(&with_version(2)).is_ok());
    assert!(complaint(&with_version(1)).contains("version 1, which nobody writes"));
    assert!(complaint(&with_version(4)).contains("version 4: versions 2 and 3 are read"));
    assert!(complaint(&with_version(3 << 24)).contains("for big-endian machines"));
    let half = &TINY[..TINY.len() / 2];
    assert!(
        complaint(half).contains(".weight: cut off or corrupt: a tensor of ["),
        "{}",
        complaint(half)
    );
    let parts = model("llama").size("split.count", 3);
    assert!(complaint(&parts.bytes()).contains("one of 3 parts"));
}

#[test]
fn no_claimed_size_is_believed() {
    assert!(complaint(&with_counts(0, u64::MAX)).contains(" keys do not fit"));
    assert!(complaint(&with_counts(u64::MAX, 0)).contains(" tensors do not fit"));
    let mut wide = GgufBuilder::default();
    wide.tensors.push(("w".to_owned(), vec![1 << 40, 1 << 40], 0, vec![0; 64]));
    assert!(complaint(&wide.bytes()).contains("w: cut off or corrupt"));
    wide.tensors = vec![("w".to_owned(), vec![33], 8, vec![0; 64])];
    assert!(complaint(&wide.bytes()).contains("w: Q8_0 keeps 32 weights together, rows have 33"));
    wide.tensors = vec![("w".to_owned(), vec![32], 20, vec![0; 64])];
    assert!(complaint(&wide.bytes()).contains("w: weights as IQ4_NL are not read"));
    wide.tensors = vec![("w".to_owned(), vec![1; 5], 0, vec![0; 64])];
    assert!(complaint(&wide.bytes()).contains("w: 5 dimensions"));
}

#[test]
fn nothing_is_there_twice() {
    let twice = model("llama").size("llama.block_count", 2);
    assert_eq!(complaint(&twice.bytes()), "m.gguf: llama.block_count is there twice");
    let twice = model("llama").floats("token_embd.weight", &[1], &[0.0]);
    assert_eq!(complaint(&twice.bytes()), "m.gguf: token_embd.weight is there twice");
}

proptest! {
    #[test]
    fn no_corrupt_file_makes_it_panic_or_read_past_the_end(
        flips in prop::collection::vec((0..TINY.len(), any::<u8>()), 0..6),
        keep in 0..=TINY.len(),
    ) {
        let mut bytes = TINY.to_vec();
        for (index, byte) in flips {
            bytes[index] = byte;
        }
        bytes.truncate(keep);
        if let Ok(gguf) = parse(&bytes) {
            for (name, entry) in gguf.tensors() {
                prop_assert!(entry.start + entry.len <= bytes.len(), "{name}");
            }
            let _ = gguf.config();
            if let Ok(tensors) = tensors_of(&gguf) {
                for (name, tensor) in tensors {
                    let rows = tensor.shape.first().copied().unwrap_or_default();
                    let cols = tensor.shape.last().copied().unwrap_or_default();
                    if rows * cols < 1 << 16 {
                        let mut out = vec![0.0; cols];
                        prop_assert!(rows == 0 || tensor.row(0, &mut out).is_ok(), "{name}");
                        prop_assert!(tensor.row(rows, &mut out).is_err() || tensor.shape.len() == 1);
                    }
                }
            }
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused(keep in 0..TINY.len()) {
        // Only the padding after the last tensor may be missing.
        let gguf = parse(TINY).unwrap();
        let end = gguf.tensors().map(|(_, entry)| entry.start + entry.len).max().unwrap();
        prop_assert_eq!(parse(&TINY[..keep]).is_err(), keep < end);
    }
}

#[test]
fn a_llama_becomes_its_config_json() {
    let gguf = parse(TINY).unwrap();
    let reference = json!({
        "model_type": "llama", "hidden_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8,
        "intermediate_size": 64, "vocab_size": 8, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 500_000.0, "hidden_act": "silu",
        "tie_word_embeddings": false, "attention_bias": true, "mlp_bias": false,
        "bos_token_id": 5, "eos_token_id": 6,
    });
    assert_eq!(gguf.config().unwrap(), reference);
}

#[test]
fn factors_of_rotary_positions_become_longrope() {
    let file = model("llama").floats("rope_freqs.weight", &[2], &[1.0, 8.0]);
    let scaling = json!({
        "rope_type": "longrope", "long_factor": [1.0, 8.0], "short_factor": [1.0, 8.0],
        "attention_factor": 1.0,
    });
    assert_eq!(config(&file)["rope_scaling"], scaling);

    let file = model("phi3")
        .floats("rope_factors_long.weight", &[2], &[2.0, 4.0])
        .floats("rope_factors_short.weight", &[2], &[1.0, 1.5])
        .size("phi3.rope.scaling.original_context_length", 64)
        .size("phi3.rope.dimension_count", 3)
        .pair("phi3.rope.scaling.attn_factor", Value::Float(1.25));
    let config_json = config(&file);
    let scaling = json!({
        "rope_type": "longrope", "long_factor": [2.0, 4.0], "short_factor": [1.0, 1.5],
        "attention_factor": 1.25,
    });
    assert_eq!(config_json["rope_scaling"], scaling);
    assert_eq!(config_json["original_max_position_embeddings"], 64);
    assert_eq!(config_json["partial_rotary_factor"], 0.75);
}

fn rope_scaling(kind: &str) -> Result<serde_json::Value, LoadError> {
    let file = model("qwen2")
        .text("qwen2.rope.scaling.type", kind)
        .pair("qwen2.rope.scaling.factor", Value::Float(4.0))
        .size("qwen2.rope.scaling.original_context_length", 32);
    parse(&file.bytes()).unwrap().config().map(|config| config["rope_scaling"].clone())
}

#[test]
fn stretched_positions_keep_their_kind() {
    assert_eq!(rope_scaling("none").unwrap(), json!(null));
    assert_eq!(rope_scaling("linear").unwrap(), json!({ "rope_type": "linear", "factor": 4.0 }));
    let yarn = rope_scaling("yarn").unwrap();
    assert_eq!(
        (&yarn["factor"], &yarn["original_max_position_embeddings"]),
        (&json!(4.0), &json!(32))
    );
    assert!(rope_scaling("ntk").unwrap_err().to_string().contains("ntk scaling"));
}

#[test]
fn what_llama_cpp_knows_by_a_familys_name_is_said() {
    let mistral = config(&model("llama").size("llama.attention.sliding_window", 32));
    assert_eq!(
        (&mistral["model_type"], &mistral["sliding_window"]),
        (&json!("mistral"), &json!(32))
    );

    let gemma = config(
        &model("gemma3")
            .size("gemma3.attention.sliding_window", 32)
            .size("gemma3.attention.key_length", 8),
    );
    assert_eq!(gemma["model_type"], "gemma3_text");
    assert_eq!(gemma["hidden_activation"], "gelu_pytorch_tanh");
    assert_eq!(gemma["query_pre_attn_scalar"], 8);
    assert_eq!((&gemma["head_dim"], &gemma["sliding_window_pattern"]), (&json!(8), &json!(6)));
    assert_eq!(gemma["rope_local_base_freq"], 10_000.0);
    assert_eq!(gemma["tie_word_embeddings"], true);

    let caps = model("gemma2")
        .pair("gemma2.attn_logit_softcapping", Value::Float(50.0))
        .pair("gemma2.final_logit_softcapping", Value::Float(30.0));
    let caps = config(&caps);
    assert_eq!(caps["attn_logit_softcapping"], 50.0);
    assert_eq!(caps["final_logit_softcapping"], 30.0);
    assert_eq!(config(&model("smollm3"))["no_rope_layer_interval"], 4);
}

#[test]
fn an_unknown_architecture_is_named_with_those_that_run() {
    let gguf = parse(&model("mamba").bytes()).unwrap();
    let error = gguf.config().unwrap_err().to_string();
    assert_eq!(
        error,
        "m.gguf: \"mamba\" models do not run here; these do: llama, smollm3, qwen2, qwen3, gemma2, \
         gemma3, phi3"
    );
    assert_eq!(tensors_of(&gguf).unwrap_err().to_string(), error);
}

#[test]
fn a_missing_key_is_named() {
    let mut file = model("llama");
    file.pairs.retain(|(key, _)| key != "llama.block_count");
    let error = parse(&file.bytes()).unwrap().config().unwrap_err().to_string();
    assert_eq!(error, "m.gguf: its metadata has no llama.block_count");
}
