//! The records in memory: those of the members that are here, and those of members that have left while
//! the store could not be written.

use std::{collections::VecDeque, net::IpAddr};

use shoal_proto::NodeId;

use crate::RecordKey;
use shoal_consensus::reputation::{Record, Settings};

/// Records of members that have left and are not saved yet, at most: as many as a gateway has members,
/// some 13 MB.
pub(super) const UNSAVED_MAX: usize = 1_000;

/// A record with what the store knows of it.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) key: RecordKey,
    pub(super) record: Record,
    /// It has, or may have, a row in the store.
    pub(super) has_row: bool,
    /// The store could not be read when the member came: saving the record would overwrite what was
    /// learned before.
    pub(super) is_unread: bool,
    /// Where the member comes from; None: the transport has no addresses.
    pub(super) address: Option<IpAddr>,
    /// It got no row, because its address has had its share of new ones.
    pub(super) is_refused: bool,
    /// Counts the changes of the record.
    pub(super) version: u64,
    /// The version that the store has.
    pub(super) saved_version: u64,
}

impl Page {
    /// The page of a member that comes from this address, as the store has it.
    pub(super) fn new(key: RecordKey, row: Option<Record>, address: Option<IpAddr>) -> Self {
        let has_row = row.is_some();
        let record = row.unwrap_or_default();
        let (version, saved_version) = (0, 0);
        Self {
            key,
            record,
            has_row,
            is_unread: false,
            address,
            is_refused: false,
            version,
            saved_version,
        }
    }

    pub(super) fn set(&mut self, record: Record) {
        self.record = record;
        self.version += 1;
    }

    /// Whether the store does not have the latest version.
    pub(super) fn is_changed(&self) -> bool {
        self.version > self.saved_version
    }

    /// Whether the record belongs in the store, if there is a row for it.
    pub(super) fn is_worth_storing(&self, settings: &Settings) -> bool {
        !self.is_unread && (self.has_row || self.record.is_worth_storing(settings))
    }

    /// Takes what the store had about the member. What was observed meanwhile is dropped if the store knew
    /// more.
    pub(super) fn read(&mut self, row: Option<Record>) {
        self.is_unread = false;
        self.has_row |= row.is_some();
        let (times_caught, gold_seen) = (self.record.caught, self.record.gold_seen);
        let richer = row.filter(|row| row.caught > times_caught || row.gold_seen > gold_seen);
        if let Some(row) = richer {
            let provenance = self.record.provenance.clone();
            self.set(Record { provenance, caught: times_caught.max(row.caught), ..row });
        }
    }
}

/// The records of members that have left and are not saved yet, the oldest first.
#[derive(Debug, Default)]
pub(super) struct SaveQueue(VecDeque<Page>);

impl SaveQueue {
    /// Adds a record. Returns false if the oldest one had to go for it.
    pub(super) fn push(&mut self, page: Page) -> bool {
        self.0.retain(|earlier| earlier.key != page.key);
        self.0.push_back(page);
        let fits = self.0.len() <= UNSAVED_MAX;
        if !fits {
            self.0.pop_front();
        }
        fits
    }

    /// Removes the record with this key, whose member is here again.
    pub(super) fn take(&mut self, key: &RecordKey) -> Option<Page> {
        let place = self.0.iter().position(|page| page.key == *key)?;
        self.0.remove(place)
    }

    /// How often a node was caught, whatever its weights were.
    pub(super) fn times_caught(&self, node: NodeId) -> u32 {
        let pages = self.0.iter().filter(|page| page.key.node == node);
        pages.map(|page| page.record.caught).max().unwrap_or(0)
    }

    pub(super) fn pages(&mut self) -> impl Iterator<Item = &mut Page> {
        self.0.iter_mut()
    }

    /// Removes the records that need no place in the store, or have it.
    pub(super) fn clean(&mut self, settings: &Settings) {
        self.0.retain(|page| {
            let is_worthy = page.is_worth_storing(settings) && !page.is_refused;
            page.is_changed() && (page.is_unread || is_worthy)
        });
    }
}
