//! The KV cache as sequences see it: pages to write, and pages that others wrote before.

use super::{
    pages::Pages,
    prefix::{Place, Prefix},
};
use crate::step::PAGE;

/// Pages and the prefixes that they hold.
#[derive(Debug)]
pub(super) struct Cache {
    pages: Pages,
    prefix: Prefix,
}

/// The pages of one sequence. To be given back with [`Cache::release`].
#[derive(Debug)]
pub(super) struct Hold {
    /// In order. The first `kept` are in the tree and shared, the others are its own.
    pages: Vec<u32>,
    kept: usize,
    place: Place,
}

impl Hold {
    pub(super) fn none() -> Self {
        Self { pages: Vec::new(), kept: 0, place: Place::ROOT }
    }

    pub(super) fn pages(&self) -> &[u32] {
        &self.pages
    }

    /// Positions that are in the tree.
    pub(super) fn shared(&self) -> usize {
        self.kept * PAGE
    }
}

impl Cache {
    pub(super) fn new(pages: usize) -> Self {
        Self { pages: Pages::new(pages), prefix: Prefix::new() }
    }

    /// The pages of the longest beginning of `tokens` that was read before.
    pub(super) fn find(&mut self, tokens: &[u32]) -> Hold {
        let found = self.prefix.find(tokens);
        for (_, page) in &found {
            self.pages.share(*page);
        }
        Hold {
            kept: found.len(),
            place: found.last().map_or(Place::ROOT, |(place, _)| *place),
            pages: found.into_iter().map(|(_, page)| page).collect(),
        }
    }

    /// Makes room for so many positions in all; `false`: there are not enough pages, and what
    /// was there before is there still.
    pub(super) fn grow(&mut self, hold: &mut Hold, positions: usize) -> bool {
        let missing = pages_of(positions).saturating_sub(hold.pages.len());
        if missing > self.pages.available() {
            return false;
        }
        for _ in 0..missing {
            let Some(page) = self.take() else { return false };
            hold.pages.push(page);
        }
        true
    }

    /// Lets others find what the sequence has read: the full pages of `tokens`.
    pub(super) fn keep(&mut self, hold: &mut Hold, tokens: &[u32]) {
        let (chunks, _) = tokens.as_chunks::<PAGE>();
        for (chunk, page) in chunks.iter().zip(&mut hold.pages).skip(hold.kept) {
            let (place, known) = self.prefix.insert(hold.place, chunk, *page);
            if known == *page {
                self.pages.keep(known);
            } else {
                // Somebody read the same at the same time: one copy is enough, and who holds a
                // place in the tree holds every page on the way to it.
                self.pages.share(known);
                self.pages.release(*page);
                *page = known;
            }
            hold.place = place;
            hold.kept += 1;
        }
    }

    /// Gives the pages back; what others may find stays until the room is needed.
    pub(super) fn release(&mut self, hold: Hold) {
        for page in hold.pages {
            self.pages.release(page);
        }
    }

    /// Forgets what was read before: nothing in the pages is to be trusted any more.
    pub(super) fn clear(&mut self) {
        for page in self.prefix.clear() {
            self.pages.forget(page);
        }
    }

    /// Pages that a sequence could have.
    pub(super) fn available(&self) -> usize {
        self.pages.available()
    }

    /// Pages that sequences have.
    pub(super) fn in_use(&self) -> usize {
        self.pages.in_use()
    }

    fn take(&mut self) -> Option<u32> {
        if let Some(page) = self.pages.take() {
            return Some(page);
        }
        let dispensable = self.prefix.evict(|page| self.pages.is_idle(page))?;
        self.pages.forget(dispensable);
        self.pages.take()
    }
}

/// Pages for so many positions.
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
        let one = read(&mut cache, &text(0, 40));
        let two = cache.find(&text(0, 40));
        assert_eq!(two.pages(), &one.pages()[..2], "the third page is not full");
        assert_eq!(two.shared(), 32);
        assert_eq!(cache.in_use(), 3);
        cache.release(one);
        cache.release(two);
        assert_eq!((cache.in_use(), cache.available()), (0, 8));
        assert_eq!(cache.find(&text(0, 40)).shared(), 32);
    }

    #[test]
    fn two_that_read_the_same_at_once_end_with_one_copy() {
        let mut cache = Cache::new(8);
        let tokens = text(0, 32);
        let (mut one, mut two) = (cache.find(&tokens), cache.find(&tokens));
        assert!(cache.grow(&mut one, 32) && cache.grow(&mut two, 32));
        cache.keep(&mut one, &tokens);
        cache.keep(&mut two, &tokens);
        assert_eq!(one.pages(), two.pages());
        assert_eq!(cache.in_use(), 2);
        cache.release(one);
        cache.release(two);
        assert_eq!(cache.available(), 8);
    }

    #[test]
    fn old_prefixes_make_room_and_used_ones_do_not() {
        let mut cache = Cache::new(4);
        let old = read(&mut cache, &text(0, 32));
        cache.release(old);
        let held = read(&mut cache, &text(100, 32));
        let mut new = Hold::none();
        assert!(!cache.grow(&mut new, 48), "two pages are in use");
        assert!(new.pages().is_empty());
        assert!(cache.grow(&mut new, 32));
        assert_eq!(cache.find(&text(0, 32)).shared(), 0, "forgotten");
        assert!(!held.pages().iter().any(|page| new.pages().contains(page)));
    }

    #[test]
    fn after_clearing_nothing_is_found_and_every_page_comes_back() {
        let mut cache = Cache::new(4);
        let held = read(&mut cache, &text(0, 40));
        cache.clear();
        assert_eq!(cache.find(&text(0, 40)).shared(), 0);
        cache.release(held);
        let mut all = Hold::none();
        assert!(cache.grow(&mut all, 64));
    }
}
