//! A store in memory: for simulations, and for gateways without a disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{RecordKey, Store, StoreError};
use shoal_consensus::reputation::Record;

/// A map of records; they are lost when the process ends.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<RecordKey, Record>>);

impl Store for Memory {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::future::ready(Ok(records.get(key).cloned())).boxed()
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
