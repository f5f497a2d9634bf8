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
