//! One step of a decoder: new tokens of several sequences, at different positions, in one batch.
//!
//! Whoever batches (and knows pages, queues, sampling) stands on one side of [`Decode`], whoever
//! multiplies on the other.

/// Positions that one page of the KV cache holds.
pub const PAGE: usize = 16;

/// The new tokens of one sequence.
#[derive(Clone, Copy, Debug)]
pub struct Span<'a> {
    /// At least one.
    pub tokens: &'a [u32],
    /// Tokens of the sequence that its pages hold already.
    pub past: usize,
    /// Pages of the cache that hold the sequence, in order: room for `past + tokens.len()`
    /// positions, [`PAGE`] in each. Pages that are full may be shared; the ones from
    /// `past / PAGE` on are this sequence's own.
    pub pages: &'a [u32],
    /// After which of the tokens somebody wants to know what comes next.
    pub want: Want,
}

/// Rows of a result that one [`Span`] takes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// None: a part of a prompt.
    Nothing,
    /// One, after the last token.
    Last,
    /// One after each token.
    All,
}

impl Want {
    /// How many rows.
    pub fn rows(self, tokens: usize) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Last => tokens.min(1),
            Self::All => tokens,
        }
    }
}

/// The model's numbers are no numbers any more, or the step made no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the model's numbers are broken")]
pub struct Broken;

/// A decoder with its KV cache.
///
/// What a row of the result is does not depend on the other spans of the batch, nor on how a
/// prompt was cut into steps: the same seed gives the same text, whatever else is served.
pub trait Decode: Send + 'static {
    /// Logits in a row.
    fn vocab(&self) -> usize;

    /// Positions that a sequence may have.
    fn context(&self) -> usize;

    /// Width of a row of [`Decode::hidden`].
    fn width(&self) -> usize;

    /// Bytes of one page over all layers.
    fn page_bytes(&self) -> usize;

    /// Bytes of weights that a step of one token reads; 0 where nobody knows.
    fn weight_bytes(&self) -> u64 {
        0
    }

    /// Makes pages `0..pages` usable. Memory may be taken only when a page is first written.
    fn reserve(&mut self, pages: usize);

    /// Reads the spans' tokens and appends them to their pages. Logits `[rows, vocab]`, the rows
    /// that each span wants in the order of the spans.
    ///
    /// # Errors
    /// [`Broken`].
    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken>;

    /// The same, with the rows after the last norm in place of logits: `[rows, width]`.
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

    fn step(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        (**self).step(spans)
    }

    fn hidden(&mut self, spans: &[Span<'_>]) -> Result<Vec<f32>, Broken> {
        (**self).hidden(spans)
    }
}
