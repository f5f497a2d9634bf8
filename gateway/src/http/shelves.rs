//! What is stored for clients: a shelf for each key, and one budget of bytes for all shelves. Beyond the
//! budget the fullest shelf loses its oldest item, so that no key can push out the items of others. A key
//! cannot find the items of another.

use std::collections::{BTreeMap, VecDeque};

use super::callers::Owner;

/// The shelves of all keys.
#[derive(Debug)]
pub(super) struct Shelves<T> {
    bytes_max: usize,
    bytes: usize,
    shelves: BTreeMap<Owner, Shelf<T>>,
}

/// The items of one key, oldest first.
#[derive(Debug)]
struct Shelf<T> {
    bytes: usize,
    items: VecDeque<Item<T>>,
}

#[derive(Debug)]
struct Item<T> {
    id: String,
    bytes: usize,
    value: T,
}

impl<T> Shelves<T> {
    /// Empty shelves for at most `bytes_max` bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, bytes: 0, shelves: BTreeMap::new() }
    }

    /// Bytes of all items.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds an item of `bytes` bytes.
    pub(super) fn push(&mut self, owner: Owner, id: String, bytes: usize, value: T) {
        let empty_shelf = Shelf { bytes: 0, items: VecDeque::new() };
        let shelf = self.shelves.entry(owner).or_insert(empty_shelf);
        shelf.bytes += bytes;
        shelf.items.push_back(Item { id, bytes, value });
        self.bytes += bytes;
        self.trim();
    }

    pub(super) fn find(&self, owner: Owner, id: &str) -> Option<&T> {
        let shelf = self.shelves.get(&owner)?;
        // From the newest: clients mostly ask for what they just got.
        shelf.items.iter().rev().find(|item| item.id == id).map(|item| &item.value)
    }

    /// The items of a key, newest first.
    pub(super) fn newest(&self, owner: Owner) -> impl Iterator<Item = &T> {
        let items = self.shelves.get(&owner).into_iter().flat_map(|shelf| shelf.items.iter().rev());
        items.map(|item| &item.value)
    }

    pub(super) fn find_mut(&mut self, owner: Owner, id: &str) -> Option<&mut T> {
        let shelf = self.shelves.get_mut(&owner)?;
        shelf.items.iter_mut().rev().find(|item| item.id == id).map(|item| &mut item.value)
    }

    pub(super) fn remove(&mut self, owner: Owner, id: &str) -> Option<T> {
        let shelf = self.shelves.get_mut(&owner)?;
        let place = shelf.items.iter().position(|item| item.id == id)?;
        let item = shelf.items.remove(place)?;
        shelf.bytes -= item.bytes;
        self.bytes -= item.bytes;
        Some(item.value)
    }

    /// Counts bytes by which an item grew.
    pub(super) fn grow(&mut self, owner: Owner, id: &str, more: usize) {
        let Some(shelf) = self.shelves.get_mut(&owner) else { return };
        let Some(item) = shelf.items.iter_mut().rev().find(|item| item.id == id) else { return };
        item.bytes += more;
        shelf.bytes += more;
        self.bytes += more;
        self.trim();
    }

    /// Removes the oldest items of each shelf for as long as they are too old.
    pub(super) fn remove_oldest(&mut self, is_old: impl Fn(&T) -> bool) {
        for shelf in self.shelves.values_mut() {
            while let Some(item) = shelf.items.pop_front_if(|item| is_old(&item.value)) {
                shelf.bytes -= item.bytes;
                self.bytes -= item.bytes;
            }
        }
    }

    fn trim(&mut self) {
        while self.bytes > self.bytes_max {
            let fullest = self.shelves.values_mut().max_by_key(|shelf| shelf.bytes);
            let Some(shelf) = fullest else { break };
            let Some(oldest) = shelf.items.pop_front() else { break };
            shelf.bytes -= oldest.bytes;
            self.bytes -= oldest.bytes;
        }
    }
}
