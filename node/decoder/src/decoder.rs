//! The decoder that serves: every architecture of [`arch::ARCHITECTURES`] from one model code.
//!
//! The layers use one of two sets of [`Operations`]: [`packed`] on packed weights for burn's Flex
//! backend on the CPU, and [`tensors`] on burn's tensors for every other device.

pub(crate) mod arch;
pub(crate) mod shape;
mod weights;
mod batch;
mod packed;
mod tensors;
mod settings;
mod open;
#[cfg(test)]
mod tests;

pub use arch::table as architecture_table;
pub(crate) use open::{open, shape_of};
pub use settings::DeviceKind;
pub(crate) use settings::Settings;
pub(crate) use shape::Shape;
#[cfg(test)]
use shoal_kernel::{Isa, KvFormat};

use burn::tensor::{Device, Tensor};
use shoal_model::{Broken, Decode, Span};

use batch::Batch;
use packed::PackedOperations;
use tensors::TensorOperations;
use weights::Weights;

/// The operations of a decoder's layers. The rows of all tensors are the tokens of a step, one span
/// after another. An operation fails if the layer does not exist or the tensors do not fit.
trait Operations: Send + 'static {
    /// A batch, prepared once for all layers.
    type Step;
    /// Queries, keys and values.
    type Qkv;

    /// Bytes of weights that a step of one token reads.
    fn weight_bytes(&self) -> u64;
    /// Makes pages `0..pages` usable.
    fn reserve(&mut self, pages: usize);
    /// Frees memory of the pages from `first` on, if the device can.
    fn release_from(&mut self, first: usize);
    /// Bytes of memory that the cache has now.
    fn cache_bytes(&self) -> usize;
    /// Bytes of one page over all layers.
    fn page_bytes(&self) -> usize;
    fn prepare(&mut self, batch: Batch) -> Result<Self::Step, Broken>;
    /// The scaled embeddings of the batch's tokens, `[rows, width]`.
    fn embed(&self, step: &Self::Step) -> Result<Tensor<2>, Broken>;
    /// The first norm of a layer and its three projections.
    fn norm_qkv(&self, layer: usize, x: Tensor<2>) -> Result<Self::Qkv, Broken>;
    /// QK norm, rotary positions, append to the cache, attention: `[rows, heads * dim]`.
    fn attend(
        &mut self,
        layer: usize,
        step: &Self::Step,
        qkv: Self::Qkv,
    ) -> Result<Tensor<2>, Broken>;
    /// `x` plus the (normed) projection of `y`.
    fn linear_add(&self, layer: usize, x: Tensor<2>, y: Tensor<2>) -> Result<Tensor<2>, Broken>;
    /// `x` plus the (normed) MLP of its norm.
    fn norm_mlp(&self, layer: usize, x: Tensor<2>) -> Result<Tensor<2>, Broken>;
    /// The last norm.
    fn norm(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken>;
    /// Logits of normed rows, `[rows, vocab]`.
    fn head(&self, x: Tensor<2>) -> Result<Tensor<2>, Broken>;
    /// The output rows of `x`.
    fn select_output(&self, step: &Self::Step, x: Tensor<2>) -> Result<Tensor<2>, Broken>;
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
    /// The output rows after the last norm; `None` if the step has no output rows.
    fn run(&mut self, spans: &[Span<'_>]) -> Result<Option<Tensor<2>>, Broken> {
        let batch = Batch::read(spans, self.shape.vocab, self.shape.context, self.pages)?;
        let output_rows = batch.output_rows.len();
        let operations = &mut self.operations;
        let step = operations.prepare(batch)?;
        let mut x = operations.embed(&step)?;
        let last = self.shape.layers.len().saturating_sub(1);
        for layer in 0..=last {
            let qkv = operations.norm_qkv(layer, x.clone())?;
            let mut attention = operations.attend(layer, &step, qkv)?;
            if layer == last {
                // The rest works on each row by itself, so only the output rows are needed.
                if output_rows == 0 {
                    return Ok(None);
                }
                attention = operations.select_output(&step, attention)?;
                x = operations.select_output(&step, x)?;
            }
            x = operations.linear_add(layer, x, attention)?;
            x = operations.norm_mlp(layer, x)?;
        }
        operations.norm(x).map(Some)
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

    fn release_from(&mut self, first: usize) {
        self.operations.release_from(first);
    }

    fn cache_bytes(&self) -> usize {
        self.operations.cache_bytes()
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        let rows = self.run(spans)?;
        let logits = rows.map(|rows| self.operations.head(rows)).transpose()?;
        floats(logits)
    }

    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        let rows = self.run(spans)?;
        floats(rows)
    }
}

/// The floats of a tensor; empty if the step has no output rows.
fn floats(rows: Option<Tensor<2>>) -> Result<Vec<f32>, Broken> {
    let Some(rows) = rows else { return Ok(Vec::new()) };
    let floats = rows.into_data().try_into_vec::<f32>().map_err(|_| Broken)?;
    if are_finite(&floats) { Ok(floats) } else { Err(Broken) }
}

/// Whether all floats are finite. Without the sign, the bits of infinity and of NaN are not below
/// those of infinity.
fn are_finite(floats: &[f32]) -> bool {
    floats.iter().map(|float| float.to_bits() & 0x7fff_ffff).fold(0, u32::max)
        < f32::INFINITY.to_bits()
}
