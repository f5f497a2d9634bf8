//! The KV cache as sequences use it: pages to write, and shared pages of prefixes.

use std::collections::VecDeque;

use super::{
    pages::Pages,
    prefix::{Place, Prefix},
};
use crate::step::PAGE;

/// A prefix that was not read during so many periods is removed.
const PERIODS: usize = 5;

/// The pages and the prefixes in them.
#[derive(Debug)]
pub(super) struct Cache {
    pages: Pages,
    prefix: Prefix,
    /// The lookups before the start of each of the last periods, the oldest first.
    periods: VecDeque<u64>,
}

/// The pages of one sequence. [`Cache::release`] gives them back.
#[derive(Debug)]
pub(super) struct Hold {
    /// In order. The first `shared_pages` are in the tree, the rest is the sequence's own.
    pages: Vec<u32>,
    shared_pages: usize,
    place: Place,
}

impl Hold {
    pub(super) fn empty() -> Self {
        Self { pages: Vec::new(), shared_pages: 0, place: Place::ROOT }
    }

    pub(super) fn pages(&self) -> &[u32] {
        &self.pages
    }

    /// Positions in pages that are in the tree.
    pub(super) fn shared_positions(&self) -> usize {
        self.shared_pages * PAGE
    }
}

impl Cache {
    pub(super) fn new(pages: usize) -> Self {
        Self { pages: Pages::new(pages), prefix: Prefix::new(), periods: VecDeque::new() }
    }

    /// The pages of the longest prefix of `tokens` in the cache.
    pub(super) fn find(&mut self, tokens: &[u32]) -> Hold {
        let path = self.prefix.find(tokens);
        for (_, page) in &path {
            self.pages.share(*page);
        }
        Hold {
            shared_pages: path.len(),
            place: path.last().map_or(Place::ROOT, |(place, _)| *place),
            pages: path.into_iter().map(|(_, page)| page).collect(),
        }
    }

    /// Makes room for `positions` in total. `false`: there are too few pages, and `hold` is unchanged.
    pub(super) fn grow(&mut self, hold: &mut Hold, positions: usize) -> bool {
        let shortfall = pages_of(positions).saturating_sub(hold.pages.len());
        if shortfall > self.pages.available() {
            return false;
        }
        for _ in 0..shortfall {
            let Some(page) = self.take() else { return false };
            hold.pages.push(page);
        }
        true
    }

    /// Adds the full pages of `tokens`, which the sequence has read, to the prefixes.
    pub(super) fn keep(&mut self, hold: &mut Hold, tokens: &[u32]) {
        let (chunks, _) = tokens.as_chunks::<PAGE>();
        for (chunk, page) in chunks.iter().zip(&mut hold.pages).skip(hold.shared_pages) {
            let (place, tree_page) = self.prefix.insert(hold.place, chunk, *page);
            if tree_page == *page {
                self.pages.keep(tree_page);
            } else {
                // Another sequence read the same text at the same time. One copy is enough, and a
                // sequence that holds a place in the tree must hold every page on the path to it.
                self.pages.share(tree_page);
                self.pages.release(*page);
                *page = tree_page;
            }
            hold.place = place;
            hold.shared_pages += 1;
        }
    }

    /// Gives the pages back. Prefixes stay until their pages are needed.
    pub(super) fn release(&mut self, hold: Hold) {
        for page in hold.pages {
            self.pages.release(page);
        }
    }

    /// Ends a period: removes the prefixes that were not read during the last [`PERIODS`] of them. Returns
    /// the first of the pages at the end that nobody needs.
    pub(super) fn end_period(&mut self) -> usize {
        if self.periods.len() == PERIODS
            && let Some(newest) = self.periods.pop_front()
        {
            while let Some(page) = self.prefix.evict(newest, |page| self.pages.is_idle(page)) {
                self.pages.forget(page);
            }
        }
        self.periods.push_back(self.prefix.now());
        self.pages.end()
    }

    /// Whether there is no prefix.
    pub(super) fn is_empty(&self) -> bool {
        self.prefix.is_empty()
    }

    /// Removes all prefixes, for when the pages may hold wrong numbers.
    pub(super) fn clear(&mut self) {
        for page in self.prefix.clear() {
            self.pages.forget(page);
        }
        self.periods.clear();
    }

    /// Pages that a sequence can take.
    pub(super) fn available(&self) -> usize {
        self.pages.available()
    }

    /// Pages that sequences hold.
    pub(super) fn in_use(&self) -> usize {
        self.pages.in_use()
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(page) = self.pages.take() {
            return Some(page);
        }
        let victim = self.prefix.evict(u64::MAX, |page| self.pages.is_idle(page))?;
        self.pages.forget(victim);
        self.pages.take()
    }
}

/// Number of pages for `positions`.
pub(super) fn pages_of(positions: usize) -> usize {
    positions.div_ceil(PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(from: u32, tokens: usize) -> Vec<u32> {
        (from..).take(tokens).collect()
    }

    /// Reads a text as a sequence would.
    fn read(cache: &mut Cache, tokens: &[u32]) -> Hold {
        let mut hold = cache.find(tokens);
        assert!(cache.grow(&mut hold, tokens.len()));
        cache.keep(&mut hold, tokens);
        hold
    }

    #[test]
    fn what_one_has_read_the_next_finds() {
        let mut cache = Cache::new(8);
        let first = read(&mut cache, &text(0, 40));
        let second = cache.find(&text(0, 40));
        assert_eq!(second.pages(), &first.pages()[..2], "the third page is not full");
        assert_eq!(second.shared_positions(), 32);
        assert_eq!(cache.in_use(), 3);
        cache.release(first);
        cache.release(second);
        assert_eq!((cache.in_use(), cache.available()), (0, 8));
        assert_eq!(cache.find(&text(0, 40)).shared_positions(), 32);
    }

    #[test]
    fn two_that_read_the_same_at_once_end_with_one_copy() {
        let mut cache = Cache::new(8);
        let tokens = text(0, 32);
        let (mut first, mut second) = (cache.find(&tokens), cache.find(&tokens));
        assert!(cache.grow(&mut first, 32) && cache.grow(&mut second, 32));
        cache.keep(&mut first, &tokens);
        cache.keep(&mut second, &tokens);
        assert_eq!(first.pages(), second.pages());
        assert_eq!(cache.in_use(), 2);
        cache.release(first);
        cache.release(second);
        assert_eq!(cache.available(), 8);
    }

    #[test]
    fn old_prefixes_make_room_and_used_ones_do_not() {
        let mut cache = Cache::new(4);
        let old = read(&mut cache, &text(0, 32));
        cache.release(old);
        let hold = read(&mut cache, &text(100, 32));
        let mut new = Hold::empty();
        assert!(!cache.grow(&mut new, 48), "two pages are in use");
        assert!(new.pages().is_empty());
        assert!(cache.grow(&mut new, 32));
        assert_eq!(cache.find(&text(0, 32)).shared_positions(), 0, "forgotten");
        assert!(!hold.pages().iter().any(|page| new.pages().contains(page)));
    }

    #[test]
    fn a_prefix_that_is_not_read_any_more_goes_after_some_periods() {
        let mut cache = Cache::new(64);
        let hold = read(&mut cache, &text(0, 40));
        let read_once = read(&mut cache, &text(100, 160));
        cache.release(read_once);
        cache.release(hold);
        for period in 0..=PERIODS {
            assert!(cache.find(&text(100, 0)).pages().is_empty());
            let hold = read(&mut cache, &text(0, 40));
            cache.release(hold);
            let end = cache.end_period();
            assert_eq!(end > 10, period < PERIODS, "{period}: pages up to {end}");
        }
        let hold = cache.find(&text(0, 40));
        assert_eq!(hold.shared_positions(), 32, "read in each period");
        assert_eq!(cache.find(&text(100, 160)).shared_positions(), 0);
        for _ in 0..=PERIODS {
            cache.end_period();
        }
        assert!(!cache.is_empty(), "a sequence uses it");
        cache.release(hold);
        for _ in 0..=PERIODS {
            cache.end_period();
        }
        assert!(cache.is_empty());
        assert_eq!(cache.end_period(), 0);
    }

    #[test]
    fn after_clearing_nothing_is_found_and_every_page_comes_back() {
        let mut cache = Cache::new(4);
        let hold = read(&mut cache, &text(0, 40));
        cache.clear();
        assert_eq!(cache.find(&text(0, 40)).shared_positions(), 0);
        cache.release(hold);
        let mut whole = Hold::empty();
        assert!(cache.grow(&mut whole, 64));
    }
}
