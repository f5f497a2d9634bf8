//! The keys and values of past positions, in pages.

use std::ops::Range;

use half::f16;

use crate::{Error, simd::Simd};

/// Positions of a page.
pub const PAGE: usize = 16;

/// How keys and values are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// Half precision: for serving.
    F16,
    /// As computed: for comparing with other implementations.
    F32,
}

/// Pages of keys and values for every layer of a model. A page holds 16 positions of one sequence
/// in all layers; which pages a sequence has, its owner knows ([`crate::Span`]).
///
/// In each layer a page is the keys, `[kv_heads][dim][16]`, so that 16 scores are one chain of
/// products, and the values, `[kv_heads][16][dim]`, each row filled up to whole vectors.
#[derive(Debug)]
pub struct KvPool {
    layers: usize,
    kv_heads: usize,
    dim: usize,
    format: KvFormat,
    pages: usize,
    slabs: Slabs,
}

/// Memory comes in slabs of so many pages: never moved, never copied to grow.
pub(crate) const SLAB: usize = 32;

#[derive(Debug)]
pub(crate) enum Slabs {
    F16(Vec<Slab<u16>>),
    F32(Vec<Slab<f32>>),
}

/// `SLAB` pages from the first whole cache line on.
#[derive(Debug)]
pub(crate) struct Slab<E> {
    values: Vec<E>,
    first: usize,
}

impl<E: Element> Slab<E> {
    fn new(len: usize) -> Self {
        const LINE: usize = 64;
        let spare = LINE / size_of::<E>();
        // Zeroed by the system when it is first touched, not here.
        let values = vec![E::ZERO; len + spare];
        let first = values.as_ptr().align_offset(LINE);
        Self { first: if first <= spare { first } else { 0 }, values }
    }

    pub(crate) fn values(&self) -> &[E] {
        self.values.get(self.first..).unwrap_or_default()
    }

    pub(crate) fn values_mut(&mut self) -> &mut [E] {
        self.values.get_mut(self.first..).unwrap_or_default()
    }
}

/// A kind of number that keys and values are kept as.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn load<S: Simd>(s: S, from: &[Self; 16]) -> S::F;
    /// Held to what the kind can hold, so that a later product with 0 is 0.
    fn store<S: Simd>(s: S, v: S::F, to: &mut [Self; 16]);
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[Self; 16]) -> S::F {
        s.load(from)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, v: S::F, to: &mut [Self; 16]) {
        s.store(v, to);
    }
}

impl Element for u16 {
    const ZERO: Self = 0;
    #[inline(always)]
    fn load<S: Simd>(s: S, from: &[Self; 16]) -> S::F {
        s.load_f16(from)
    }
    #[inline(always)]
    fn store<S: Simd>(s: S, v: S::F, to: &mut [Self; 16]) {
        let most = f16::MAX.to_f32();
        let held = s.max(s.min(v, s.splat(most)), s.splat(-most));
        s.store_f16(held, to);
    }
}

impl KvPool {
    /// No pages yet.
    pub fn new(layers: usize, kv_heads: usize, dim: usize, format: KvFormat) -> Self {
        let slabs = match format {
            KvFormat::F16 => Slabs::F16(Vec::new()),
            KvFormat::F32 => Slabs::F32(Vec::new()),
        };
        Self { layers, kv_heads, dim, format, pages: 0, slabs }
    }

    /// What one page takes, in all layers.
    pub fn page_bytes(&self) -> usize {
        let element = match self.format {
            KvFormat::F16 => size_of::<u16>(),
            KvFormat::F32 => size_of::<f32>(),
        };
        self.layout().page() * element
    }

    /// Pages that there are: their numbers are below this.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// How keys and values are kept.
    pub fn format(&self) -> KvFormat {
        self.format
    }

    /// Makes pages until there are so many. Memory that is never written is never taken from the
    /// system.
    pub fn reserve(&mut self, pages: usize) {
        let len = self.layout().page() * SLAB;
        let slabs = pages.div_ceil(SLAB);
        match &mut self.slabs {
            Slabs::F16(all) => all.extend((all.len()..slabs).map(|_| Slab::new(len))),
            Slabs::F32(all) => all.extend((all.len()..slabs).map(|_| Slab::new(len))),
        }
        self.pages = self.pages.max(pages);
    }

    /// Copies a page in all layers: for a sequence that goes on from the middle of a shared one.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn copy(&mut self, from: u32, to: u32) -> Result<(), Error> {
        for page in [from, to] {
            self.check(page)?;
        }
        let layout = self.layout();
        match &mut self.slabs {
            Slabs::F16(slabs) => copy(slabs, layout, from, to),
            Slabs::F32(slabs) => copy(slabs, layout, from, to),
        }
        Ok(())
    }

    pub(crate) fn check(&self, page: u32) -> Result<(), Error> {
        if (page as usize) < self.pages {
            return Ok(());
        }
        Err(Error::Range { what: "a page", got: page as usize, must: "one of those reserved" })
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout { layers: self.layers, kv_heads: self.kv_heads, dim: self.dim }
    }

    pub(crate) fn slabs_mut(&mut self) -> &mut Slabs {
        &mut self.slabs
    }
}

fn copy<E: Element>(slabs: &mut [Slab<E>], layout: Layout, from: u32, to: u32) {
    for head in 0..layout.layers * layout.kv_heads {
        let (source, target) = (layout.place(from, 0, head), layout.place(to, 0, head));
        let (source_range, target_range) = (source.whole(), target.whole());
        if source.slab == target.slab {
            if let Some(slab) = slabs.get_mut(source.slab) {
                slab.values_mut().copy_within(source_range, target_range.start);
            }
        } else if let Ok([from, to]) = slabs.get_disjoint_mut([source.slab, target.slab])
            && let (Some(from), Some(to)) =
                (from.values().get(source_range), to.values_mut().get_mut(target_range))
        {
            to.copy_from_slice(from);
        }
    }
}

/// Where things lie in a slab, in elements: `[layers][kv_heads][pages][keys, values]`, so that what
/// one head reads page after page lies together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub(crate) layers: usize,
    pub(crate) kv_heads: usize,
    pub(crate) dim: usize,
}

/// The keys and the values of one head in one layer of one page.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) slab: usize,
    pub(crate) keys: Range<usize>,
    pub(crate) values: Range<usize>,
}

impl Place {
    fn whole(&self) -> Range<usize> {
        self.keys.start..self.values.end
    }
}

impl Layout {
    /// Vectors of a row of values.
    pub(crate) fn value_vectors(&self) -> usize {
        self.dim.div_ceil(16)
    }

    fn keys(&self) -> usize {
        self.dim * PAGE
    }

    /// Keys and values of one head in one layer.
    fn head(&self) -> usize {
        self.keys() + self.value_vectors() * 16 * PAGE
    }

    fn page(&self) -> usize {
        self.layers * self.kv_heads * self.head()
    }

    pub(crate) fn place(&self, page: u32, layer: usize, head: usize) -> Place {
        let page = page as usize;
        let index = (layer * self.kv_heads + head) * SLAB + page % SLAB;
        let start = index * self.head();
        let (middle, end) = (start + self.keys(), start + self.head());
        Place { slab: page / SLAB, keys: start..middle, values: middle..end }
    }
}
