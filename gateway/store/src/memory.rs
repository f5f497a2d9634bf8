//! A store in memory: for simulations, and for gateways without a disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{RecordKey, Store, StoreError, with_caught};
use shoal_consensus::reputation::Record;

/// A map of records; they are lost when the process ends.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<RecordKey, Record>>);

impl Store for Memory {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_node = records.iter().filter(|(record_key, _)| record_key.node == key.node);
        let times_caught = of_node.map(|(_, record)| record.caught).max().unwrap_or(0);
        std::future::ready(Ok(with_caught(records.get(key).cloned(), times_caught))).boxed()
    }

    fn save<'a>(
        &'a self,
        records: &'a [(RecordKey, Record)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        map.extend(records.iter().cloned());
        std::future::ready(Ok(())).boxed()
    }
}
