//! The members' records, in memory: rounds read a snapshot, and changes are written to the store in
//! the background. When the store fails, the gateway goes on without it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{IntCounterVec, Opts, Registry};
use shoal_proto::NodeId;
use tokio::time::{Instant, sleep, timeout};

use super::{RecordKey, Store};
use crate::clock::unix_now;
use shoal_consensus::reputation::{
    AuditResult, Confidence, KindId, KindModel, LabelledPools, Observation, Provenance, Record,
    Settings, Standing, audit,
    history::{learn_and_note, note_change},
};

/// A database that takes longer than this is treated as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// The least time between two fits: a fit costs tens of milliseconds with many members, and a round
/// need not see the last observation.
const FIT_EVERY: Duration = Duration::from_secs(1);

/// The time between two saves: a crash of the gateway loses no more than this.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// The records of the members, and the standing that is fitted to them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ReputationStore(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Arc<dyn Store>,
    settings: Settings,
    state: Mutex<State>,
    standing: Mutex<Standing>,
    errors: IntCounterVec,
}

#[derive(Debug, Default)]
struct State {
    records: BTreeMap<NodeId, (RecordKey, Record)>,
    kinds: KindModel,
    /// Gold rounds, which P(right) is fitted to.
    confidence: Confidence,
    /// Members whose record changed since the last save.
    dirty: BTreeSet<NodeId>,
    /// Something changed since the last fit.
    needs_fit: bool,
    last_fit: Option<Instant>,
}

impl ReputationStore {
    /// Without records yet; they are loaded from `store` as members come.
    ///
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
        Ok(Self(Arc::new(Inner {
            store,
            settings,
            state: Mutex::default(),
            standing: Mutex::new(standing),
            errors,
        })))
    }

    /// The standing of the members as of the last fit.
    pub fn standing(&self) -> Standing {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Learns the kinds of questions from questions with a known kind.
    pub fn teach<'a>(&self, questions: impl Iterator<Item = (&'a str, &'a KindId)>) {
        let mut state = self.state();
        questions.for_each(|(question, kind)| state.kinds.learn(question, kind));
        state.needs_fit = true;
        drop(state);
        self.fit();
    }

    /// Learns the pools of a round with a known answer, which P(right) is fitted to.
    pub fn learn_labelled(&self, pools: LabelledPools) {
        let mut state = self.state();
        state.confidence.learn(pools);
        state.needs_fit = true;
    }

    /// Loads the record of a member that comes; a new member gets an empty one.
    pub async fn open(&self, key: RecordKey) -> Record {
        let record = match timeout(PATIENCE, self.0.store.load(&key)).await {
            Ok(Ok(record)) => record.unwrap_or_default(),
            Ok(Err(error)) => {
                self.count_failure("load", &error.to_string());
                Record::default()
            }
            Err(_) => {
                self.count_failure("load", "no answer in time");
                Record::default()
            }
        };
        let mut state = self.state();
        state.records.insert(key.node, (key, record.clone()));
        state.needs_fit = true;
        record
    }

    /// Updates a member's record with observations. Does nothing for a member whose record is not open.
    pub fn learn(&self, node: NodeId, observations: &[Observation]) {
        self.change(node, |record, settings| {
            learn_and_note(record, observations, unix_now(), settings)
        });
    }

    /// Sets whether the certainty that a member claims may count. Even then it counts only once audits
    /// have confirmed it.
    pub fn let_claims_count(&self, node: NodeId, may: bool) {
        self.change(node, |record, settings| {
            let claims_count = may && record.audits.claims_count(&settings.audit);
            Record { claims_count, ..record.clone() }
        });
    }

    /// Updates a member's record with an audit. Returns true when the audit caught it; then every
    /// round that starts from now on takes that into account.
    pub fn learn_audit(&self, node: NodeId, audit: &AuditResult) -> bool {
        let mut is_caught = false;
        self.change(node, |record, settings| {
            let after = audit::after(record, audit, settings);
            is_caught = after.caught > record.caught;
            after
        });
        if is_caught {
            self.fit();
        }
        is_caught
    }

    /// Sets the operator and the model family of a member: members that share them are likely to
    /// make the same mistakes.
    pub fn introduce(&self, node: NodeId, provenance: Provenance) {
        self.change(node, |record, _| Record { provenance, ..record.clone() });
    }

    /// Saves the record of a member that has left and removes it from memory.
    pub async fn close(&self, node: NodeId) {
        self.save().await;
        let mut state = self.state();
        state.records.remove(&node);
        state.dirty.remove(&node);
        state.needs_fit = true;
    }

    /// Fits the standing if any record changed. A fit takes tens of milliseconds for a hundred
    /// members: it happens when a member joins and from time to time, not for each round.
    pub fn fit(&self) {
        let mut state = self.state();
        if !std::mem::take(&mut state.needs_fit) {
            return;
        }
        state.last_fit = Some(Instant::now());
        let records = state.records.iter().map(|(id, (_, record))| (*id, record.clone())).collect();
        let (kinds, confidence) = (state.kinds.clone(), state.confidence.clone());
        drop(state);
        let standing = Standing::new(records, kinds, self.0.settings.clone());
        let standing = standing.with_confidence(confidence);
        *self.0.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// As [`Self::fit`], unless the last fit was less than a second ago.
    pub fn fit_soon(&self) {
        if self.state().last_fit.is_none_or(|time| time.elapsed() >= FIT_EVERY) {
            self.fit();
        }
    }

    /// Fits and saves every two seconds, for as long as the future is awaited.
    pub async fn run(&self) -> Infallible {
        loop {
            sleep(SAVE_EVERY).await;
            self.fit();
            self.save().await;
        }
    }

    /// Writes the changed records to the store. After a failure the next save tries them again.
    pub async fn save(&self) {
        let records: Vec<(RecordKey, Record)> = {
            let mut state = self.state();
            let dirty = std::mem::take(&mut state.dirty);
            dirty.iter().filter_map(|node| state.records.get(node).cloned()).collect()
        };
        if records.is_empty() {
            return;
        }
        match timeout(PATIENCE, self.0.store.save(&records)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => self.count_failure("save", &error.to_string()),
            Err(_) => self.count_failure("save", "no answer in time"),
        }
        self.state().dirty.extend(records.iter().map(|(key, _)| key.node));
    }

    fn change(&self, node: NodeId, change: impl FnOnce(&Record, &Settings) -> Record) {
        let mut state = self.state();
        if let Some((_, record)) = state.records.get_mut(&node) {
            let after = change(record, &self.0.settings);
            *record = note_change(record, after, unix_now());
            state.dirty.insert(node);
            state.needs_fit = true;
        }
    }

    fn count_failure(&self, operation: &str, error: &str) {
        self.0.errors.with_label_values(&[operation]).inc();
        tracing::warn!(operation, error, "the store failed; the gateway goes on without it");
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
