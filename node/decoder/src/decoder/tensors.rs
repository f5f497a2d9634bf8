//! The operations in terms of burn's own, for every device that burn has. Weights, keys and values
//! are burn tensors.
//!
//! Rounding may differ with the size of a batch: a device's matrix product may sum in another order
//! for another shape.

mod cache;

use burn::tensor::{
    Device, Int, Tensor, TensorData,
    activation::{gelu_approximate, silu, softmax},
};
use shoal_kernel::Matrix;
use shoal_model::Broken;

use super::{
    Operations,
    batch::Batch,
    shape::{Activation, Shape},
    weights::{self, LayerWeights, Weights},
};
use cache::{Cache, Step};

/// A model's weights as tensors.
#[derive(Debug)]
pub(super) struct TensorOperations {
    shape: Shape,
    device: Device,
    embed: Tensor<2>,
    layers: Vec<Layer>,
    norm: Tensor<1>,
    /// `[width, vocab]`
    head: Tensor<2>,
    cache: Cache,
    weight_bytes: u64,
}

#[derive(Debug)]
struct Layer {
    norm_attention: Tensor<1>,
    qkv: [Linear; 3],
    norm_heads: Option<[Tensor<1>; 2]>,
    out: Linear,
    after_attention: Option<Tensor<1>>,
    norm_mlp: Tensor<1>,
    gate: Linear,
    up: Linear,
    down: Linear,
    after_mlp: Option<Tensor<1>>,
}

/// A projection. Its weight is `[inputs, outputs]`, the layout in which burn multiplies fastest.
#[derive(Debug)]
struct Linear {
    weight: Tensor<2>,
    bias: Option<Tensor<1>>,
}

impl TensorOperations {
    pub(super) fn new(shape: &Shape, weights: &Weights, device: &Device) -> Self {
        let embed = matrix(&weights.embed, device);
        let head = match &weights.head {
            Some(head) => matrix(head, device).transpose(),
            None => embed.clone().transpose(),
        };
        Self {
            layers: weights.layers.iter().map(|layer| Layer::new(layer, device)).collect(),
            norm: vector(&weights.norm, device),
            cache: Cache::new(shape, device),
            weight_bytes: weights.values_a_step() * size_of::<f32>() as u64,
            shape: shape.clone(),
            device: device.clone(),
            embed,
            head,
        }
    }

    fn layer(&self, index: usize) -> Result<&Layer, Broken> {
        self.layers.get(index).ok_or(Broken)
    }
}

impl Layer {
    fn new(layer: &LayerWeights, device: &Device) -> Self {
        Self {
            norm_attention: vector(&layer.norm_attention, device),
            qkv: layer.qkv.each_ref().map(|linear| Linear::new(linear, device)),
            norm_heads: layer
                .norm_heads
                .as_ref()
                .map(|gammas| gammas.each_ref().map(|gamma| vector(gamma, device))),
            out: Linear::new(&layer.out, device),
            after_attention: layer.after_attention.as_ref().map(|gamma| vector(gamma, device)),
            norm_mlp: vector(&layer.norm_mlp, device),
            gate: Linear::new(&layer.gate, device),
            up: Linear::new(&layer.up, device),
            down: Linear::new(&layer.down, device),
            after_mlp: layer.after_mlp.as_ref().map(|gamma| vector(gamma, device)),
        }
    }
}

impl Linear {
    fn new(linear: &weights::Linear, device: &Device) -> Self {
        Self {
            weight: contiguous(matrix(&linear.matrix, device).transpose()),
            bias: linear.bias.as_ref().map(|bias| vector(bias, device)),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let y = x.matmul(self.weight.clone());
        match &self.bias {
            Some(bias) => y + bias.clone().unsqueeze(),
            None => y,
        }
    }
}

impl Operations for TensorOperations {
    type Step = Step;
    type Qkv = [Tensor<2>; 3];

    fn reserve(&mut self, pages: usize) {
        self.cache.reserve(pages);
    }

    fn release_from(&mut self, first: usize) {
        self.cache.release_from(first);
    }

    fn cache_bytes(&self) -> usize {
        self.cache.bytes()
    }

    fn weight_bytes(&self) -> u64 {
        self.weight_bytes
    }

    fn page_bytes(&self) -> usize {
        self.cache.page_bytes()
    }

    fn prepare(&mut self, batch: Batch) -> Result<Step, Broken> {
        self.cache.prepare(batch)
    }

    fn embed(&self, step: &Step) -> Result<Tensor<2>, Broken> {
        let ids: Vec<i32> = step.batch.tokens.iter().map(|id| id.cast_signed()).collect();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [step.rows()]), &self.device);
        Ok(self.embed.clone().select(0, ids) * self.shape.embed_scale)
    }

    fn norm_qkv(&self, layer: usize, x: Tensor<2>) -> Result<[Tensor<2>; 3], Broken> {
        let layer = self.layer(layer)?;
        let h = rms(x, &layer.norm_attention, self.shape.eps);
        Ok(layer.qkv.each_ref().map(|linear| linear.forward(h.clone())))
    }

    fn attend(
        &mut self,
        layer: usize,
        step: &Step,
        [q, k, v]: [Tensor<2>; 3],
    ) -> Result<Tensor<2>, Broken> {
        let shape = &self.shape;
        let rows = step.rows();
        let mut q = q.reshape([rows, shape.heads, shape.dim]);
        let mut k = k.reshape([rows, shape.kv_heads, shape.dim]);
        if let Some([q_norm, k_norm]) = &self.layer(layer)?.norm_heads {
            q = rms(q, q_norm, shape.eps);
            k = rms(k, k_norm, shape.eps);
        }
        if let Some(rope) = shape.layers.get(layer).ok_or(Broken)?.rope {
            let turn = step.turns.get(rope).ok_or(Broken)?;
            (q, k) = (turn.apply(q), turn.apply(k));
        }
        let k = k.reshape([rows, shape.kv_heads * shape.dim]);
        self.cache.append(layer, step, k, v)?;
        self.attention(layer, step, q)
    }

    fn linear_add(&self, layer: usize, x: Tensor<2>, y: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let layer = self.layer(layer)?;
        let y = layer.out.forward(y);
        Ok(x + norm_if(y, layer.after_attention.as_ref(), self.shape.eps))
    }

    fn norm_mlp(&self, layer: usize, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let layer = self.layer(layer)?;
        let h = rms(x.clone(), &layer.norm_mlp, self.shape.eps);
        let gate = layer.gate.forward(h.clone());
        let gate = match self.shape.activation {
            Activation::Silu => silu(gate),
            Activation::GeluTanh => gelu_approximate(gate),
        };
        let down = layer.down.forward(gate * layer.up.forward(h));
        Ok(x + norm_if(down, layer.after_mlp.as_ref(), self.shape.eps))
    }

    fn norm(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        Ok(rms(x, &self.norm, self.shape.eps))
    }

    fn head(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let logits = x.matmul(self.head.clone());
        Ok(cap_with(logits, self.shape.final_softcap))
    }

    fn select_output(&self, step: &Step, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        Ok(match &step.output_rows {
            Some(rows) => x.select(0, rows.clone()),
            None => x,
        })
    }
}

impl TensorOperations {
    /// Attention, one sequence at a time: the queries of a group of heads are the rows, the
    /// sequence's positions the columns.
    fn attention(&self, layer: usize, step: &Step, q: Tensor<3>) -> Result<Tensor<2>, Broken> {
        let Shape { heads, kv_heads, dim, scale, softcap, .. } = self.shape;
        let group = heads / kv_heads;
        let window = self.shape.layers.get(layer).ok_or(Broken)?.window;
        let mut rows = Vec::with_capacity(step.batch.sequences.len());
        for (index, sequence) in step.batch.sequences.iter().enumerate() {
            let (new, len) = (sequence.rows.len(), sequence.len());
            let q = q.clone().narrow(0, sequence.rows.start, new);
            let q = q.reshape([new, kv_heads, group, dim]).swap_dims(0, 1);
            let [k, v] = self.cache.read(layer, step, index)?;
            let k = k.reshape([len, kv_heads, dim]).permute([1, 2, 0]);
            let v = v.reshape([len, kv_heads, dim]).swap_dims(0, 1);
            let scores = q.reshape([kv_heads, new * group, dim]).matmul(k) * scale;
            let scores = cap_with(scores, softcap).reshape([kv_heads, new, group, len]);
            let scores = scores + step.mask(index, window, &self.device)?;
            let attention = softmax(scores, 3).reshape([kv_heads, new * group, len]).matmul(v);
            let attention = attention.reshape([kv_heads, new, group, dim]).swap_dims(0, 1);
            rows.push(attention.reshape([new, heads * dim]));
        }
        Ok(Tensor::cat(rows, 0))
    }
}

fn rms<const D: usize>(x: Tensor<D>, gamma: &Tensor<1>, eps: f32) -> Tensor<D> {
    let root = (x.clone().square().mean_dim(D - 1) + eps).sqrt();
    x / root * gamma.clone().unsqueeze()
}

fn norm_if(x: Tensor<2>, gamma: Option<&Tensor<1>>, eps: f32) -> Tensor<2> {
    match gamma {
        Some(gamma) => rms(x, gamma, eps),
        None => x,
    }
}

fn cap_with<const D: usize>(x: Tensor<D>, cap: Option<f32>) -> Tensor<D> {
    match cap {
        Some(cap) => (x / cap).tanh() * cap,
        None => x,
    }
}

fn vector(floats: &[f32], device: &Device) -> Tensor<1> {
    Tensor::from_data(TensorData::new(floats.to_vec(), [floats.len()]), device)
}

/// `[outputs, inputs]`
fn matrix(packed: &Matrix, device: &Device) -> Tensor<2> {
    let data = TensorData::new(packed.unpack(), [packed.rows(), packed.cols()]);
    Tensor::from_data(data, device)
}

/// A copy of a view in its own memory.
fn contiguous(view: Tensor<2>) -> Tensor<2> {
    let (device, data) = (view.device(), view.into_data());
    Tensor::from_data(data, &device)
}
