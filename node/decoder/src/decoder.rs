//! The decoder that serves: every architecture of [`arch::ARCHITECTURES`] from one model code.
//!
//! What the layers are made of is one of two sets of [`Operations`]: [`packed`] ones on packed
//! weights for burn's Flex backend on the CPU, and [`tensors`] ones out of burn's tensors for every
//! other device.

pub mod arch;
pub mod shape;
mod weights;
mod batch;
mod packed;
mod tensors;
mod open;
#[cfg(test)]
mod tests;

pub use open::{DeviceKind, Settings, open, shape_of};
pub use shape::{Shape, ShapeError};
pub use shoal_kernel::{Isa, KvFormat};

use burn::tensor::{Device, Tensor};

use batch::Batch;
use packed::PackedOperations;
use shoal_model::{Broken, Decode, Span};
use tensors::TensorOperations;
use weights::Weights;

/// What a decoder's layers are made of. Rows of all tensors are the tokens of a step, spans one
/// after another.
trait Operations: Send + 'static {
    /// A batch, made ready once for all layers.
    type Step;
    /// Queries, keys and values.
    type Qkv;

    /// Bytes of weights that a step of one token reads.
    fn weight_bytes(&self) -> u64;
    /// Makes pages `0..pages` usable.
    fn reserve(&mut self, pages: usize);
    /// Bytes of one page over all layers.
    fn page_bytes(&self) -> usize;
    fn prepare(&mut self, batch: Batch) -> Self::Step;
    /// The scaled embeddings of the batch's tokens, `[rows, width]`.
    fn embed(&self, step: &Self::Step) -> Tensor<2>;
    /// The first norm of a layer and its three projections.
    fn norm_qkv(&self, layer: usize, x: Tensor<2>) -> Self::Qkv;
    /// QK norm, rotary positions, append to the cache, attention: `[rows, heads * dim]`.
    fn attend(&mut self, layer: usize, step: &Self::Step, qkv: Self::Qkv) -> Tensor<2>;
    /// `x` plus the (normed) projection of `y`.
    fn linear_add(&self, layer: usize, x: Tensor<2>, y: Tensor<2>) -> Tensor<2>;
    /// `x` plus the (normed) MLP of its norm.
    fn norm_mlp(&self, layer: usize, x: Tensor<2>) -> Tensor<2>;
    /// The last norm.
    fn norm(&self, x: Tensor<2>) -> Tensor<2>;
    /// Logits of normed rows, `[rows, vocab]`.
    fn head(&self, x: Tensor<2>) -> Tensor<2>;
    /// The rows of `x` that the step wants.
    fn wanted(&self, step: &Self::Step, x: Tensor<2>) -> Tensor<2>;
    /// Whether an operation since the last call did not fit its tensors.
    fn failed(&mut self) -> bool;
}

/// A decoder with its weights and its KV cache.
#[derive(Debug)]
struct Decoder<O> {
    shape: Shape,
    operations: O,
    pages: usize,
}

fn packed(shape: Shape, weights: Weights, settings: Settings) -> Decoder<PackedOperations> {
    Decoder { operations: PackedOperations::new(&shape, weights, settings), shape, pages: 0 }
}

fn tensors(shape: Shape, weights: &Weights, device: &Device) -> Decoder<TensorOperations> {
    Decoder { operations: TensorOperations::new(&shape, weights, device), shape, pages: 0 }
}

impl<O: Operations> Decoder<O> {
    /// The wanted rows after the last norm; `None` where nobody wants any.
    fn run(&mut self, spans: &[Span<'_>]) -> Result<Option<Tensor<2>>, Broken> {
        let batch = Batch::read(spans, self.shape.vocab, self.shape.context, self.pages)?;
        let wanted = batch.wanted.len();
        let operations = &mut self.operations;
        let step = operations.prepare(batch);
        let mut x = operations.embed(&step);
        let last = self.shape.layers.len().saturating_sub(1);
        for layer in 0..=last {
            let qkv = operations.norm_qkv(layer, x.clone());
            let mut mixed = operations.attend(layer, &step, qkv);
            if layer == last {
                // What follows looks at one row at a time: only at those that somebody wants.
                if wanted == 0 {
                    return if operations.failed() { Err(Broken) } else { Ok(None) };
                }
                mixed = operations.wanted(&step, mixed);
                x = operations.wanted(&step, x);
            }
            x = operations.linear_add(layer, x, mixed);
            x = operations.norm_mlp(layer, x);
        }
        Ok(Some(operations.norm(x)))
    }

    fn floats(&mut self, rows: Option<Tensor<2>>) -> Result<Vec<f32>, Broken> {
        let floats = match rows {
            Some(rows) => rows.into_data().try_into_vec::<f32>().map_err(|_| Broken)?,
            None => Vec::new(),
        };
        if self.operations.failed() || !finite(&floats) {
            return Err(Broken);
        }
        Ok(floats)
    }
}

impl<O: Operations> Decode for Decoder<O> {
    fn vocab(&self) -> usize {
        self.shape.vocab
    }

    fn context(&self) -> usize {
        self.shape.context
    }

    fn width(&self) -> usize {
        self.shape.width
    }

    fn page_bytes(&self) -> usize {
        self.operations.page_bytes()
    }

    fn weight_bytes(&self) -> u64 {
        self.operations.weight_bytes()
    }

    fn reserve(&mut self, pages: usize) {
        self.operations.reserve(pages);
        self.pages = self.pages.max(pages);
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        let rows = self.run(spans)?;
        let logits = rows.map(|rows| self.operations.head(rows));
        self.floats(logits)
    }

    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        let rows = self.run(spans)?;
        self.floats(rows)
    }
}

/// Whether all are numbers: their exponents are below the one of infinity and of what is none.
fn finite(floats: &[f32]) -> bool {
    let size = |float: &f32| float.to_bits() & 0x7fff_ffff;
    floats.iter().map(size).fold(0, u32::max) < f32::INFINITY.to_bits()
}
