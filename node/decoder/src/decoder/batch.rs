//! The spans of a step, checked and laid out as rows.

use std::ops::Range;

use shoal_model::{Broken, PAGE, Span, Want};

/// What the layers need to know of a step.
#[derive(Debug)]
pub(super) struct Batch {
    /// Of each row.
    pub(super) tokens: Vec<u32>,
    /// Of each row, in its sequence.
    pub(super) positions: Vec<u32>,
    pub(super) sequences: Vec<Sequence>,
    /// Rows that somebody wants, in order.
    pub(super) wanted: Vec<usize>,
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
    /// When a span is empty, has no room in its pages or in the context, or names a token or a page
    /// that there is not.
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
            wanted: Vec::new(),
        };
        for span in spans {
            let (first, new) = (batch.tokens.len(), span.tokens.len());
            let end = span.past.saturating_add(new);
            let pages_needed = span.pages.get(..end.div_ceil(PAGE)).ok_or(Broken)?;
            let is_below = |id: &u32, limit: usize| usize::try_from(*id).is_ok_and(|id| id < limit);
            let whole = new > 0
                && end <= context
                && pages_needed.iter().all(|page| is_below(page, pages))
                && span.tokens.iter().all(|token| is_below(token, vocab));
            if !whole {
                return Err(Broken);
            }
            batch.tokens.extend(span.tokens);
            let position = |at: usize| u32::try_from(at).map_err(|_| Broken);
            batch.positions.extend(position(span.past)?..position(end)?);
            let rows = first..first + new;
            batch.wanted.extend(match span.want {
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

impl Sequence {
    /// Where position `at` lies in a cache that numbers positions page after page.
    ///
    /// # Errors
    /// When the sequence has no page for it.
    pub(super) fn slot(&self, at: usize) -> Result<usize, Broken> {
        let page = self.pages.get(at / PAGE).ok_or(Broken)?;
        Ok(*page as usize * PAGE + at % PAGE)
    }

    /// Positions before and with the new rows.
    pub(super) fn len(&self) -> usize {
        self.past + self.rows.len()
    }
}
