//! Pages of the KV cache: which are free, and who needs each of the others.

/// Every page is free, used by sequences, or kept for its prefix by the tree alone.
#[derive(Debug)]
pub(super) struct Pages {
    pages: Vec<Page>,
    free: Vec<u32>,
    in_use: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Page {
    /// Sequences that read it.
    users: u32,
    /// Whether the prefix tree keeps it, used or not.
    kept: bool,
}

impl Pages {
    pub(super) fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        // The lowest first: memory is taken when a page is first written.
        let free = (0..count).rev().collect();
        Self { pages: (0..count).map(|_| Page::default()).collect(), free, in_use: 0 }
    }

    /// A free page, used by one sequence from now on.
    pub(super) fn take(&mut self) -> Option<u32> {
        let page = self.free.pop()?;
        self.share(page);
        Some(page)
    }

    /// One more sequence uses the page.
    pub(super) fn share(&mut self, page: u32) {
        if let Some(entry) = self.pages.get_mut(at(page)) {
            self.in_use += usize::from(entry.users == 0);
            entry.users += 1;
        }
    }

    /// One sequence less uses the page.
    pub(super) fn release(&mut self, page: u32) {
        let Some(entry) = self.pages.get_mut(at(page)) else { return };
        debug_assert!(entry.users > 0, "page {page} was released more often than taken");
        entry.users = entry.users.saturating_sub(1);
        if entry.users == 0 {
            self.in_use -= 1;
            if !entry.kept {
                self.free.push(page);
            }
        }
    }

    /// The tree keeps the page.
    pub(super) fn keep(&mut self, page: u32) {
        if let Some(entry) = self.pages.get_mut(at(page)) {
            entry.kept = true;
        }
    }

    /// The tree keeps the page no longer.
    pub(super) fn forget(&mut self, page: u32) {
        let Some(entry) = self.pages.get_mut(at(page)) else { return };
        entry.kept = false;
        if entry.users == 0 {
            self.free.push(page);
        }
    }

    /// Whether no sequence uses the page.
    pub(super) fn is_idle(&self, page: u32) -> bool {
        self.pages.get(at(page)).is_none_or(|entry| entry.users == 0)
    }

    /// Pages that no sequence uses: free, or kept for a prefix and dispensable.
    pub(super) fn available(&self) -> usize {
        self.pages.len() - self.in_use
    }

    /// Pages that sequences use.
    pub(super) fn in_use(&self) -> usize {
        self.in_use
    }
}

fn at(page: u32) -> usize {
    usize::try_from(page).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_free_again_when_neither_a_sequence_nor_the_tree_needs_it() {
        let mut pages = Pages::new(2);
        let (one, two) = (pages.take().unwrap(), pages.take().unwrap());
        assert_eq!((pages.take(), pages.available()), (None, 0));
        pages.share(one);
        pages.release(one);
        assert_eq!(pages.take(), None, "one sequence still uses it");
        pages.keep(one);
        pages.release(one);
        assert_eq!((pages.take(), pages.available()), (None, 1));
        pages.forget(one);
        assert_eq!(pages.take(), Some(one));
        pages.release(two);
        assert_eq!((pages.in_use(), pages.available()), (1, 1));
    }
}
