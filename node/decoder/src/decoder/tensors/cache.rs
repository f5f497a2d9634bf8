//! Keys and values as tensors, and a batch as the tensors that all layers share.

use std::{cell::RefCell, collections::BTreeMap};

use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use shoal_model::{Broken, PAGE};

use crate::decoder::{
    batch::{Batch, Sequence},
    shape::{RopeShape, Shape},
};

/// Below every score.
const NEVER: f32 = -1e30;

/// The keys and the values of each layer: `[slots, kv_heads * dim]`, a slot for each position of a
/// page, pages one after another.
#[derive(Debug)]
pub(super) struct Cache {
    layers: Vec<[Tensor<2>; 2]>,
    shape: Shape,
    device: Device,
    /// Pages that may be used.
    limit: usize,
    /// Pages that have memory.
    pages: usize,
}

/// A batch and the tensors that all layers share.
#[derive(Debug)]
pub(in crate::decoder) struct Step {
    pub(super) batch: Batch,
    /// For each of [`Shape::ropes`].
    pub(super) turns: Vec<Turn>,
    /// The output rows; `None` if all rows are.
    pub(super) output_rows: Option<Tensor<1, Int>>,
    /// Where the new rows go: `[rows, 1]`.
    new: Tensor<2, Int>,
    /// For each sequence, where its positions lie, those of the new rows too.
    slots: Vec<Tensor<1, Int>>,
    masks: RefCell<BTreeMap<(usize, Option<usize>), Tensor<4>>>,
}

/// Cosines and sines of the rows' positions: `[rows, 1, pairs]`.
#[derive(Debug)]
pub(super) struct Turn {
    cos: Tensor<3>,
    sin: Tensor<3>,
}

impl Turn {
    fn new(rope: &RopeShape, positions: &[u32], device: &Device) -> Self {
        let (speeds, magnitude) = rope.speeds();
        let shape = [positions.len(), 1, speeds.len()];
        let angles = positions
            .iter()
            .flat_map(|position| speeds.iter().map(move |speed| f64::from(*position) * speed));
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles
            .map(|angle| ((angle.cos() * magnitude) as f32, (angle.sin() * magnitude) as f32))
            .unzip();
        let [cos, sin] =
            [cos, sin].map(|floats| Tensor::from_data(TensorData::new(floats, shape), device));
        Self { cos, sin }
    }

    /// Turns heads, `[rows, heads, dim]`: dimension `i` with dimension `pairs + i`.
    pub(super) fn apply(&self, x: Tensor<3>) -> Tensor<3> {
        let ([_, _, dim], [_, _, pairs]) = (x.dims(), self.cos.dims());
        let first = x.clone().narrow(2, 0, pairs);
        let second = x.clone().narrow(2, pairs, pairs);
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let mut parts = vec![
            first.clone() * cos.clone() - second.clone() * sin.clone(),
            second * cos + first * sin,
        ];
        if dim > 2 * pairs {
            parts.push(x.narrow(2, 2 * pairs, dim - 2 * pairs));
        }
        Tensor::cat(parts, 2)
    }
}

impl Cache {
    pub(super) fn new(shape: &Shape, device: &Device) -> Self {
        let (shape, device) = (shape.clone(), device.clone());
        Self { layers: Vec::new(), shape, device, limit: 0, pages: 0 }
    }

    pub(super) fn page_bytes(&self) -> usize {
        2 * size_of::<f32>() * PAGE * self.width() * self.shape.layers.len()
    }

    pub(super) fn reserve(&mut self, pages: usize) {
        self.limit = self.limit.max(pages);
    }

    /// Copies the first `pages` pages to memory of their own, and frees the rest.
    pub(super) fn release_from(&mut self, pages: usize) {
        if pages >= self.pages {
            return;
        }
        let slots = i64::try_from(pages * PAGE).unwrap_or(i64::MAX);
        let layers = std::mem::take(&mut self.layers);
        if pages > 0 {
            let slot_indices = Tensor::<1, Int>::arange(0..slots, &self.device);
            let shrink = |kv: [Tensor<2>; 2]| kv.map(|store| store.select(0, slot_indices.clone()));
            self.layers = layers.into_iter().map(shrink).collect();
        }
        self.pages = pages;
    }

    /// Bytes of the pages that have memory.
    pub(super) fn bytes(&self) -> usize {
        self.pages * self.page_bytes()
    }

    fn width(&self) -> usize {
        self.shape.kv_heads * self.shape.dim
    }

    /// Allocates memory for the pages that a batch names. The memory doubles, up to the limit.
    fn grow(&mut self, batch: &Batch) {
        let last = batch.sequences.iter().flat_map(|sequence| sequence.pages.iter().copied()).max();
        let pages_needed = last.map_or(0, |last| last as usize + 1);
        if pages_needed <= self.pages {
            return;
        }
        let pages = pages_needed.max(2 * self.pages).min(self.limit.max(pages_needed));
        let more = [(pages - self.pages) * PAGE, self.width()];
        self.layers = if self.pages == 0 {
            self.shape
                .layers
                .iter()
                .map(|_| [(); 2].map(|()| Tensor::zeros(more, &self.device)))
                .collect()
        } else {
            let old = std::mem::take(&mut self.layers).into_iter();
            old.map(|kv| kv.map(|old| Tensor::cat(vec![old, Tensor::zeros(more, &self.device)], 0)))
                .collect()
        };
        self.pages = pages;
    }

    pub(super) fn prepare(&mut self, batch: Batch) -> Result<Step, Broken> {
        self.grow(&batch);
        let mut new = Vec::with_capacity(batch.tokens.len());
        let mut slots = Vec::with_capacity(batch.sequences.len());
        for sequence in &batch.sequences {
            new.extend(indices(sequence, sequence.past)?);
            slots.push(self.ids(indices(sequence, 0)?));
        }
        let is_whole = batch.output_rows.len() == batch.tokens.len();
        let output_rows = match is_whole || batch.output_rows.is_empty() {
            true => None,
            false => {
                let rows = batch.output_rows.iter().map(|row| index(*row));
                Some(self.ids(rows.collect::<Result<_, _>>()?))
            }
        };
        let (turns, new) = (self.turns(&batch), self.ids(new).unsqueeze_dim(1));
        Ok(Step { turns, output_rows, new, slots, masks: RefCell::default(), batch })
    }

    fn ids(&self, ids: Vec<i32>) -> Tensor<1, Int> {
        let len = ids.len();
        Tensor::from_data(TensorData::new(ids, [len]), &self.device)
    }

    fn turns(&self, batch: &Batch) -> Vec<Turn> {
        let ropes = self.shape.ropes.iter();
        ropes.map(|rope| Turn::new(rope, &batch.positions, &self.device)).collect()
    }

    /// Writes the new rows of keys and values, `[rows, kv_heads * dim]`.
    pub(super) fn append(
        &mut self,
        layer: usize,
        step: &Step,
        k: Tensor<2>,
        v: Tensor<2>,
    ) -> Result<(), Broken> {
        let kv = self.layers.get_mut(layer).ok_or(Broken)?;
        for (store, new) in kv.iter_mut().zip([k, v]) {
            let at = step.new.clone();
            store.inplace(|store| store.scatter_nd::<2, 2>(at, new, IndexingUpdateOp::Assign));
        }
        Ok(())
    }

    /// All of a sequence's keys and values: `[positions, kv_heads * dim]`.
    pub(super) fn read(
        &self,
        layer: usize,
        step: &Step,
        sequence: usize,
    ) -> Result<[Tensor<2>; 2], Broken> {
        let kv = self.layers.get(layer).ok_or(Broken)?;
        let slots = step.slots.get(sequence).ok_or(Broken)?;
        Ok(kv.each_ref().map(|store| store.clone().select(0, slots.clone())))
    }
}

/// Where a sequence's positions lie, those from `first` on.
fn indices(sequence: &Sequence, first: usize) -> Result<Vec<i32>, Broken> {
    (first..sequence.len()).map(|at| index(sequence.slot(at)?)).collect()
}

/// burn's tensors are indexed by 32 bits.
fn index(at: usize) -> Result<i32, Broken> {
    i32::try_from(at).map_err(|_| Broken)
}

impl Step {
    pub(super) fn rows(&self) -> usize {
        self.batch.tokens.len()
    }

    /// The attention mask of a sequence: `[1, new rows, 1, positions]`.
    pub(super) fn mask(
        &self,
        sequence: usize,
        window: Option<usize>,
        device: &Device,
    ) -> Result<Tensor<4>, Broken> {
        let rows = self.batch.sequences.get(sequence).ok_or(Broken)?;
        let mut masks = self.masks.borrow_mut();
        Ok(masks.entry((sequence, window)).or_insert_with(|| mask(rows, window, device)).clone())
    }
}

/// 0 if a row sees a position, else [`NEVER`].
fn mask(sequence: &Sequence, window: Option<usize>, device: &Device) -> Tensor<4> {
    let (new, len) = (sequence.rows.len(), sequence.len());
    let floats: Vec<f32> = (sequence.past..len)
        .flat_map(|row| (0..len).map(move |at| if sees(row, at, window) { 0.0 } else { NEVER }))
        .collect();
    Tensor::from_data(TensorData::new(floats, [1, new, 1, len]), device)
}

/// A row sees itself and the positions before it, within the window.
fn sees(row: usize, at: usize, window: Option<usize>) -> bool {
    at <= row && window.is_none_or(|window| row - at < window)
}
