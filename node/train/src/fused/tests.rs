use burn::tensor::{Device, Distribution, Tensor, activation, module};
use burn::tensor::{Tolerance, ops::AttentionModuleOptions};

use super::*;

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn close<const D: usize>(a: Tensor<D>, b: Tensor<D>, within: f32) {
    a.into_data().assert_approx_eq::<f32>(&b.into_data(), Tolerance::absolute(within));
}

fn plain_norm(x: Tensor<2>, gamma: Tensor<1>) -> Tensor<2> {
    let root = (x.clone().square().mean_dim(1) + 1e-5).sqrt();
    x / root * gamma.unsqueeze()
}

/// Rotation and causal attention from burn's own operations.
fn plain_attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, h: Heads, rope: &Rope) -> Tensor<2> {
    let device = q.device();
    let (mut cos, mut sin) = (Vec::new(), Vec::new());
    for position in 0..h.len {
        let (cosines, sines) = rope.at(position);
        cos.extend([cosines, cosines].concat());
        sin.extend([sines, sines].concat());
    }
    let [cos, sin] = [cos, sin].map(|table| {
        Tensor::<1>::from_floats(table.as_slice(), &device).reshape([1, 1, h.len, h.dim])
    });
    let q = plain_turn(split(q, h, h.heads), &cos, &sin);
    let k = plain_turn(split(k, h, h.kv_heads), &cos, &sin);
    let (k, v) = (repeat(k, h), repeat(split(v, h, h.kv_heads), h));
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    let out = module::attention(q, k, v, None, None, options);
    out.swap_dims(1, 2).reshape([h.batch * h.len, h.heads * h.dim])
}

fn split(x: Tensor<2>, h: Heads, heads: usize) -> Tensor<4> {
    x.reshape([h.batch, h.len, heads, h.dim]).swap_dims(1, 2)
}

fn plain_turn(x: Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Tensor<4> {
    let half = x.dims()[3] / 2;
    let (low, high) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
    x * cos.clone() + Tensor::cat(vec![high.neg(), low], 3) * sin.clone()
}

/// Key heads once for each of their query heads.
fn repeat(x: Tensor<4>, h: Heads) -> Tensor<4> {
    let x = x.reshape([h.batch, h.kv_heads, 1, h.len, h.dim]).repeat_dim(2, h.heads / h.kv_heads);
    x.reshape([h.batch, h.heads, h.len, h.dim])
}

const HEADS: Heads = Heads { batch: 2, len: 21, heads: 4, kv_heads: 2, dim: 8 };

fn inputs(device: &Device) -> (Tensor<2>, Tensor<2>, Tensor<2>) {
    let rows = HEADS.batch * HEADS.len;
    (random([rows, 32], device), random([rows, 16], device), random([rows, 16], device))
}

#[test]
fn fused_passes_agree_with_burns_own_operations() {
    let device = Device::flex();
    let (x, y, gamma) = (random([7, 40], &device), random([7, 40], &device), random([40], &device));
    close(rms_norm(x.clone(), gamma.clone(), 1e-5), plain_norm(x.clone(), gamma), 1e-5);
    close(swiglu(x.clone(), y.clone()), activation::silu(x) * y, 1e-5);
    let (q, k, v) = inputs(&device);
    let rope = Arc::new(Rope::new(64, HEADS.dim, 10_000.0));
    let actual = attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    close(actual, plain_attention(q, k, v, HEADS, &rope), 1e-5);
}

#[test]
fn cross_entropy_agrees_with_burns_own() {
    let device = Device::flex();
    let logits = random::<2>([6, 19], &device);
    let targets: [u32; 6] = [0, 3, 18, 7, 7, 1];
    let indices = Tensor::<1, burn::tensor::Int>::from_ints(targets.map(|t| t as i32), &device);
    let plain = burn::nn::loss::CrossEntropyLoss::new(None, &device);
    let loss = plain.forward(logits.clone(), indices);
    close(cross_entropy(logits, targets.into()), loss, 1e-5);
}

#[test]
fn fused_gradients_agree_with_burns_own() {
    let device = Device::flex().autodiff();
    let rope = Arc::new(Rope::new(64, HEADS.dim, 10_000.0));
    let (q, k, v) = inputs(&device);
    let (q, k, v) = (q.require_grad(), k.require_grad(), v.require_grad());
    let weight = random::<2>(q.dims(), &device);
    let gamma = random::<1>([32], &device).require_grad();
    let grads = |out: Tensor<2>| {
        let grads = (out * weight.clone()).sum().backward();
        let [q, k, v] = [&q, &k, &v].map(|x| x.grad(&grads).unwrap());
        (q, k, v, gamma.grad(&grads).unwrap())
    };
    let output = attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    let norm = rms_norm(output.clone(), gamma.clone(), 1e-5);
    let actual = grads(swiglu(norm, output));
    let output = plain_attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    let norm = plain_norm(output.clone(), gamma.clone());
    let plain = grads(activation::silu(norm) * output);
    close(actual.0, plain.0, 1e-4);
    close(actual.1, plain.1, 1e-4);
    close(actual.2, plain.2, 1e-4);
    close(actual.3, plain.3, 1e-4);
}

#[test]
fn the_gradient_of_cross_entropy_agrees_with_burns_own() {
    let device = Device::flex().autodiff();
    let logits = random::<2>([4, 9], &device).require_grad();
    let targets: [u32; 4] = [8, 0, 3, 3];
    let indices = Tensor::<1, burn::tensor::Int>::from_ints(targets.map(|t| t as i32), &device);
    let actual = (cross_entropy(logits.clone(), targets.into()) * 3.0).backward();
    let plain = burn::nn::loss::CrossEntropyLoss::new(None, &device);
    let plain = (plain.forward(logits.clone(), indices) * 3.0).backward();
    close(logits.grad(&actual).unwrap(), logits.grad(&plain).unwrap(), 1e-5);
}
