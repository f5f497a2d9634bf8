//! A store that forgets when the gateway ends: for simulations, and for gateways without a disk.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use futures_util::{FutureExt as _, future::BoxFuture};

use super::{Store, StoreError, Who};
use shoal_consensus::reputation::Record;

/// Records in a map.
#[derive(Debug, Default)]
pub struct Memory(Mutex<BTreeMap<Who, Record>>);

impl Store for Memory {
    fn load<'a>(&'a self, who: &'a Who) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        let records = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::future::ready(Ok(records.get(who).cloned())).boxed()
    }

    fn save<'a>(&'a self, records: &'a [(Who, Record)]) -> BoxFuture<'a, Result<(), StoreError>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(records.iter().cloned());
        std::future::ready(Ok(())).boxed()
    }
}
