//! What outlives the gateway process: the members' records, and the rounds stored by consent. Without
//! consent no prompt and no answer comes here.
//!
//! The public names:
//! - [`Store`] loads and saves records by their [`RecordKey`]: [`Sqlite`] in a file, [`Memory`] for
//!   simulations. A [`StoreError`] costs records of the past, never an answer.
//! - [`ReputationStore`] keeps the records of the members in memory and saves them.
//! - [`StoredRound`]s are kept within [`Bounds`], and [`RoundReader`] reads them again.
//! - [`unix_now`] is the clock of both.

mod clock;
pub mod reputation;
pub mod memory;
pub mod sqlite;
pub mod rounds;

use std::fmt;

use futures_util::future::BoxFuture;
use shoal_proto::NodeId;

use shoal_consensus::reputation::Record;

pub use clock::unix_now;
pub use memory::Memory;
pub use reputation::ReputationStore;
pub use rounds::{Bounds, RoundReader, StoredRound};
pub use sqlite::Sqlite;

/// The key of a record: a node that comes with other weights has another record.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RecordKey {
    /// The node's key.
    pub node: NodeId,
    /// The hex digest of its weights; for an upstream, which has none, the name of its model.
    pub digest: String,
}

/// Stores records. An error costs records of the past, never an answer.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// The record with this key, if there is one. A node that was caught with other weights has a record
    /// too, with [`Record::caught`]: other weights do not make it honest.
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Stores these records in place of earlier ones: all of them, or none on an error.
    fn save<'a>(
        &'a self,
        records: &'a [(RecordKey, Record)],
    ) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// A record of a node that was caught so often, with these or other weights.
fn with_caught(record: Option<Record>, times_caught: u32) -> Option<Record> {
    if times_caught == 0 {
        return record;
    }
    let record = record.unwrap_or_default();
    Some(Record { caught: record.caught.max(times_caught), ..record })
}

/// Why the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file, the disk or the database's lock; another try may work.
    #[error("the database: {0}")]
    Database(String),
    /// A stored record has a format that this build does not know.
    #[error("cannot parse a stored record: {0}")]
    Unreadable(#[from] serde_json::Error),
}
