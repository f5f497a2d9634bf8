//! The spans of a step, checked and laid out as rows.

use std::ops::Range;

use shoal_model::{Broken, PAGE, Span, Want};

/// A step as the layers need it.
#[derive(Debug)]
pub(super) struct Batch {
    /// The token of each row.
    pub(super) tokens: Vec<u32>,
    /// The position of each row in its sequence.
    pub(super) positions: Vec<u32>,
    pub(super) sequences: Vec<Sequence>,
    /// Rows whose results the step returns, in order.
    pub(super) output_rows: Vec<usize>,
}

/// The rows of one span.
#[derive(Debug)]
pub(super) struct Sequence {
    pub(super) rows: Range<usize>,
    pub(super) past: usize,
    pub(super) pages: Vec<u32>,
}

impl Batch {
    /// # Errors
    /// When a span is empty, does not fit its pages or the context, or names a token or a page that
    /// does not exist.
    pub(super) fn read(
        spans: &[Span<'_>],
        vocab: usize,
        context: usize,
        pages: usize,
    ) -> Result<Self, Broken> {
        let mut batch = Self {
            tokens: Vec::new(),
            positions: Vec::new(),
            sequences: Vec::with_capacity(spans.len()),
            output_rows: Vec::new(),
        };
        for span in spans {
            let (first, new) = (batch.tokens.len(), span.tokens.len());
            let end = span.past.saturating_add(new);
            let pages_needed = span.pages.get(..end.div_ceil(PAGE)).ok_or(Broken)?;
            let is_valid = new > 0
                && end <= context
                && pages_needed.iter().all(|page| is_below(*page, pages))
                && span.tokens.iter().all(|token| is_below(*token, vocab));
            if !is_valid {
                return Err(Broken);
            }
            batch.tokens.extend(span.tokens);
            batch.positions.extend(position(span.past)?..position(end)?);
            let rows = first..first + new;
            batch.output_rows.extend(match span.want {
                Want::Nothing => rows.end..rows.end,
                Want::Last => rows.end - 1..rows.end,
                Want::All => rows.clone(),
            });
            let pages = pages_needed.to_vec();
            batch.sequences.push(Sequence { rows, past: span.past, pages });
        }
        if batch.tokens.is_empty() { Err(Broken) } else { Ok(batch) }
    }
}

fn is_below(id: u32, limit: usize) -> bool {
    usize::try_from(id).is_ok_and(|id| id < limit)
}

fn position(index: usize) -> Result<u32, Broken> {
    u32::try_from(index).map_err(|_| Broken)
}

impl Sequence {
    /// Where position `at` lies in a cache that numbers positions page after page.
    ///
    /// # Errors
    /// When the sequence has no page for it.
    pub(super) fn slot(&self, at: usize) -> Result<usize, Broken> {
        let page = self.pages.get(at / PAGE).ok_or(Broken)?;
        Ok(*page as usize * PAGE + at % PAGE)
    }

    /// Positions in the cache and in the new rows together.
    pub(super) fn len(&self) -> usize {
        self.past + self.rows.len()
    }
}
