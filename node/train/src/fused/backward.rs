//! The gradients, for burn's autodiff.

use std::sync::Arc;

use burn::backend::{
    Autodiff, Flex,
    autodiff::{
        checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
        grads::Gradients,
        ops::{Backward, Ops, OpsKind, unary},
    },
    tensor::FloatTensor,
};

use super::{Differentiable, Floats, Heads, Primitive, attention, kernel, tensor};
use crate::rope::Rope;

type TrackedTensor<C> = FloatTensor<Autodiff<Flex, C>>;

/// Registers the gradient of each parent that tracks one.
fn register<S, const N: usize>(ops: Ops<S, N>, grads: &mut Gradients, own: [Primitive; N]) {
    for (parent, grad) in ops.parents.into_iter().zip(own) {
        if let Some(node) = parent {
            grads.register::<Flex>(node.id, grad);
        }
    }
}

#[derive(Debug)]
struct RmsNorm;

impl Backward<Flex, 2> for RmsNorm {
    type State = (Primitive, Primitive, f32);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Floats::new(&grads.consume::<Flex>(&ops.node));
        let (x, gamma, eps) = &ops.state;
        let shape = (x.layout().shape().clone(), gamma.layout().shape().clone());
        let (x, gamma) = (Floats::new(x), Floats::new(gamma));
        let (mut dx, mut dg) = (vec![0f32; x.get().len()], vec![0f32; gamma.get().len()]);
        kernel::rms_norm_back(x.get(), gamma.get(), *eps, dy.get(), &mut dx, &mut dg);
        register(ops, grads, [tensor(dx, shape.0), tensor(dg, shape.1)]);
    }
}

#[derive(Debug)]
struct Swiglu;

impl Backward<Flex, 2> for Swiglu {
    type State = (Primitive, Primitive);

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = Floats::new(&grads.consume::<Flex>(&ops.node));
        let shape = ops.state.0.layout().shape().clone();
        let (gate, up) = (Floats::new(&ops.state.0), Floats::new(&ops.state.1));
        let (mut dg, mut du) = (vec![0f32; gate.get().len()], vec![0f32; up.get().len()]);
        kernel::swiglu_back(gate.get(), up.get(), dy.get(), &mut dg, &mut du);
        register(ops, grads, [tensor(dg, shape.clone()), tensor(du, shape)]);
    }
}

#[derive(Debug)]
struct Attention;

impl Backward<Flex, 3> for Attention {
    type State = ([Primitive; 3], Heads, Arc<Rope>);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dout = Floats::new(&grads.consume::<Flex>(&ops.node));
        let (inputs, heads, rope) = &ops.state;
        let shapes = inputs.each_ref().map(|x| x.layout().shape().clone());
        let [q, k, v] = inputs.each_ref().map(Floats::new);
        let [mut dq, mut dk, mut dv] = [&q, &k, &v].map(|x| vec![0f32; x.get().len()]);
        let read = [q.get(), k.get(), v.get(), dout.get()];
        attention::backward(*heads, rope, read, [&mut dq, &mut dk, &mut dv]);
        let [sq, sk, sv] = shapes;
        register(ops, grads, [tensor(dq, sq), tensor(dk, sk), tensor(dv, sv)]);
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl Backward<Flex, 1> for CrossEntropy {
    type State = Primitive;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        unary::<Flex, _>(ops.parents, ops.node, grads, |upstream| {
            // One number. If it is missing, NaN stops the run: `fit` refuses a loss that is not finite.
            let factor = Floats::new(&upstream).get().first().copied().unwrap_or(f32::NAN);
            let shape = ops.state.layout().shape().clone();
            let own = Floats::new(&ops.state);
            tensor(own.get().iter().map(|x| x * factor).collect(), shape)
        });
    }
}

impl<C: CheckpointStrategy> Differentiable for Autodiff<Flex, C> {
    fn fused_rms_norm(x: TrackedTensor<C>, gamma: TrackedTensor<C>, eps: f32) -> TrackedTensor<C> {
        let kind = RmsNorm.prepare::<C>([x.node(), gamma.node()]).compute_bound().stateful();
        let (x, gamma) = (x.primitive().clone(), gamma.primitive().clone());
        let y = Flex::fused_rms_norm(x.clone(), gamma.clone(), eps);
        match kind {
            OpsKind::Tracked(prep) => prep.finish((x, gamma, eps), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_swiglu(gate: TrackedTensor<C>, up: TrackedTensor<C>) -> TrackedTensor<C> {
        let kind = Swiglu.prepare::<C>([gate.node(), up.node()]).compute_bound().stateful();
        let (gate, up) = (gate.primitive().clone(), up.primitive().clone());
        let y = Flex::fused_swiglu(gate.clone(), up.clone());
        match kind {
            OpsKind::Tracked(prep) => prep.finish((gate, up), y),
            OpsKind::UnTracked(prep) => prep.finish(y),
        }
    }

    fn fused_attention(
        q: TrackedTensor<C>,
        k: TrackedTensor<C>,
        v: TrackedTensor<C>,
        heads: Heads,
        rope: Arc<Rope>,
    ) -> TrackedTensor<C> {
        let nodes = [q.node(), k.node(), v.node()];
        let kind = Attention.prepare::<C>(nodes).compute_bound().stateful();
        let (q, k, v) = (q.primitive().clone(), k.primitive().clone(), v.primitive().clone());
        let out = Flex::fused_attention(q.clone(), k.clone(), v.clone(), heads, rope.clone());
        match kind {
            OpsKind::Tracked(prep) => prep.finish(([q, k, v], heads, rope), out),
            OpsKind::UnTracked(prep) => prep.finish(out),
        }
    }

    fn fused_cross_entropy(logits: TrackedTensor<C>, targets: Arc<[u32]>) -> TrackedTensor<C> {
        let kind = CrossEntropy.prepare::<C>([logits.node()]).compute_bound().stateful();
        let shape = logits.primitive().layout().shape().clone();
        let mut work = Floats::new(logits.primitive()).get().to_vec();
        let loss = tensor(vec![kernel::cross_entropy(&mut work, &targets)], [1]);
        match kind {
            OpsKind::Tracked(prep) => prep.finish(tensor(work, shape), loss),
            OpsKind::UnTracked(prep) => prep.finish(loss),
        }
    }
}
