//! Records are learned, stored, and lost without harm.

use futures_util::{FutureExt as _, future::BoxFuture};

use super::*;
use crate::{Memory, StoreError};
use shoal_consensus::reputation::GoldObservation;

fn key(n: u8, digest: &str) -> RecordKey {
    RecordKey { node: NodeId([n; 32]), digest: digest.to_owned() }
}

fn reputation(store: Arc<dyn Store>) -> ReputationStore {
    ReputationStore::new(store, Settings::default(), &Registry::new()).expect("free names")
}

fn right(times: usize) -> Vec<Observation> {
    let answer = GoldObservation::Answered { right: true };
    vec![Observation::Gold { kind: None, observation: answer }; times]
}

#[tokio::test]
async fn what_was_learned_is_known_when_the_member_returns() {
    let store = Arc::new(Memory::default());
    let before = reputation(store.clone());
    before.open(key(1, "aa")).await;
    before.learn(NodeId([1; 32]), &right(30));
    before.close(NodeId([1; 32])).await;
    assert_eq!(before.open(key(1, "aa")).await.gold_seen, 30);
    assert_eq!(reputation(store.clone()).open(key(1, "aa")).await.gold_seen, 30);
    assert_eq!(reputation(store).open(key(1, "bb")).await.gold_seen, 0);
}

#[tokio::test]
async fn a_round_sees_what_was_learned_once_it_is_fitted() {
    let members = reputation(Arc::new(Memory::default()));
    let node = NodeId([1; 32]);
    members.open(key(1, "aa")).await;
    members.learn(node, &right(30));
    assert!(members.standing().on_probation(&node));
    members.fit();
    assert!(!members.standing().on_probation(&node));
}

#[tokio::test]
async fn a_member_without_an_open_record_teaches_nothing() {
    let members = reputation(Arc::new(Memory::default()));
    members.learn(NodeId([9; 32]), &right(30));
    members.fit();
    assert!(members.standing().record(&NodeId([9; 32])).is_none());
}

/// A database on a broken disk.
#[derive(Debug)]
struct BrokenDisk;

impl Store for BrokenDisk {
    fn load<'a>(
        &'a self,
        _key: &'a RecordKey,
    ) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        std::future::ready(Err(StoreError::Database("disk".to_owned()))).boxed()
    }

    fn save<'a>(
        &'a self,
        _records: &'a [(RecordKey, Record)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::Database("disk".to_owned()))).boxed()
    }
}

#[tokio::test]
async fn a_broken_store_is_counted_and_the_gateway_goes_on() {
    let members = reputation(Arc::new(BrokenDisk));
    let node = NodeId([1; 32]);
    assert_eq!(members.open(key(1, "aa")).await, Record::default());
    members.learn(node, &right(3));
    members.save().await;
    members.save().await;
    members.fit();
    assert_eq!(members.standing().record(&node).map(|record| record.gold_seen), Some(3));
    assert_eq!(members.0.errors.with_label_values(&["load"]).get(), 1);
    assert_eq!(members.0.errors.with_label_values(&["save"]).get(), 2, "it is tried again");
}

/// A database that somebody else holds for a while.
#[derive(Debug, Default)]
struct BusyDatabase {
    records: Memory,
    is_busy: std::sync::atomic::AtomicBool,
}

impl BusyDatabase {
    fn set_busy(&self, is_busy: bool) {
        self.is_busy.store(is_busy, std::sync::atomic::Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), StoreError> {
        let is_busy = self.is_busy.load(std::sync::atomic::Ordering::Relaxed);
        if is_busy { Err(StoreError::Database("locked".to_owned())) } else { Ok(()) }
    }
}

impl Store for BusyDatabase {
    fn load<'a>(&'a self, key: &'a RecordKey) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        async { self.check().and(self.records.load(key).await) }.boxed()
    }

    fn save<'a>(
        &'a self,
        records: &'a [(RecordKey, Record)],
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        async {
            self.check()?;
            self.records.save(records).await
        }
        .boxed()
    }
}

async fn stored_gold(store: &BusyDatabase, n: u8) -> Option<u32> {
    store.records.load(&key(n, "aa")).await.expect("memory").map(|record| record.gold_seen)
}

#[tokio::test]
async fn what_a_member_has_shown_while_the_store_was_busy_is_saved_after_it_has_left() {
    let store = Arc::new(BusyDatabase::default());
    let members = reputation(store.clone());
    let node = NodeId([1; 32]);
    members.open(key(1, "aa")).await;
    members.learn(node, &right(30));
    store.set_busy(true);
    members.close(node).await;
    // It comes again before the store can be written.
    assert_eq!(members.open(key(1, "aa")).await.gold_seen, 30);
    members.learn(node, &right(5));
    members.close(node).await;
    assert_eq!(stored_gold(&store, 1).await, None);
    store.set_busy(false);
    members.save().await;
    assert_eq!(stored_gold(&store, 1).await, Some(35));
}

#[tokio::test]
async fn a_record_that_could_not_be_read_is_not_overwritten() {
    let store = Arc::new(BusyDatabase::default());
    let node = NodeId([1; 32]);
    let before = reputation(store.clone());
    before.open(key(1, "aa")).await;
    before.learn(node, &right(100));
    before.close(node).await;
    let members = reputation(store.clone());
    store.set_busy(true);
    assert_eq!(members.open(key(1, "aa")).await.gold_seen, 0);
    members.learn(node, &right(30));
    members.save().await;
    store.set_busy(false);
    members.save().await;
    members.close(node).await;
    assert_eq!(stored_gold(&store, 1).await, Some(100));
}

#[tokio::test]
async fn unsaved_records_are_bounded() {
    let store = Arc::new(BusyDatabase::default());
    let members = reputation(store.clone());
    store.set_busy(true);
    for n in 0..1_200_u16 {
        let [high, low] = n.to_be_bytes();
        let mut id = [0; 32];
        (id[0], id[1]) = (high, low);
        let node = NodeId(id);
        members.open(RecordKey { node, digest: "aa".to_owned() }).await;
        members.learn(node, &right(5));
        members.set_aside(node);
    }
    assert_eq!(members.state().save_queue.pages().count(), page::UNSAVED_MAX);
}

#[tokio::test]
async fn a_stranger_leaves_no_row_and_one_address_only_so_many() {
    let store = Arc::new(BusyDatabase::default());
    let members = reputation(store.clone());
    let address = Some(std::net::Ipv4Addr::LOCALHOST.into());
    let wrong = GoldObservation::Answered { right: false };
    let wrong = vec![Observation::Gold { kind: None, observation: wrong }; 60];
    let right = right(30);
    for n in 0..=255 {
        let node = NodeId([n; 32]);
        members.open_from(key(n, "aa"), address).await;
        members.learn(node, if n < 50 { &wrong } else { &right });
        members.close(node).await;
    }
    let mut rows = 0;
    for n in 0..=255 {
        let gold = stored_gold(&store, n).await;
        assert!(n >= 50 || gold.is_none(), "who knows nothing leaves no row");
        rows += usize::from(gold.is_some());
    }
    assert_eq!(rows, 128);
    // A member that is known is saved again.
    let node = NodeId([60; 32]);
    members.open_from(key(60, "aa"), address).await;
    members.learn(node, &right);
    members.close(node).await;
    assert_eq!(stored_gold(&store, 60).await, Some(60));
}

#[tokio::test]
async fn a_caught_member_stays_caught_with_other_weights_though_the_store_is_broken() {
    let members = reputation(Arc::new(BrokenDisk));
    let node = NodeId([1; 32]);
    members.open(key(1, "aa")).await;
    let lie =
        AuditResult::Claim { finding: audit::Finding::Refuted, auditor: audit::Auditor::InRound };
    assert!(members.learn_audit(node, &lie));
    members.close(node).await;
    assert_eq!(members.open(key(1, "bb")).await.caught, 1);
}
