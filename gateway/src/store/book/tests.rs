//! What is learned is known, kept, and lost without harm.

use futures_util::{FutureExt as _, future::BoxFuture};

use super::*;
use crate::store::{Memory, StoreError};
use shoal_consensus::reputation::GoldObservation;

fn who(n: u8, digest: &str) -> Who {
    Who { node: NodeId([n; 32]), digest: digest.to_owned() }
}

fn book(store: Arc<dyn Store>) -> Book {
    Book::new(store, Settings::default(), &Registry::new()).expect("free names")
}

fn right(times: usize) -> Vec<Observation> {
    let seen = GoldObservation::Answered { right: true };
    vec![Observation::Gold { kind: None, seen }; times]
}

#[tokio::test]
async fn what_was_learned_is_known_when_the_member_returns() {
    let store = Arc::new(Memory::default());
    let before = book(store.clone());
    before.open(who(1, "aa")).await;
    before.learn(NodeId([1; 32]), &right(30));
    before.close(NodeId([1; 32])).await;
    assert_eq!(before.open(who(1, "aa")).await.gold_seen, 30);
    assert_eq!(book(store.clone()).open(who(1, "aa")).await.gold_seen, 30);
    assert_eq!(book(store).open(who(1, "bb")).await.gold_seen, 0);
}

#[tokio::test]
async fn a_round_sees_what_was_learned_once_it_is_fitted() {
    let book = book(Arc::new(Memory::default()));
    let node = NodeId([1; 32]);
    book.open(who(1, "aa")).await;
    book.learn(node, &right(30));
    assert!(book.standing().on_probation(&node));
    book.fit();
    assert!(!book.standing().on_probation(&node));
}

#[tokio::test]
async fn of_those_without_a_page_nothing_is_learned() {
    let book = book(Arc::new(Memory::default()));
    book.learn(NodeId([9; 32]), &right(30));
    book.fit();
    assert!(book.standing().record(&NodeId([9; 32])).is_none());
}

/// A database on a broken disk.
#[derive(Debug)]
struct Broken;

impl Store for Broken {
    fn load<'a>(&'a self, _who: &'a Who) -> BoxFuture<'a, Result<Option<Record>, StoreError>> {
        std::future::ready(Err(StoreError::Database("disk".to_owned()))).boxed()
    }

    fn save<'a>(&'a self, _records: &'a [(Who, Record)]) -> BoxFuture<'a, Result<(), StoreError>> {
        std::future::ready(Err(StoreError::Database("disk".to_owned()))).boxed()
    }
}

#[tokio::test]
async fn a_broken_store_is_counted_and_the_book_goes_on() {
    let book = book(Arc::new(Broken));
    let node = NodeId([1; 32]);
    assert_eq!(book.open(who(1, "aa")).await, Record::default());
    book.learn(node, &right(3));
    book.save().await;
    book.save().await;
    book.fit();
    assert_eq!(book.standing().record(&node).map(|record| record.gold_seen), Some(3));
    assert_eq!(book.0.errors.with_label_values(&["load"]).get(), 1);
    assert_eq!(book.0.errors.with_label_values(&["save"]).get(), 2, "it is tried again");
}
