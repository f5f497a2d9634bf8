//! Everybody's record, in memory: rounds read a snapshot, what is learned is written to the store
//! in the background. The store may fail; the book goes on without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{IntCounterVec, Opts, Registry};
use shoal_proto::NodeId;
use tokio::time::{Instant, sleep, timeout};

use super::{Store, Who};
use crate::time::unix_now;
use shoal_consensus::reputation::{
    Audited, Kin, KindId, KindModel, Observation, Record, Settings, Standing, audit,
    history::{learn_and_note, note_change},
};

/// A database that takes longer than this is treated as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// Fitting costs tens of milliseconds with many members; a round need not see the last observation.
const FIT_EVERY: Duration = Duration::from_secs(1);

/// What a crash of the gateway may cost of what was learned.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// Who is believed how much. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Book(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    settings: Settings,
    pages: Mutex<Pages>,
    standing: Mutex<Standing>,
    errors: IntCounterVec,
}

#[derive(Debug, Default)]
struct Pages {
    records: BTreeMap<NodeId, (Who, Record)>,
    kinds: KindModel,
    /// Changed since it was last saved.
    unsaved: BTreeSet<NodeId>,
    /// Changed since the standing was last fitted.
    unfitted: bool,
    fitted: Option<Instant>,
}

impl Book {
    /// # Errors
    /// When a metric's name is taken in this registry.
    pub fn new(
        store: Arc<dyn Store>,
        settings: Settings,
        registry: &Registry,
    ) -> Result<Self, prometheus::Error> {
        let errors = IntCounterVec::new(
            Opts::new("shoal_store_errors_total", "Records not read or not written, by operation."),
            &["operation"],
        )?;
        for operation in ["load", "save"] {
            errors.with_label_values(&[operation]);
        }
        registry.register(Box::new(errors.clone()))?;
        let standing = Standing::new(BTreeMap::new(), KindModel::default(), settings.clone());
        Ok(Self(Arc::new(Shared {
            store,
            settings,
            pages: Mutex::default(),
            standing: Mutex::new(standing),
            errors,
        })))
    }

    /// Everybody's standing as last fitted.
    pub fn standing(&self) -> Standing {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Teaches what kinds of questions there are, from questions whose kind is known.
    pub fn teach<'a>(&self, questions: impl Iterator<Item = (&'a str, &'a KindId)>) {
        let mut pages = self.pages();
        questions.for_each(|(question, kind)| pages.kinds.learn(question, kind));
        pages.unfitted = true;
        drop(pages);
        self.fit();
    }

    /// Opens a page for a member; what the store remembers of it stands there.
    pub async fn open(&self, who: Who) -> Record {
        let loaded = timeout(PATIENCE, self.0.store.load(&who)).await;
        let record = match loaded {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => self.failed("load", &error.to_string()),
            Err(_) => self.failed("load", "no answer in time"),
        };
        let record = record.unwrap_or_default();
        let mut pages = self.pages();
        pages.records.insert(who.node, (who, record.clone()));
        pages.unfitted = true;
        record
    }

    /// Moves a member's record by what was seen of it. Of those without a page nothing is learned.
    pub fn learn(&self, node: NodeId, observations: &[Observation]) {
        self.change(node, |record, settings| {
            learn_and_note(record, observations, unix_now(), settings)
        });
    }

    /// Says whether a member's claimed certainty may count at all; then it does as far as audits
    /// have confirmed it.
    pub fn let_claims_count(&self, node: NodeId, may: bool) {
        self.change(node, |record, settings| {
            let claims_count = may && record.audits.confirmed(&settings.audit);
            Record { claims_count, ..record.clone() }
        });
    }

    /// Moves a member's record by an audit. True: it was caught; every round that begins from now
    /// on knows it.
    pub fn audited(&self, node: NodeId, audited: &Audited) -> bool {
        let mut caught = false;
        self.change(node, |record, settings| {
            let after = audit::after(record, audited, settings);
            caught = after.caught > record.caught;
            after
        });
        if caught {
            self.fit();
        }
        caught
    }

    /// Says whose mistakes a member is likely to share, and to whom it belongs.
    pub fn introduce(&self, node: NodeId, kin: Kin) {
        self.change(node, |record, _| Record { kin, ..record.clone() });
    }

    /// Saves a member's page and closes it: it left.
    pub async fn close(&self, node: NodeId) {
        self.save().await;
        let mut pages = self.pages();
        pages.records.remove(&node);
        pages.unsaved.remove(&node);
        pages.unfitted = true;
    }

    /// Makes a fresh snapshot if anything was learned. Tens of milliseconds for a hundred members:
    /// called when a member joins and now and then, not for each round.
    pub fn fit(&self) {
        let mut pages = self.pages();
        if !std::mem::take(&mut pages.unfitted) {
            return;
        }
        pages.fitted = Some(Instant::now());
        let records = pages.records.iter().map(|(id, (_, record))| (*id, record.clone())).collect();
        let kinds = pages.kinds.clone();
        drop(pages);
        let standing = Standing::new(records, kinds, self.0.settings.clone());
        *self.0.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// As [`Self::fit`], unless that was a moment ago.
    pub fn fit_soon(&self) {
        if self.pages().fitted.is_none_or(|fitted| fitted.elapsed() >= FIT_EVERY) {
            self.fit();
        }
    }

    /// Fits and saves now and then, for as long as the future is awaited.
    pub async fn keep(&self) -> Infallible {
        loop {
            sleep(SAVE_EVERY).await;
            self.fit();
            self.save().await;
        }
    }

    /// Writes what changed to the store. What could not be written is tried again next time.
    pub async fn save(&self) {
        let records: Vec<(Who, Record)> = {
            let mut pages = self.pages();
            let unsaved = std::mem::take(&mut pages.unsaved);
            unsaved.iter().filter_map(|node| pages.records.get(node).cloned()).collect()
        };
        if records.is_empty() {
            return;
        }
        let _: Option<()> = match timeout(PATIENCE, self.0.store.save(&records)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => self.failed("save", &error.to_string()),
            Err(_) => self.failed("save", "no answer in time"),
        };
        self.pages().unsaved.extend(records.iter().map(|(who, _)| who.node));
    }

    fn change(&self, node: NodeId, change: impl FnOnce(&Record, &Settings) -> Record) {
        let mut pages = self.pages();
        if let Some((_, record)) = pages.records.get_mut(&node) {
            let after = change(record, &self.0.settings);
            *record = note_change(record, after, unix_now());
            pages.unsaved.insert(node);
            pages.unfitted = true;
        }
    }

    fn failed<T>(&self, operation: &str, error: &str) -> Option<T> {
        self.0.errors.with_label_values(&[operation]).inc();
        tracing::warn!(operation, error, "the store failed; going on without it");
        None
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
