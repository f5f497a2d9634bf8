//! Pages of the KV cache: which are free, and how many sequences use each of the rest.

use std::{cmp::Reverse, collections::BinaryHeap};

/// Each page is free, used by sequences, or kept by the prefix tree alone.
#[derive(Debug)]
pub(super) struct Pages {
    pages: Vec<Page>,
    /// The lowest comes first, so that the memory of high pages is needed least.
    free: BinaryHeap<Reverse<u32>>,
    in_use: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Number of sequences that use it.
    users: u32,
    /// Whether the prefix tree keeps it.
    in_tree: bool,
}

impl Pages {
    pub(super) fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let free = (0..count).map(Reverse).collect();
        Self { pages: (0..count).map(|_| Page::default()).collect(), free, in_use: 0 }
    }

    /// A free page, used by one sequence from now on.
    pub(super) fn take(&mut self) -> Option<u32> {
        let Reverse(page) = self.free.pop()?;
        self.share(page);
        Some(page)
    }

    /// One more sequence uses the page.
    pub(super) fn share(&mut self, page: u32) {
        if let Some(entry) = self.pages.get_mut(index(page)) {
            self.in_use += usize::from(entry.users == 0);
            entry.users += 1;
        }
    }

    /// One sequence less uses the page.
    pub(super) fn release(&mut self, page: u32) {
        let Some(entry) = self.pages.get_mut(index(page)) else { return };
        debug_assert!(entry.users > 0, "page {page} was released more often than taken");
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0 {
            self.in_use -= 1;
            if !entry.in_tree {
                self.free.push(Reverse(page));
            }
        }
    }

    /// The tree keeps the page.
    pub(super) fn keep(&mut self, page: u32) {
        if let Some(entry) = self.pages.get_mut(index(page)) {
            entry.in_tree = true;
        }
    }

    /// The tree keeps the page no longer.
    pub(super) fn forget(&mut self, page: u32) {
        let Some(entry) = self.pages.get_mut(index(page)) else { return };
        entry.in_tree = false;
        if entry.users == 0 {
            self.free.push(Reverse(page));
        }
    }

    /// Whether no sequence uses the page.
    pub(super) fn is_idle(&self, page: u32) -> bool {
        self.pages.get(index(page)).is_none_or(|entry| entry.users == 0)
    }

    /// Pages that no sequence uses: free, or kept by the tree and evictable.
    pub(super) fn available(&self) -> usize {
        self.pages.len() - self.in_use
    }

    /// The page after the last one that a sequence uses or the tree keeps.
    pub(super) fn end(&self) -> usize {
        let last = self.pages.iter().rposition(|page| page.users > 0 || page.in_tree);
        last.map_or(0, |last| last + 1)
    }

    /// Pages that sequences use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }
}

fn index(page: u32) -> usize {
    usize::try_from(page).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_free_again_when_neither_a_sequence_nor_the_tree_needs_it() {
        let mut pages = Pages::new(2);
        let (page, spare) = (pages.take().unwrap(), pages.take().unwrap());
        assert_eq!((pages.take(), pages.available()), (None, 0));
        pages.share(page);
        pages.release(page);
        assert_eq!(pages.take(), None, "one sequence still uses it");
        pages.keep(page);
        pages.release(page);
        assert_eq!((pages.take(), pages.available()), (None, 1));
        pages.forget(page);
        assert_eq!(pages.take(), Some(page));
        pages.release(spare);
        assert_eq!((pages.in_use(), pages.available()), (1, 1));
    }
}
