//! The keys and values of past positions, in pages.
#![expect(clippy::indexing_slicing, reason = "places follow from the layout, pages are checked")]

use std::ops::Range;

use half::f16;

use crate::{Error, simd::Simd};

/// Positions of a page.
pub const PAGE: usize = 16;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KvFormat {
    /// Half precision: for serving.
    F16,
    /// As computed, for comparisons with other implementations.
    F32,
}

/// Pages of keys and values for every layer of a model. A page holds 16 positions of one sequence
/// in all layers. The owner of a sequence keeps the list of its pages ([`crate::Span`]).
///
/// In each layer a page has the keys, `[kv_heads][dim][16]`, so that one chain of products gives 16
/// scores, and the values, `[kv_heads][16][dim]`, with each row padded to whole vectors.
#[derive(Debug)]
pub struct KvPool {
    layers: usize,
    kv_heads: usize,
    dim: usize,
    format: KvFormat,
    pages: usize,
    slabs: Slabs,
}

/// Pages of a slab. Memory comes and goes in whole slabs, which are never moved or copied.
pub(crate) const SLAB: usize = 32;

#[derive(Debug)]
pub(crate) enum Slabs {
    F16(Vec<Slab<u16>>),
    F32(Vec<Slab<f32>>),
}

/// `SLAB` pages that begin on a cache line. By default without memory.
#[derive(Debug, Default)]
pub(crate) struct Slab<E> {
    values: Vec<E>,
    first: usize,
}

impl<E: Element> Slab<E> {
    fn new(len: usize) -> Self {
        const LINE: usize = 64;
        let spare = LINE / size_of::<E>();
        let values = vec![E::ZERO; len + spare];
        let first = values.as_ptr().align_offset(LINE);
        Self { first: if first <= spare { first } else { 0 }, values }
    }

    /// Allocates its memory, `len` elements, if it has none.
    fn allocate(&mut self, len: usize) {
        if self.values.is_empty() {
            *self = Self::new(len);
        }
    }

    fn bytes(&self) -> usize {
        size_of_val(self.values.as_slice())
    }

    pub(crate) fn values(&self) -> &[E] {
        &self.values[self.first..]
    }

    pub(crate) fn values_mut(&mut self) -> &mut [E] {
        &mut self.values[self.first..]
    }
}

/// A type of number that keys and values are stored as.
pub(crate) trait Element: Copy + Send + Sync + 'static {
    const ZERO: Self;
    fn load<S: Simd>(s: S, from: &[Self; 16]) -> S::F;
    /// Clamps to the range of the type, so that a later product with 0 is 0.
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
        let max = f16::MAX.to_f32();
        let value = s.max(s.min(v, s.splat(max)), s.splat(-max));
        s.store_f16(value, to);
    }
}

impl KvPool {
    /// A cache without pages, for a model of `layers` layers with `kv_heads` heads of `dim` numbers.
    pub fn new(layers: usize, kv_heads: usize, dim: usize, format: KvFormat) -> Self {
        let slabs = match format {
            KvFormat::F16 => Slabs::F16(Vec::new()),
            KvFormat::F32 => Slabs::F32(Vec::new()),
        };
        Self { layers, kv_heads, dim, format, pages: 0, slabs }
    }

    /// The size of a page in bytes, in all layers.
    pub fn page_bytes(&self) -> usize {
        let element = match self.format {
            KvFormat::F16 => size_of::<u16>(),
            KvFormat::F32 => size_of::<f32>(),
        };
        self.layout().page() * element
    }

    /// The number of pages. Page numbers are below this.
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// How keys and values are stored.
    pub fn format(&self) -> KvFormat {
        self.format
    }

    /// Grows the cache to `pages` pages. Memory is allocated when a page is first used, for 32 pages at
    /// a time.
    pub fn reserve(&mut self, pages: usize) {
        let slabs = pages.div_ceil(SLAB);
        match &mut self.slabs {
            Slabs::F16(list) => list.extend((list.len()..slabs).map(|_| Slab::default())),
            Slabs::F32(list) => list.extend((list.len()..slabs).map(|_| Slab::default())),
        }
        self.pages = self.pages.max(pages);
    }

    /// Frees memory that only pages from `first` on use. These pages lose their content and can be used
    /// again.
    pub fn release_from(&mut self, first: usize) {
        let first = first.div_ceil(SLAB);
        match &mut self.slabs {
            Slabs::F16(list) => {
                list.iter_mut().skip(first).for_each(|slab| *slab = Slab::default())
            }
            Slabs::F32(list) => {
                list.iter_mut().skip(first).for_each(|slab| *slab = Slab::default())
            }
        }
    }

    /// Bytes of memory that are allocated now.
    pub fn bytes(&self) -> usize {
        match &self.slabs {
            Slabs::F16(list) => list.iter().map(Slab::bytes).sum(),
            Slabs::F32(list) => list.iter().map(Slab::bytes).sum(),
        }
    }

    /// Allocates the memory of pages that [`Self::check`] accepts.
    pub(crate) fn allocate(&mut self, pages: impl Iterator<Item = u32>) {
        let len = self.layout().page() * SLAB;
        for page in pages {
            let slab = page as usize / SLAB;
            match &mut self.slabs {
                Slabs::F16(list) => list[slab].allocate(len),
                Slabs::F32(list) => list[slab].allocate(len),
            }
        }
    }

    /// Copies a page in all layers, for a sequence that continues from the middle of a shared page.
    ///
    /// # Errors
    /// When one of the pages does not exist.
    pub fn copy(&mut self, from: u32, to: u32) -> Result<(), Error> {
        for page in [from, to] {
            self.check(page)?;
        }
        self.allocate([from, to].into_iter());
        let layout = self.layout();
        match &mut self.slabs {
            Slabs::F16(slabs) => copy(slabs, layout, from, to),
            Slabs::F32(slabs) => copy(slabs, layout, from, to),
        }
    }

    pub(crate) fn check(&self, page: u32) -> Result<(), Error> {
        if (page as usize) < self.pages { Ok(()) } else { Err(missing_page(page)) }
    }

    pub(crate) fn layout(&self) -> Layout {
        Layout { layers: self.layers, kv_heads: self.kv_heads, dim: self.dim }
    }

    pub(crate) fn slabs_mut(&mut self) -> &mut Slabs {
        &mut self.slabs
    }
}

fn missing_page(page: u32) -> Error {
    let requirement = "one of those reserved";
    Error::Range { argument: "a page", value: page as usize, requirement }
}

fn copy<E: Element>(
    slabs: &mut [Slab<E>],
    layout: Layout,
    from: u32,
    to: u32,
) -> Result<(), Error> {
    for head in 0..layout.layers * layout.kv_heads {
        let (source, target) = (layout.place(from, 0, head), layout.place(to, 0, head));
        let (source_range, target_range) = (source.whole(), target.whole());
        if source.slab == target.slab {
            slabs[source.slab].values_mut().copy_within(source_range, target_range.start);
        } else {
            let pair = slabs.get_disjoint_mut([source.slab, target.slab]);
            let [source, target] = pair.map_err(|_| missing_page(from.max(to)))?;
            target.values_mut()[target_range].copy_from_slice(&source.values()[source_range]);
        }
    }
    Ok(())
}

/// Positions in a slab, in elements: `[layers][kv_heads][pages][keys, values]`, so that the pages that
/// one head reads lie together.
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
