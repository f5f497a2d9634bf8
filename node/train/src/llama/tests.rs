use burn::tensor::{Device, Distribution, Int, Tensor, Tolerance};

use super::*;

fn config(kv_heads: usize) -> LlamaConfig {
    let json = format!(
        r#"{{"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4,
            "num_key_value_heads": {kv_heads}, "intermediate_size": 48, "vocab_size": 60,
            "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "tie_word_embeddings": false,
            "max_position_embeddings": 256, "model_type": "llama"}}"#
    );
    LlamaConfig::parse(&json).unwrap()
}

fn tokens(rows: usize, len: usize, device: &Device) -> Tensor<2, Int> {
    Tensor::<2>::random([rows, len], Distribution::Uniform(0.0, 59.9), device).int()
}

fn close(a: Tensor<2>, b: Tensor<2>) {
    a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-4));
}

#[test]
fn what_follows_a_token_never_changes_it() {
    let device = Device::flex();
    let model = LlamaForCausalLm::new(config(2), &device);
    let long = tokens(1, 30, &device);
    let start = model.hidden(long.clone().narrow(1, 0, 12));
    close(model.hidden(long).narrow(0, 0, 12), start);
}

#[test]
fn a_configuration_that_cannot_be_built_is_refused() {
    assert!(LlamaConfig::parse("{}").is_err());
    let good = serde_json::to_value(config(2)).unwrap();
    for (field, value) in [("num_key_value_heads", 3), ("hidden_size", 0), ("head_dim", 7)] {
        let mut bad = good.clone();
        bad[field] = value.into();
        assert!(LlamaConfig::parse(&bad.to_string()).is_err(), "{field} = {value}");
    }
    assert_eq!(LlamaConfig::parse(&good.to_string()).unwrap(), config(2));
}
