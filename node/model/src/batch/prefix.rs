//! The prefixes in the KV cache: a radix tree with a full page on each edge.

use std::collections::{BTreeSet, HashMap};

use crate::step::PAGE;

/// The tokens of a full page.
pub(super) type Chunk = [u32; PAGE];

/// A node of the tree: the text from its start to the end of one page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Place(usize);

impl Place {
    /// The empty text.
    pub(super) const ROOT: Self = Self(0);
}

/// The tree. It holds page numbers only; [`super::pages::Pages`] counts the users of each page.
#[derive(Debug)]
pub(super) struct Prefix {
    /// Indexed by [`Place`]; `None`: the root, or unused.
    nodes: Vec<Option<Node>>,
    free: Vec<usize>,
    children: HashMap<(Place, Chunk), Place>,
    /// Places without children, ordered by their last read.
    leaves: BTreeSet<(u64, Place)>,
    /// Counts lookups: an order, not a time.
    now: u64,
}

#[derive(Debug)]
struct Node {
    parent: Place,
    chunk: Chunk,
    page: u32,
    children: usize,
    used: u64,
}

impl Prefix {
    pub(super) fn new() -> Self {
        Self {
            nodes: vec![None],
            free: Vec::new(),
            children: HashMap::new(),
            leaves: BTreeSet::new(),
            now: 0,
        }
    }

    /// The places and pages of the longest prefix of `tokens` in the tree.
    pub(super) fn find(&mut self, tokens: &[u32]) -> Vec<(Place, u32)> {
        self.now += 1;
        let (mut place, mut path) = (Place::ROOT, Vec::new());
        let (chunks, _) = tokens.as_chunks::<PAGE>();
        for chunk in chunks {
            let Some(child) = self.children.get(&(place, *chunk)) else { break };
            place = *child;
            path.extend(self.touch(place).map(|page| (place, page)));
        }
        path
    }

    /// Adds the page with the tokens `chunk` after `place`. Returns the place and its page: the page that
    /// is there already, else `page`.
    pub(super) fn insert(&mut self, place: Place, chunk: &Chunk, page: u32) -> (Place, u32) {
        if let Some(child) = self.children.get(&(place, *chunk)).copied() {
            // A child in the map always has a node.
            let present = self.touch(child);
            return (child, present.unwrap_or(page));
        }
        let used = self.now;
        let node = Node { parent: place, chunk: *chunk, page, children: 0, used };
        let index = self.free.pop().unwrap_or_else(|| {
            self.nodes.push(None);
            self.nodes.len() - 1
        });
        if let Some(entry) = self.nodes.get_mut(index) {
            *entry = Some(node);
        }
        self.children.insert((place, *chunk), Place(index));
        self.leaves.insert((used, Place(index)));
        if let Some(parent) = self.node(place) {
            parent.children += 1;
            let leaf = (parent.used, place);
            self.leaves.remove(&leaf);
        }
        (Place(index), page)
    }

    /// The number of lookups so far. What is read after this call is newer than it.
    pub(super) fn now(&self) -> u64 {
        self.now
    }

    /// Removes the least recently read leaf that was read at `newest` at the latest and whose page
    /// `is_idle`. Returns its page.
    pub(super) fn evict(&mut self, newest: u64, is_idle: impl Fn(u32) -> bool) -> Option<u32> {
        let old = self.leaves.range(..=(newest, Place(usize::MAX)));
        let place = old.into_iter().find_map(|(_, place)| {
            let node = self.nodes.get(place.0)?.as_ref()?;
            is_idle(node.page).then_some(*place)
        })?;
        let node = self.nodes.get_mut(place.0)?.take()?;
        self.leaves.remove(&(node.used, place));
        self.children.remove(&(node.parent, node.chunk));
        self.free.push(place.0);
        if let Some(parent) = self.node(node.parent) {
            parent.children -= 1;
            let leaf = (parent.children == 0).then_some((parent.used, node.parent));
            self.leaves.extend(leaf);
        }
        Some(node.page)
    }

    /// Whether it has no pages.
    pub(super) fn is_empty(&self) -> bool {
        self.children.is_empty()
    }

    /// Removes everything. Returns all pages.
    pub(super) fn clear(&mut self) -> Vec<u32> {
        let pages = self.nodes.iter().flatten().map(|node| node.page).collect();
        *self = Self::new();
        pages
    }

    /// Marks a place as read now. Returns its page.
    fn touch(&mut self, place: Place) -> Option<u32> {
        let now = self.now;
        let node = self.node(place)?;
        let (last_used, page, is_leaf) = (node.used, node.page, node.children == 0);
        node.used = now;
        if is_leaf {
            self.leaves.remove(&(last_used, place));
            self.leaves.insert((now, place));
        }
        Some(page)
    }

    /// `None` for the root.
    fn node(&mut self, place: Place) -> Option<&mut Node> {
        self.nodes.get_mut(place.0)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(pages: &[u32]) -> Vec<u32> {
        pages.iter().flat_map(|page| [*page; PAGE]).collect()
    }

    /// Inserts a text whose pages are numbered from `first`. Returns its pages in the tree.
    fn keep(tree: &mut Prefix, tokens: &[u32], first: u32) -> Vec<u32> {
        let mut place = Place::ROOT;
        let chunks = tokens.as_chunks::<PAGE>().0.iter().zip(first..);
        chunks
            .map(|(chunk, page)| {
                let (next, page) = tree.insert(place, chunk, page);
                place = next;
                page
            })
            .collect()
    }

    fn find(tree: &mut Prefix, tokens: &[u32]) -> Vec<u32> {
        tree.find(tokens).into_iter().map(|(_, page)| page).collect()
    }

    #[test]
    fn a_text_finds_the_pages_of_its_longest_known_beginning() {
        let mut tree = Prefix::new();
        assert_eq!(keep(&mut tree, &text(&[1, 2, 3]), 10), [10, 11, 12]);
        assert_eq!(keep(&mut tree, &text(&[1, 2, 4]), 20), [10, 11, 22], "shared as far as equal");
        assert_eq!(find(&mut tree, &text(&[1, 2, 4, 5])), [10, 11, 22]);
        assert_eq!(find(&mut tree, &text(&[1, 2])[..PAGE + 3]), [10], "full pages only");
        assert!(find(&mut tree, &text(&[2])).is_empty());
    }

    #[test]
    fn the_leaf_that_was_not_read_for_the_longest_time_goes_first() {
        let mut tree = Prefix::new();
        keep(&mut tree, &text(&[1, 2]), 10);
        find(&mut tree, &[]);
        keep(&mut tree, &text(&[1, 3]), 20);
        find(&mut tree, &text(&[1, 2]));
        assert_eq!(tree.evict(u64::MAX, |_| true), Some(21));
        assert_eq!(tree.evict(u64::MAX, |page| page != 11), None, "a parent outlives its children");
        assert_eq!(tree.evict(u64::MAX, |_| true), Some(11));
        assert_eq!(tree.evict(u64::MAX, |_| true), Some(10));
        assert_eq!(tree.evict(u64::MAX, |_| true), None);
    }

    #[test]
    fn only_what_was_not_read_since_is_old() {
        let mut tree = Prefix::new();
        find(&mut tree, &text(&[1, 2]));
        keep(&mut tree, &text(&[1, 2]), 10);
        let then = tree.now();
        find(&mut tree, &text(&[1, 3]));
        keep(&mut tree, &text(&[1, 3]), 20);
        assert_eq!(tree.evict(then, |_| true), Some(11));
        assert_eq!(tree.evict(then, |_| true), None, "the common page was read again");
        assert_eq!(tree.evict(tree.now(), |_| true), Some(21));
    }

    proptest! {
        #[test]
        fn every_page_is_given_back_once(texts in proptest::collection::vec(
            proptest::collection::vec(0u32..3, 0..5), 0..12)
        ) {
            let mut tree = Prefix::new();
            let mut inserted = BTreeSet::new();
            for (text, first) in texts.iter().map(|pages| self::text(pages)).zip((0u32..).step_by(100)) {
                let pages = keep(&mut tree, &text, first);
                prop_assert_eq!(&find(&mut tree, &text), &pages);
                inserted.extend(pages);
            }
            let mut evicted = BTreeSet::new();
            while let Some(page) = tree.evict(u64::MAX, |_| true) {
                prop_assert!(evicted.insert(page));
            }
            prop_assert_eq!(evicted, inserted);
            prop_assert!(tree.clear().is_empty() && tree.children.is_empty());
        }
    }
}
