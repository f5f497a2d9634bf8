//! What outlives the gateway: everybody's record, and the rounds that were kept by consent. Without
//! it, prompts and answers never come here.

pub mod book;
pub mod memory;
pub mod sqlite;
pub mod rounds;

use std::fmt;

use futures_util::future::BoxFuture;
use shoal_proto::NodeId;

use shoal_consensus::reputation::Record;

pub use book::Book;
pub use memory::Memory;
pub use rounds::{Bounds, RoundReader, StoredRound};
pub use sqlite::Sqlite;

/// Whose record it is: a node that comes with other weights is somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Who {
    pub node: NodeId,
    /// Hex digest of its weights; for an upstream, which has none, its model's name.
    pub digest: String,
}

/// Where records are kept. An error costs memory of the past, never an answer.
pub trait Store: Send + Sync + fmt::Debug + 'static {
    /// What is remembered of `who`, if anything.
    fn load<'a>(&'a self, who: &'a Who) -> BoxFuture<'a, Result<Option<Record>, StoreError>>;

    /// Remembers these records in place of earlier ones: all or none.
    fn save<'a>(&'a self, records: &'a [(Who, Record)]) -> BoxFuture<'a, Result<(), StoreError>>;
}

/// The past cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file, the disk or the database's lock; another try may work.
    #[error("the database: {0}")]
    Database(String),
    /// What is stored is no record of this build.
    #[error("a stored record does not read: {0}")]
    Unreadable(#[from] serde_json::Error),
}
