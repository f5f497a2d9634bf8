//! What one sequence has said so far: the keys and values of every layer.

use std::sync::{Arc, Mutex, PoisonError};

/// The keys and values of one sequence. It grows as the sequence does, by doubling.
#[derive(Debug)]
pub struct KvCache {
    layers: Vec<Arc<Mutex<LayerKv>>>,
    len: usize,
}

impl KvCache {
    /// Room for nothing yet; [`super::LlamaForCausalLm::cache`] makes one that fits a model.
    pub(super) fn new(layers: usize, kv_heads: usize, dim: usize) -> Self {
        let layer = || Arc::new(Mutex::new(LayerKv::new(kv_heads, dim)));
        Self { layers: (0..layers).map(|_| layer()).collect(), len: 0 }
    }

    /// Tokens held.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Nothing was said yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forgets all but the first `len` tokens; longer than what is held changes nothing.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    pub(super) fn layer(&self, index: usize) -> Option<Slot> {
        let layer = self.layers.get(index)?.clone();
        Some(Slot { layer, past: self.len })
    }

    pub(super) fn grew_by(&mut self, tokens: usize) {
        self.len += tokens;
    }
}

/// One sequence's place in one layer: `past` tokens come before the new ones.
#[derive(Clone, Debug)]
pub struct Slot {
    pub(in crate::engine::burn) layer: Arc<Mutex<LayerKv>>,
    pub(in crate::engine::burn) past: usize,
}

impl Slot {
    pub(in crate::engine::burn) fn with<R>(&self, work: impl FnOnce(&mut LayerKv) -> R) -> R {
        work(&mut self.layer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One layer: keys transposed (`[kv_heads, dim, room]`), values by row (`[kv_heads, room, dim]`).
#[derive(Debug)]
pub struct LayerKv {
    pub(in crate::engine::burn) keys: Vec<f32>,
    pub(in crate::engine::burn) values: Vec<f32>,
    pub(in crate::engine::burn) room: usize,
    kv_heads: usize,
    dim: usize,
}

impl LayerKv {
    fn new(kv_heads: usize, dim: usize) -> Self {
        Self { keys: Vec::new(), values: Vec::new(), room: 0, kv_heads, dim }
    }

    /// Makes room for `tokens` in all; what is held stays.
    pub(in crate::engine::burn) fn reserve(&mut self, tokens: usize) {
        if tokens <= self.room {
            return;
        }
        let room = tokens.next_power_of_two().max(64);
        let (heads, dim, old) = (self.kv_heads, self.dim, self.room);
        self.keys = widen(&self.keys, heads * dim, old, room);
        self.values = widen(&self.values, heads, old * dim, room * dim);
        self.room = room;
    }
}

/// Copies `rows` rows of `old` floats into rows of `new` floats; the rest is 0.
fn widen(from: &[f32], rows: usize, old: usize, new: usize) -> Vec<f32> {
    let mut wide = vec![0f32; rows * new];
    for (to, from) in wide.chunks_exact_mut(new).zip(from.chunks_exact(old.max(1))) {
        if let Some(start) = to.get_mut(..old) {
            start.copy_from_slice(from);
        }
    }
    wide
}
