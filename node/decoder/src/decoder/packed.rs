//! The operations on packed weights: custom operations of burn's Flex backend, a few for each layer,
//! each in one pass over its weights.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use burn::{
    backend::{Backend, Dispatch, Flex, backend_extension, tensor::FloatTensor},
    tensor::{Shape as TensorShape, Tensor, TensorData},
};
use shoal_kernel::{
    AttentionShape, Error, KvPool, Output, Pool, Rope, attend, gated, linear, rms_norm,
    rms_norm_in_place, rope,
};
use shoal_model::Broken;

use super::{
    Operations, Settings,
    batch::Batch,
    shape::Shape,
    weights::{LayerWeights, Linear, Weights},
};

/// Rows that the buffers keep memory for between steps; the memory for a longer prompt is freed.
const KEPT_ROWS: usize = 512;

/// Positions in the first table of angles. The tables double when a step needs more: all angles of a
/// long context take as much memory as a small model.
const FIRST_ANGLES: usize = 64;

/// A layer of a model.
#[derive(Clone, Debug)]
pub(super) struct Place {
    model: Arc<Packed>,
    layer: usize,
}

/// A model's packed weights, its KV cache and its buffers.
#[derive(Debug)]
struct Packed {
    shape: Shape,
    weights: Weights,
    attention: Vec<AttentionShape>,
    ropes: Mutex<Vec<Rope>>,
    pool: Pool,
    kv: Mutex<KvPool>,
    scratch: Mutex<Scratch>,
    has_failed: AtomicBool,
}

/// Buffers that all layers and steps share.
#[derive(Debug, Default)]
struct Scratch {
    /// Rows after a norm.
    h: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

/// The custom operations. Tensors are contiguous `f32`, rows of tokens.
#[backend_extension(Flex)]
pub(super) trait DecoderOps: Backend {
    /// `[rows, width]` to all queries, then all keys, then all values.
    fn decoder_norm_qkv(x: FloatTensor<Self>, place: Place) -> FloatTensor<Self>;
    /// The result of `decoder_norm_qkv` to `[rows, heads * dim]`.
    fn decoder_attend(qkv: FloatTensor<Self>, place: Place, batch: Arc<Batch>)
    -> FloatTensor<Self>;
    fn decoder_linear_add(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        place: Place,
    ) -> FloatTensor<Self>;
    fn decoder_norm_mlp(x: FloatTensor<Self>, place: Place) -> FloatTensor<Self>;
    fn decoder_norm(x: FloatTensor<Self>, place: Place) -> FloatTensor<Self>;
    fn decoder_head(x: FloatTensor<Self>, place: Place) -> FloatTensor<Self>;
}

/// The operations as the decoder calls them.
#[derive(Debug)]
pub(super) struct PackedOperations(Arc<Packed>);

impl PackedOperations {
    pub(super) fn new(shape: &Shape, weights: Weights, settings: Settings) -> Self {
        let attention = shape.layers.iter().map(|layer| AttentionShape {
            heads: shape.heads,
            kv_heads: shape.kv_heads,
            dim: shape.dim,
            scale: shape.scale,
            softcap: shape.softcap,
            window: layer.window,
        });
        let pool = match settings.isa {
            Some(isa) => Pool::with_isa(settings.threads, isa),
            None => Pool::new(settings.threads),
        };
        let kv = KvPool::new(shape.layers.len(), shape.kv_heads, shape.dim, settings.kv);
        Self(Arc::new(Packed {
            attention: attention.collect(),
            ropes: Mutex::default(),
            shape: shape.clone(),
            weights,
            pool,
            kv: Mutex::new(kv),
            scratch: Mutex::default(),
            has_failed: AtomicBool::new(false),
        }))
    }

    fn place(&self, layer: usize) -> Place {
        Place { model: Arc::clone(&self.0), layer }
    }

    /// The result of an operation, or [`Broken`] if it failed: burn's operations return no errors,
    /// so a failed one sets a flag.
    fn check<T>(&self, result: T) -> Result<T, Broken> {
        if self.0.has_failed.swap(false, Ordering::Relaxed) { Err(Broken) } else { Ok(result) }
    }
}

impl Operations for PackedOperations {
    type Step = Arc<Batch>;
    type Qkv = Tensor<1>;

    fn reserve(&mut self, pages: usize) {
        lock(&self.0.kv).reserve(pages);
    }

    fn release_from(&mut self, first: usize) {
        lock(&self.0.kv).release_from(first);
    }

    fn cache_bytes(&self) -> usize {
        lock(&self.0.kv).bytes()
    }

    fn weight_bytes(&self) -> u64 {
        self.0.weights.bytes_a_step()
    }

    fn page_bytes(&self) -> usize {
        lock(&self.0.kv).page_bytes()
    }

    fn prepare(&mut self, batch: Batch) -> Result<Arc<Batch>, Broken> {
        lock(&self.0.scratch).shrink(&self.0.shape);
        let last = *batch.positions.iter().max().ok_or(Broken)? as usize;
        let mut ropes = lock(&self.0.ropes);
        let too_few = ropes.len() < self.0.shape.ropes.len();
        if too_few || ropes.iter().any(|rope| rope.positions() <= last) {
            let positions = (last + 1).next_power_of_two().max(FIRST_ANGLES);
            *ropes = tables(&self.0.shape, positions).map_err(|_| Broken)?;
        }
        drop(ropes);
        Ok(Arc::new(batch))
    }

    fn embed(&self, batch: &Arc<Batch>) -> Result<Tensor<2>, Broken> {
        let Packed { shape, weights, .. } = &*self.0;
        let mut x = vec![0.0; batch.tokens.len() * shape.width];
        for (row, token) in x.chunks_exact_mut(shape.width).zip(&batch.tokens) {
            weights.embed.row(*token as usize, row).map_err(|_| Broken)?;
            if shape.embed_scale != 1.0 {
                row.iter_mut().for_each(|value| *value *= shape.embed_scale);
            }
        }
        let data = TensorData::new(x, [batch.tokens.len(), shape.width]);
        Ok(Tensor::from_data(data, &burn::tensor::Device::flex()))
    }

    fn norm_qkv(&self, layer: usize, x: Tensor<2>) -> Result<Tensor<1>, Broken> {
        let qkv = Dispatch::decoder_norm_qkv(x.into_dispatch(), self.place(layer));
        self.check(Tensor::from_dispatch(qkv))
    }

    fn attend(
        &mut self,
        layer: usize,
        batch: &Arc<Batch>,
        qkv: Tensor<1>,
    ) -> Result<Tensor<2>, Broken> {
        let (qkv, place) = (qkv.into_dispatch(), self.place(layer));
        let output = Dispatch::decoder_attend(qkv, place, Arc::clone(batch));
        self.check(Tensor::from_dispatch(output))
    }

    fn linear_add(&self, layer: usize, x: Tensor<2>, y: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let (x, y) = (x.into_dispatch(), y.into_dispatch());
        let sum = Dispatch::decoder_linear_add(x, y, self.place(layer));
        self.check(Tensor::from_dispatch(sum))
    }

    fn norm_mlp(&self, layer: usize, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let sum = Dispatch::decoder_norm_mlp(x.into_dispatch(), self.place(layer));
        self.check(Tensor::from_dispatch(sum))
    }

    fn norm(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let h = Dispatch::decoder_norm(x.into_dispatch(), self.place(0));
        self.check(Tensor::from_dispatch(h))
    }

    fn head(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let logits = Dispatch::decoder_head(x.into_dispatch(), self.place(0));
        self.check(Tensor::from_dispatch(logits))
    }

    fn select_output(&self, batch: &Arc<Batch>, x: Tensor<2>) -> Result<Tensor<2>, Broken> {
        let [rows, width] = x.dims();
        if batch.output_rows.len() == rows {
            return Ok(x);
        }
        let data = x.into_data();
        let input = data.as_slice::<f32>().map_err(|_| Broken)?;
        let mut selection = Vec::with_capacity(batch.output_rows.len() * width);
        for row in &batch.output_rows {
            selection.extend_from_slice(input.get(row * width..(row + 1) * width).ok_or(Broken)?);
        }
        let data = TensorData::new(selection, [batch.output_rows.len(), width]);
        Ok(Tensor::from_data(data, &burn::tensor::Device::flex()))
    }
}

type Primitive = FloatTensor<Flex>;

impl DecoderOps for Flex {
    fn decoder_norm_qkv(x: Primitive, place: Place) -> Primitive {
        let qkv = place.try_layer(|model, layer| model.norm_qkv(layer, floats(&x)?));
        tensor(qkv, |len| [len].into())
    }

    fn decoder_attend(mut qkv: Primitive, place: Place, batch: Arc<Batch>) -> Primitive {
        let layer = place.layer;
        let qkv = qkv.storage_mut::<f32>();
        let output = place.try_layer(|model, weights| model.attend(layer, weights, &batch, qkv));
        let (queries, _) = place.model.shape.attention_widths();
        tensor(output, |len| [len / queries, queries].into())
    }

    fn decoder_linear_add(mut x: Primitive, y: Primitive, place: Place) -> Primitive {
        place.try_layer(|model, layer| {
            let after = layer.after_attention.as_deref();
            model.project(&layer.out, floats(&y)?, after, x.storage_mut::<f32>())
        });
        x
    }

    fn decoder_norm_mlp(mut x: Primitive, place: Place) -> Primitive {
        place.try_layer(|model, layer| model.norm_mlp(layer, x.storage_mut::<f32>()));
        x
    }

    fn decoder_norm(x: Primitive, place: Place) -> Primitive {
        let width = place.model.shape.width;
        let h = place.try_layer(|model, _| {
            let x = floats(&x)?;
            let mut h = vec![0.0; x.len()];
            rms_norm(&model.pool, x, &model.weights.norm, model.shape.eps, &mut h)?;
            Ok(h)
        });
        tensor(h, |len| [len / width, width].into())
    }

    fn decoder_head(x: Primitive, place: Place) -> Primitive {
        let vocab = place.model.shape.vocab;
        let logits = place.try_layer(|model, _| model.head(floats(&x)?));
        tensor(logits, |len| [len / vocab, vocab].into())
    }
}

impl Place {
    /// An operation's result. If the operation fails, the result is empty and a flag is set that
    /// [`PackedOperations::check`] turns into an error: burn's operations return no errors.
    fn try_layer<T: Default>(
        &self,
        operation: impl FnOnce(&Packed, &LayerWeights) -> Result<T, Error>,
    ) -> T {
        let layer = self.model.weights.layers.get(self.layer);
        let result = layer.and_then(|layer| operation(&self.model, layer).ok());
        if result.is_none() {
            self.model.has_failed.store(true, Ordering::Relaxed);
        }
        result.unwrap_or_default()
    }
}

impl Packed {
    fn norm_qkv(&self, layer: &LayerWeights, x: &[f32]) -> Result<Vec<f32>, Error> {
        let rows = x.len() / self.shape.width;
        let (queries, keys) = self.shape.attention_widths();
        let mut qkv = vec![0.0; rows * (queries + 2 * keys)];
        let (q, kv) = qkv.split_at_mut(rows * queries);
        let (k, v) = kv.split_at_mut(rows * keys);
        let mut scratch = lock(&self.scratch);
        let h = resize(&mut scratch.h, x.len());
        rms_norm(&self.pool, x, &layer.norm_attention, self.shape.eps, h)?;
        let [q_proj, k_proj, v_proj] = &layer.qkv;
        linear(&self.pool, h, rows, &mut [q_proj.to(q), k_proj.to(k), v_proj.to(v)])?;
        Ok(qkv)
    }

    fn attend(
        &self,
        index: usize,
        layer: &LayerWeights,
        batch: &Batch,
        qkv: &mut [f32],
    ) -> Result<Vec<f32>, Error> {
        let shape = &self.shape;
        let (rows, (queries, keys)) = (batch.tokens.len(), shape.attention_widths());
        let no_layer = Error::Length { argument: "a layer", len: 0, required_len: 1 };
        let (q, kv) = qkv.split_at_mut_checked(rows * queries).ok_or(no_layer)?;
        let (k, v) = kv.split_at_mut_checked(rows * keys).ok_or(no_layer)?;
        if let Some([q_norm, k_norm]) = &layer.norm_heads {
            rms_norm_in_place(&self.pool, q, q_norm, shape.eps)?;
            rms_norm_in_place(&self.pool, k, k_norm, shape.eps)?;
        }
        let ropes = lock(&self.ropes);
        if let Some(table) = shape.layers.get(index).ok_or(no_layer)?.rope {
            let angles = ropes.get(table).ok_or(no_layer)?;
            rope(&self.pool, q, shape.heads, shape.dim, angles, &batch.positions)?;
            rope(&self.pool, k, shape.kv_heads, shape.dim, angles, &batch.positions)?;
        }
        let spans: Vec<shoal_kernel::Span<'_>> = batch
            .sequences
            .iter()
            .map(|sequence| shoal_kernel::Span {
                rows: sequence.rows.clone(),
                past: sequence.past,
                pages: &sequence.pages,
            })
            .collect();
        let attention = *self.attention.get(index).ok_or(no_layer)?;
        let mut output = vec![0.0; rows * queries];
        let kv = &mut *lock(&self.kv);
        attend(&self.pool, attention, q, k, v, kv, index, &spans, &mut output)?;
        Ok(output)
    }

    /// Adds the projection of `y` to `x`, after a norm of its own where there is one.
    fn project(
        &self,
        out: &Linear,
        y: &[f32],
        after: Option<&[f32]>,
        x: &mut [f32],
    ) -> Result<(), Error> {
        let rows = x.len() / self.shape.width;
        let Some(gamma) = after else {
            return linear(&self.pool, y, rows, &mut [Output { add: true, ..out.to(x) }]);
        };
        let mut scratch = lock(&self.scratch);
        let projection = resize(&mut scratch.h, x.len());
        linear(&self.pool, y, rows, &mut [out.to(projection)])?;
        rms_norm_in_place(&self.pool, projection, gamma, self.shape.eps)?;
        x.iter_mut().zip(projection).for_each(|(x, projection)| *x += *projection);
        Ok(())
    }

    fn norm_mlp(&self, layer: &LayerWeights, x: &mut [f32]) -> Result<(), Error> {
        let shape = &self.shape;
        let rows = x.len() / shape.width;
        let mut scratch = std::mem::take(&mut *lock(&self.scratch));
        let h = resize(&mut scratch.h, x.len());
        rms_norm(&self.pool, x, &layer.norm_mlp, shape.eps, h)?;
        let gate = resize(&mut scratch.gate, rows * shape.inner);
        let up = resize(&mut scratch.up, rows * shape.inner);
        linear(&self.pool, h, rows, &mut [layer.gate.to(gate), layer.up.to(up)])?;
        gated(&self.pool, shape.activation, gate, up)?;
        match &layer.after_mlp {
            None => {
                let down = Output { add: true, ..layer.down.to(x) };
                linear(&self.pool, gate, rows, &mut [down])?;
            }
            Some(gamma) => {
                linear(&self.pool, gate, rows, &mut [layer.down.to(h)])?;
                rms_norm_in_place(&self.pool, h, gamma, shape.eps)?;
                x.iter_mut().zip(h).for_each(|(x, h)| *x += *h);
            }
        }
        *lock(&self.scratch) = scratch;
        Ok(())
    }

    fn head(&self, x: &[f32]) -> Result<Vec<f32>, Error> {
        let rows = x.len() / self.shape.width;
        let mut logits = vec![0.0; rows * self.shape.vocab];
        let matrix = self.weights.head.as_ref().unwrap_or(&self.weights.embed);
        let head = Output { matrix, out: &mut logits, add: false, bias: None };
        linear(&self.pool, x, rows, &mut [head])?;
        if let Some(cap) = self.shape.final_softcap {
            logits.iter_mut().for_each(|logit| *logit = cap * (*logit / cap).tanh());
        }
        Ok(logits)
    }
}

impl Linear {
    fn to<'a>(&'a self, out: &'a mut [f32]) -> Output<'a> {
        Output { matrix: &self.matrix, out, add: false, bias: self.bias.as_deref() }
    }
}

impl Scratch {
    /// Frees the memory for a long prompt.
    fn shrink(&mut self, shape: &Shape) {
        for (buffer, width) in
            [(&mut self.h, shape.width), (&mut self.gate, shape.inner), (&mut self.up, shape.inner)]
        {
            if buffer.len() > KEPT_ROWS * width {
                buffer.truncate(KEPT_ROWS * width);
                buffer.shrink_to_fit();
            }
        }
    }
}

/// The angles of the first `positions` positions, at most of the whole context, for each of
/// [`Shape::ropes`].
fn tables(shape: &Shape, positions: usize) -> Result<Vec<Rope>, Error> {
    let positions = positions.min(shape.context);
    let angles = shape.ropes.iter().map(|rope| (rope.angles(positions), rope.dims / 2));
    angles.map(|(angles, pairs)| Rope::new(angles.cos, angles.sin, pairs)).collect()
}

/// The first `len` floats of a buffer, which grows if it is too short. The caller overwrites them.
fn resize(buffer: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    buffer.split_at_mut(len).0
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The floats of a contiguous tensor. All tensors between these operations are contiguous.
fn floats(x: &Primitive) -> Result<&[f32], Error> {
    x.as_slice::<f32>().ok_or(Error::Length {
        argument: "a contiguous tensor",
        len: 0,
        required_len: 1,
    })
}

fn tensor(data: Vec<f32>, shape: impl FnOnce(usize) -> TensorShape) -> Primitive {
    let shape = shape(data.len());
    Primitive::from_data(TensorData::new(data, shape))
}
