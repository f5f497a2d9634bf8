//! One step of a decoder: new tokens of several sequences, at different positions, in one batch.
//!
//! [`Decode`] separates the batch, with its pages, queues and sampling, from the arithmetic.

/// Positions that one page of the KV cache holds.
pub const PAGE: usize = 16;

/// The new tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// The tokens to read: at least one.
    pub tokens: &'a [u32],
    /// Number of earlier tokens of the sequence, which its pages hold already.
    pub past: usize,
    /// Pages of the cache for the sequence, in order: room for `past + tokens.len()` positions,
    /// [`PAGE`] in each. Full pages may be shared; the pages from `past / PAGE` on belong to this
    /// sequence alone.
    pub pages: &'a [u32],
    /// The tokens after which a row is wanted.
    pub want: Want,
}

/// The rows of the result for one [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// No row, for a part of a prompt.
    Nothing,
    /// One row, after the last token.
    Last,
    /// One row after each token.
    All,
}

impl Want {
    /// The number of rows for a span of `tokens` tokens.
    pub fn rows(self, tokens: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Last => tokens.min(1),
            Self::All => tokens,
        }
    }
}

/// The error of a step: a result is NaN or infinite, the spans are invalid, or parts of a model or of a
/// result do not fit together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's numbers are broken")]
pub struct Broken;

/// A decoder with its KV cache.
///
/// A row of the result depends neither on the other spans of the batch nor on how a prompt is divided
/// into steps. So the same seed gives the same text, whatever else is served.
pub trait Decode: Send + 'static {
    /// Number of logits in a row.
    fn vocab(&self) -> usize;

    /// Most positions of a sequence.
    fn context(&self) -> usize;

    /// Width of a row of [`Decode::hidden`].
    fn width(&self) -> usize;

    /// Bytes of one page, over all layers.
    fn page_bytes(&self) -> usize;

    /// Bytes of weights that a step of one token reads; 0 if unknown.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Makes pages `0..pages` usable. Memory may be allocated when a page is first written.
    fn reserve(&mut self, pages: usize);

    /// Frees memory of the pages from `first` on, which no sequence and no prefix uses. They stay usable
    /// and lose their content. A decoder that cannot free a part of its cache keeps it.
    fn release_from(&mut self, first: usize) {
        let _ = first;
    }

    /// Bytes of memory that the cache has now; 0 if unknown.
    fn cache_bytes(&self) -> usize {
        0
    }

    /// Reads the spans' tokens and appends them to their pages. Returns logits `[rows, vocab]`: the
    /// wanted rows of each span, in the order of the spans.
    ///
    /// # Errors
    /// [`Broken`].
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken>;

    /// Like [`Decode::step`], but returns the hidden rows after the last norm: `[rows, width]`.
    ///
    /// # Errors
    /// [`Broken`].
    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken>;
}

impl<D: Decode + ?Sized> Decode for Box<D> {
    fn vocab(&self) -> usize {
        (**self).vocab()
    }

    fn context(&self) -> usize {
        (**self).context()
    }

    fn width(&self) -> usize {
        (**self).width()
    }

    fn page_bytes(&self) -> usize {
        (**self).page_bytes()
    }

    fn weight_bytes(&self) -> u64 {
        (**self).weight_bytes()
    }

    fn reserve(&mut self, pages: usize) {
        (**self).reserve(pages);
    }

    fn release_from(&mut self, first: usize) {
        (**self).release_from(first);
    }

    fn cache_bytes(&self) -> usize {
        (**self).cache_bytes()
    }

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        (**self).step(spans)
    }

    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        (**self).hidden(spans)
    }
}
