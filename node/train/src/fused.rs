//! The operations of a decoder between its matrix products, each in one pass over memory.
//!
//! They are custom operations of burn's Flex backend, with gradients. burn's own operations read and
//! write memory five to ten times for each of these, and their `exp` is scalar: a training step takes
//! three times as long with them.

mod simd;
mod kernel;
mod attention;
mod backward;
#[cfg(test)]
mod tests;

pub(crate) use attention::Heads;

use std::sync::Arc;

use burn::{
    backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor},
    tensor::{Shape, Tensor, TensorData},
};

use super::rope::Rope;

/// Operations with a gradient.
#[backend_extension(Flex, Autodiff)]
pub(super) trait Differentiable: Backend {
    fn fused_rms_norm(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        eps: f32,
    ) -> FloatTensor<Self>;
    fn fused_swiglu(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self>;
    fn fused_attention(
        q: FloatTensor<Self>,
        k: FloatTensor<Self>,
        v: FloatTensor<Self>,
        heads: Heads,
        rope: Arc<Rope>,
    ) -> FloatTensor<Self>;
    fn fused_cross_entropy(logits: FloatTensor<Self>, targets: Arc<[u32]>) -> FloatTensor<Self>;
}

/// `x / sqrt(mean(x^2) + eps) * gamma` over the rows of `[rows, width]`.
pub(crate) fn rms_norm(x: Tensor<2>, gamma: Tensor<1>, eps: f32) -> Tensor<2> {
    let (x, gamma) = (x.into_dispatch(), gamma.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_rms_norm(x, gamma, eps))
}

/// `silu(gate) * up`, both `[rows, width]`.
pub(crate) fn swiglu(gate: Tensor<2>, up: Tensor<2>) -> Tensor<2> {
    let (gate, up) = (gate.into_dispatch(), up.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_swiglu(gate, up))
}

/// Causal attention of whole sequences, rotary positions included. `q` is
/// `[batch * len, heads * dim]`, `k` and `v` are `[batch * len, kv_heads * dim]`; the result is
/// shaped like `q`.
pub(crate) fn attention(
    q: Tensor<2>,
    k: Tensor<2>,
    v: Tensor<2>,
    h: Heads,
    rope: &Arc<Rope>,
) -> Tensor<2> {
    let (q, k, v) = (q.into_dispatch(), k.into_dispatch(), v.into_dispatch());
    Tensor::from_dispatch(Dispatch::fused_attention(q, k, v, h, rope.clone()))
}

/// Mean cross-entropy in nats of `[rows, vocab]` logits against one target per row: `[1]`.
pub(crate) fn cross_entropy(logits: Tensor<2>, targets: Arc<[u32]>) -> Tensor<1> {
    Tensor::from_dispatch(Dispatch::fused_cross_entropy(logits.into_dispatch(), targets))
}

type Primitive = FloatTensor<Flex>;

/// The floats of a tensor, copied only if it is a view.
struct Floats(Primitive);

impl Floats {
    fn new(x: &Primitive) -> Self {
        Self(x.to_contiguous())
    }
    fn get(&self) -> &[f32] {
        self.0.as_slice::<f32>().unwrap_or_default()
    }
}

fn tensor(data: Vec<f32>, shape: impl Into<Shape>) -> Primitive {
    Primitive::from_data(TensorData::new(data, shape.into()))
}

impl Differentiable for Flex {
    fn fused_rms_norm(x: Primitive, gamma: Primitive, eps: f32) -> Primitive {
        let (shape, x, gamma) = (x.layout().shape().clone(), Floats::new(&x), Floats::new(&gamma));
        let mut y = vec![0f32; x.get().len()];
        kernel::rms_norm(x.get(), gamma.get(), eps, &mut y);
        tensor(y, shape)
    }

    fn fused_swiglu(gate: Primitive, up: Primitive) -> Primitive {
        let (shape, g, u) = (gate.layout().shape().clone(), Floats::new(&gate), Floats::new(&up));
        let mut y = vec![0f32; g.get().len()];
        kernel::swiglu(g.get(), u.get(), &mut y);
        tensor(y, shape)
    }

    fn fused_attention(
        q: Primitive,
        k: Primitive,
        v: Primitive,
        h: Heads,
        r: Arc<Rope>,
    ) -> Primitive {
        let shape = q.layout().shape().clone();
        let (q, k, v) = (Floats::new(&q), Floats::new(&k), Floats::new(&v));
        let mut out = vec![0f32; q.get().len()];
        attention::forward(h, &r, q.get(), k.get(), v.get(), &mut out);
        tensor(out, shape)
    }

    fn fused_cross_entropy(logits: Primitive, targets: Arc<[u32]>) -> Primitive {
        let mut work = Floats::new(&logits).get().to_vec();
        tensor(vec![kernel::cross_entropy(&mut work, &targets)], [1])
    }
}
