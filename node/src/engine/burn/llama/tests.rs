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

fn close(a: Tensor<3>, b: Tensor<3>) {
    a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(1e-4));
}

#[test]
fn a_cache_changes_nothing_but_the_work() {
    let device = Device::flex();
    for kv_heads in [1, 2, 4] {
        let model = LlamaForCausalLm::new(config(kv_heads), &device);
        let all = tokens(1, 150, &device);
        let whole = model.forward(all.clone());
        let mut cache = model.cache();
        for (from, len) in [(0, 70), (70, 1), (71, 1), (72, 60), (132, 18)] {
            let part = model.forward_cached(all.clone().narrow(1, from, len), &mut [&mut cache]);
            close(part, whole.clone().narrow(1, from, len));
        }
        assert_eq!(cache.len(), 150);
    }
}

#[test]
fn sequences_at_different_places_share_a_step() {
    let device = Device::flex();
    let model = LlamaForCausalLm::new(config(2), &device);
    let (long, short) = (tokens(1, 40, &device), tokens(1, 9, &device));
    let (mut a, mut b) = (model.cache(), model.cache());
    model.forward_cached(long.clone().narrow(1, 0, 39), &mut [&mut a]);
    model.forward_cached(short.clone().narrow(1, 0, 8), &mut [&mut b]);
    let last = Tensor::cat(vec![long.clone().narrow(1, 39, 1), short.clone().narrow(1, 8, 1)], 0);
    let both = model.forward_cached(last, &mut [&mut a, &mut b]);
    close(both.clone().narrow(0, 0, 1), model.forward(long).narrow(1, 39, 1));
    close(both.narrow(0, 1, 1), model.forward(short).narrow(1, 8, 1));
}

#[test]
fn a_truncated_cache_goes_on_from_there() {
    let device = Device::flex();
    let model = LlamaForCausalLm::new(config(4), &device);
    let all = tokens(1, 20, &device);
    let mut cache = model.cache();
    model.forward_cached(tokens(1, 30, &device), &mut [&mut cache]);
    cache.truncate(0);
    model.forward_cached(all.clone().narrow(1, 0, 19), &mut [&mut cache]);
    let next = model.next_logits(all.clone().narrow(1, 19, 1), &mut [&mut cache]);
    close(next.unsqueeze(), model.forward(all).narrow(1, 19, 1));
}

#[test]
fn what_follows_a_token_never_changes_it() {
    let device = Device::flex();
    let model = LlamaForCausalLm::new(config(2), &device);
    let all = tokens(1, 30, &device);
    let start = model.forward(all.clone().narrow(1, 0, 12));
    close(model.forward(all).narrow(1, 0, 12), start);
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
