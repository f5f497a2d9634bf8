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

/// One half of a rotation: (cosines, sines) of a position.
type Turn<'a> = (&'a [f32], &'a [f32]);

/// Rotation and causal attention from burn's own operations.
fn plain_attention(q: Tensor<2>, k: Tensor<2>, v: Tensor<2>, h: Heads, rope: &Rope) -> Tensor<2> {
    let device = q.device();
    let table = |pick: fn(Turn<'_>) -> Vec<f32>| {
        let rows: Vec<f32> = (0..h.len).flat_map(|p| pick(rope.at(p))).collect();
        Tensor::<1>::from_floats(rows.as_slice(), &device).reshape([1, 1, h.len, h.dim])
    };
    let cos = table(|(cos, _)| [cos, cos].concat());
    let sin = table(|(_, sin)| [sin, sin].concat());
    let split = |x: Tensor<2>, heads| x.reshape([h.batch, h.len, heads, h.dim]).swap_dims(1, 2);
    let turn = |x: Tensor<4>| {
        let (low, high) =
            (x.clone().narrow(3, 0, h.dim / 2), x.clone().narrow(3, h.dim / 2, h.dim / 2));
        x * cos.clone() + Tensor::cat(vec![high.neg(), low], 3) * sin.clone()
    };
    let group = h.heads / h.kv_heads;
    let spread = |x: Tensor<4>| {
        let x = x.reshape([h.batch, h.kv_heads, 1, h.len, h.dim]).repeat_dim(2, group);
        x.reshape([h.batch, h.heads, h.len, h.dim])
    };
    let (q, k) = (turn(split(q, h.heads)), spread(turn(split(k, h.kv_heads))));
    let options = AttentionModuleOptions { is_causal: true, ..Default::default() };
    let out = module::attention(q, k, spread(split(v, h.kv_heads)), None, None, options);
    out.swap_dims(1, 2).reshape([h.batch * h.len, h.heads * h.dim])
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
    let fused = attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    close(fused, plain_attention(q, k, v, HEADS, &rope), 1e-5);
}

#[test]
fn cross_entropy_agrees_with_burns_own() {
    let device = Device::flex();
    let logits = random::<2>([6, 19], &device);
    let targets: [u32; 6] = [0, 3, 18, 7, 7, 1];
    let indices = Tensor::<1, burn::tensor::Int>::from_ints(targets.map(|t| t as i32), &device);
    let plain = burn::nn::loss::CrossEntropyLoss::new(None, &device);
    let expected = plain.forward(logits.clone(), indices);
    close(cross_entropy(logits, targets.into()), expected, 1e-5);
}

#[test]
fn fused_gradients_agree_with_burns_own() {
    let device = Device::flex().autodiff();
    let leaf = |x: Tensor<2>| x.require_grad();
    let rope = Arc::new(Rope::new(64, HEADS.dim, 10_000.0));
    let (q, k, v) = inputs(&device);
    let (q, k, v) = (leaf(q), leaf(k), leaf(v));
    let weight = random::<2>(q.dims(), &device);
    let gamma = random::<1>([32], &device).require_grad();
    let grads = |out: Tensor<2>| {
        let grads = (out * weight.clone()).sum().backward();
        let two = |x: &Tensor<2>| x.grad(&grads).unwrap();
        (two(&q), two(&k), two(&v), gamma.grad(&grads).unwrap())
    };
    let mixed = attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    let normed = rms_norm(mixed.clone(), gamma.clone(), 1e-5);
    let fused = grads(swiglu(normed, mixed));
    let mixed = plain_attention(q.clone(), k.clone(), v.clone(), HEADS, &rope);
    let normed = plain_norm(mixed.clone(), gamma.clone());
    let plain = grads(activation::silu(normed) * mixed);
    close(fused.0, plain.0, 1e-4);
    close(fused.1, plain.1, 1e-4);
    close(fused.2, plain.2, 1e-4);
    close(fused.3, plain.3, 1e-4);
}

#[test]
fn the_gradient_of_cross_entropy_agrees_with_burns_own() {
    let device = Device::flex().autodiff();
    let logits = random::<2>([4, 9], &device).require_grad();
    let targets: [u32; 4] = [8, 0, 3, 3];
    let indices = Tensor::<1, burn::tensor::Int>::from_ints(targets.map(|t| t as i32), &device);
    let fused = (cross_entropy(logits.clone(), targets.into()) * 3.0).backward();
    let plain = burn::nn::loss::CrossEntropyLoss::new(None, &device);
    let plain = (plain.forward(logits.clone(), indices) * 3.0).backward();
    close(logits.grad(&fused).unwrap(), logits.grad(&plain).unwrap(), 1e-5);
}
