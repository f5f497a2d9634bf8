use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{rotary::Scaling, *};

/// A whole configuration of this kind, with these keys changed.
fn config(kind: &str, changes: &Value) -> Value {
    let mut config = json!({
        "model_type": kind, "hidden_size": 64, "num_hidden_layers": 12, "num_attention_heads": 4,
        "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": 100,
        "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10_000.0,
    });
    for (key, value) in changes.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

fn read(kind: &str, changes: &Value) -> Shape {
    Shape::read(&config(kind, changes), None).unwrap()
}

fn refusal(kind: &str, changes: &Value) -> String {
    Shape::read(&config(kind, changes), None).unwrap_err().to_string()
}

fn ropes(shape: &Shape) -> Vec<Option<usize>> {
    shape.layers.iter().map(|layer| layer.rope).collect()
}

fn windows(shape: &Shape) -> Vec<Option<usize>> {
    shape.layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn the_table_in_the_documents_is_the_codes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/MODELS.md");
    let document = fs::read_to_string(path).unwrap();
    let table = arch::table();
    assert!(document.contains(&table), "docs/MODELS.md must contain\n{table}");
}

#[test]
fn an_unknown_architecture_is_refused_by_name_with_those_that_are_known() {
    assert_eq!(
        refusal("mamba", &json!({})),
        "\"mamba\" models do not run here; these do: llama, smollm3, mistral, qwen2, qwen3, gemma2, \
         gemma3_text, phi3"
    );
}

#[test]
fn what_this_build_would_get_wrong_is_refused_by_name() {
    let cases = [
        (json!({ "num_local_experts": 8 }), "num_local_experts is not supported for llama models"),
        (json!({ "num_experts": 64 }), "num_experts is not supported for llama models"),
        (json!({ "attention_sinks": true }), "attention_sinks is not supported for llama models"),
        (
            json!({ "hidden_act": "relu2" }),
            "the activation relu2 is not supported for llama models",
        ),
        (
            json!({ "quantization_config": { "quant_method": "awq" } }),
            "quantization_config is not supported for llama models",
        ),
        (
            json!({ "rope_scaling": { "type": "dynamic", "factor": 2.0 } }),
            "dynamic scaling of rotary positions is not supported for llama models",
        ),
        (
            json!({ "rope_parameters": { "rope_type": "ntk", "factor": 2.0 } }),
            "ntk scaling of rotary positions is not supported for llama models",
        ),
        (json!({ "rope_theta": 0.0 }), "rope_theta is not positive"),
        (json!({ "num_key_value_heads": 3 }), "num_key_value_heads does not divide the heads"),
        (json!({ "vocab_size": 0 }), "a size is 0 or beyond reason"),
        (json!({ "head_dim": 7 }), "the dimensions that positions turn are not pairs"),
    ];
    for (changes, message) in cases {
        assert_eq!(refusal("llama", &changes), message);
    }
    let layers = json!({ "layer_types": ["chunked_attention"], "num_hidden_layers": 1 });
    let message = "the layer type \"chunked_attention\" is not supported for qwen3 models";
    assert_eq!(refusal("qwen3", &layers), message);
    assert!(refusal("llama", &json!({ "hidden_size": "wide" })).starts_with("not a model conf"));
    read("llama", &json!({ "num_experts": null, "use_bidirectional_attention": false }));
}

#[test]
fn windows_stand_where_each_family_has_them() {
    assert_eq!(windows(&read("llama", &json!({ "sliding_window": 9 }))), [None; 12]);
    assert_eq!(windows(&read("mistral", &json!({ "sliding_window": 9 }))), [Some(9); 12]);
    assert_eq!(windows(&read("mistral", &json!({ "sliding_window": null }))), [None; 12]);
    let mut keys = json!({
        "use_sliding_window": false, "sliding_window": 9, "max_window_layers": 10,
    });
    assert_eq!(windows(&read("qwen2", &keys)), [None; 12]);
    keys["use_sliding_window"] = json!(true);
    assert_eq!(windows(&read("qwen2", &keys))[9..], [None, Some(9), Some(9)]);
    let gemma = windows(&read("gemma2", &json!({ "head_dim": 16 })));
    assert_eq!(gemma[..4], [Some(4096), None, Some(4096), None]);
    let keys = json!({ "sliding_window": 512, "head_dim": 16 });
    let gemma = windows(&read("gemma3_text", &keys));
    let local = gemma.iter().map(Option::is_some).collect::<Vec<_>>();
    assert_eq!(local, [true, true, true, true, true, false].repeat(2));
}

#[test]
fn positions_turn_where_each_family_turns_them() {
    let each_fourth = [Some(0), Some(0), Some(0), None].repeat(3);
    assert_eq!(ropes(&read("smollm3", &json!({}))), each_fourth);
    let list = json!({ "no_rope_layers": [0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1] });
    assert_eq!(ropes(&read("smollm3", &list))[..4], [None, Some(0), Some(0), Some(0)]);

    let keys = json!({
        "rope_theta": 1e6, "rope_local_base_freq": 1e4, "head_dim": 16,
        "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
    });
    let gemma = read("gemma3_text", &keys);
    assert_eq!(ropes(&gemma)[4..6], [Some(1), Some(0)]);
    let scalings: Vec<_> = gemma.ropes.iter().map(|rope| (rope.theta, &rope.scaling)).collect();
    assert_eq!(scalings, [(1e6, &Scaling::Linear(8.0)), (1e4, &Scaling::None)]);

    let phi = read("phi3", &json!({ "partial_rotary_factor": 0.5 }));
    assert_eq!(phi.ropes[0].dims, 8);
    let llama = read("llama", &json!({ "partial_rotary_factor": 0.5 }));
    assert_eq!(llama.ropes[0].dims, 16, "llama turns all");
}

#[test]
fn older_and_newer_files_say_the_same_of_positions() {
    let llama3 = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 512,
    });
    let mut newer = llama3.clone();
    newer["rope_theta"] = json!(500_000.0);
    let older = read("llama", &json!({ "rope_scaling": llama3, "rope_theta": 500_000.0 }));
    let newer = read("llama", &json!({ "rope_parameters": newer, "rope_theta": null }));
    assert_eq!(older.ropes, newer.ropes);
    let (speeds, magnitude) = older.ropes[0].speeds();
    assert_eq!((speeds[0], magnitude), (1.0, 1.0), "the fastest pair stays");
    let slowest = 500_000f64.powf(-14.0 / 16.0) / 8.0;
    assert!((speeds[7] - slowest).abs() < 1e-12, "the slowest is eight times slower");
}

#[test]
fn how_long_positions_are_depends_on_the_served_context() {
    let keys = json!({
        "original_max_position_embeddings": 1024,
        "rope_scaling": {
            "type": "longrope", "long_factor": vec![4.0; 8], "short_factor": vec![1.0; 8],
        },
    });
    let config = config("phi3", &keys);
    let magnitude = (1.0 + 4f64.ln() / 1024f64.ln()).sqrt();
    assert_eq!(
        long_rope(&config, None),
        (1024, 1.0, magnitude),
        "as transformers computes short sequences"
    );
    assert_eq!(long_rope(&config, Some(512)), (512, 1.0, magnitude));
    assert_eq!(long_rope(&config, Some(1025)), (1025, 4.0, magnitude));
    assert_eq!(long_rope(&config, Some(1 << 20)).0, 4096, "a cap makes nothing longer");
}

/// The context, the first factor and the magnitude of a LongRoPE model.
fn long_rope(config: &Value, cap: Option<usize>) -> (usize, f64, f64) {
    let shape = Shape::read(config, cap).unwrap();
    match &shape.ropes[0].scaling {
        Scaling::Each { factors, magnitude } => (shape.context, factors[0], *magnitude),
        scaling => panic!("{scaling:?}"),
    }
}

#[test]
fn the_text_side_of_gemma_3_has_the_defaults_that_its_files_leave_out() {
    let text = json!({ "num_hidden_layers": 34, "hidden_size": 2560, "sliding_window": 1024 });
    let config = json!({ "model_type": "gemma3", "text_config": text, "vision_config": {} });
    let shape = Shape::read(&config, None).unwrap();
    assert_eq!((shape.heads, shape.kv_heads, shape.dim, shape.vocab), (8, 4, 256, 262_208));
    assert_eq!((shape.arch.kind, shape.tied, shape.scale), ("gemma3_text", true, 1.0 / 16.0));
    assert!((shape.embed_scale - 2560f32.sqrt()).abs() < 1e-3);
}

#[test]
fn biases_are_there_for_those_who_have_them() {
    assert_eq!(biases("qwen2", &json!({})), [true, false, false]);
    assert_eq!(biases("llama", &json!({})), [false; 3]);
    let keys = json!({ "attention_bias": true, "mlp_bias": true });
    assert_eq!(biases("llama", &keys), [true; 3]);
    assert_eq!(biases("qwen3", &keys), [true, true, false]);
    assert_eq!(biases("mistral", &keys), [false; 3]);
}

fn biases(kind: &str, keys: &Value) -> [bool; 3] {
    let Biases { qkv, out, mlp } = read(kind, keys).bias;
    [qkv, out, mlp]
}

#[test]
fn the_weights_of_a_known_model_are_counted_right() {
    // SmolLM2-135M, whose weights are 134,515,008.
    let config = json!({
        "model_type": "llama", "hidden_size": 576, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3, "intermediate_size": 1536,
        "vocab_size": 49_152, "max_position_embeddings": 8192, "tie_word_embeddings": true,
    });
    assert_eq!(Shape::read(&config, None).unwrap().params(), 134_515_008);
}
