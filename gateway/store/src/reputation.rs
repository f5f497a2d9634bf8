//! The members' records, in memory: rounds read a snapshot, and changes are written to the store in
//! the background. When the store fails, the gateway goes on without it, and saves later what it could not
//! save.
//!
//! A key costs nothing, so a stranger leaves no row: a record is stored once its member has shown that it
//! can do something, and each address gets a limited number of new rows a day.

mod page;
mod quota;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use prometheus::{IntCounterVec, Opts, Registry};
use shoal_proto::NodeId;
use tokio::{
    sync::Mutex as AsyncMutex,
    time::{Instant, sleep, timeout},
};

use super::{RecordKey, Store};
use crate::{StoreError, clock::SteadyClock};
use page::{Page, SaveQueue};
use quota::NewRows;
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
    clock: SteadyClock,
    /// Held during a save: an earlier state must not be written over a later one.
    save_turn: AsyncMutex<()>,
}

#[derive(Debug, Default)]
struct State {
    pages: BTreeMap<NodeId, Page>,
    save_queue: SaveQueue,
    new_rows: NewRows,
    kinds: KindModel,
    /// Gold rounds, which P(right) is fitted to.
    confidence: Confidence,
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
        for operation in ["load", "save", "limit"] {
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
            clock: SteadyClock::start(),
            save_turn: AsyncMutex::default(),
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
        self.open_from(key, None).await
    }

    /// As [`Self::open`], for a member at this address.
    pub async fn open_from(&self, key: RecordKey, address: Option<IpAddr>) -> Record {
        // What could not be saved is newer than what the store has.
        let save_queue = self.state().save_queue.take(&key);
        let mut page = match save_queue {
            Some(page) => Page { address, is_refused: false, ..page },
            None => match self.load(&key, "load").await {
                Ok(row) => Page::new(key, row, address),
                // A record of another format cannot be used; another try reads the rest.
                Err(error) => Page {
                    is_unread: !matches!(error, Some(StoreError::Unreadable(_))),
                    ..Page::new(key, None, address)
                },
            },
        };
        let mut state = self.state();
        page.record.caught = page.record.caught.max(state.save_queue.times_caught(page.key.node));
        let record = page.record.clone();
        state.pages.insert(page.key.node, page);
        state.needs_fit = true;
        record
    }

    /// The record with this key, if there is one, without opening it.
    pub async fn peek(&self, key: &RecordKey) -> Option<Record> {
        self.load(key, "load").await.ok().flatten()
    }

    /// What the store has. Counts a failure of this operation; the error is None if there was no answer in
    /// time.
    async fn load(
        &self,
        key: &RecordKey,
        operation: &str,
    ) -> Result<Option<Record>, Option<StoreError>> {
        match timeout(PATIENCE, self.0.store.load(key)).await {
            Ok(Ok(record)) => Ok(record),
            Ok(Err(error)) => {
                self.count_failure(operation, &error.to_string());
                Err(Some(error))
            }
            Err(_) => {
                self.count_failure(operation, "no answer in time");
                Err(None)
            }
        }
    }

    /// Updates a member's record with observations. Does nothing for a member whose record is not open.
    pub fn learn(&self, node: NodeId, observations: &[Observation]) {
        let now = self.0.clock.now();
        self.change(node, |record, settings| learn_and_note(record, observations, now, settings));
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

    /// Saves the record of a member that has left and removes it from memory. If the store fails, the record
    /// is kept and saved later.
    pub async fn close(&self, node: NodeId) {
        self.set_aside(node);
        self.save().await;
    }

    fn set_aside(&self, node: NodeId) {
        let mut state = self.state();
        let page = state.pages.remove(&node).filter(Page::is_changed);
        state.needs_fit = true;
        if page.is_some_and(|page| !state.save_queue.push(page)) {
            self.0.errors.with_label_values(&["limit"]).inc();
        }
    }

    /// Fits the standing if any record changed. A fit takes tens of milliseconds for a hundred
    /// members: it happens when a member joins and from time to time, not for each round.
    pub fn fit(&self) {
        let mut state = self.state();
        if !std::mem::take(&mut state.needs_fit) {
            return;
        }
        state.last_fit = Some(Instant::now());
        let records = state.pages.iter().map(|(id, page)| (*id, page.record.clone())).collect();
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
        let _turn = self.0.save_turn.lock().await;
        self.read_again().await;
        let (records, versions) = self.changes();
        if records.is_empty() {
            return;
        }
        match timeout(PATIENCE, self.0.store.save(&records)).await {
            Ok(Ok(())) => self.mark_saved(&records, &versions),
            Ok(Err(error)) => self.count_failure("save", &error.to_string()),
            Err(_) => self.count_failure("save", "no answer in time"),
        }
    }

    /// Reads the records that the store did not give when their members came. Stops at the first failure.
    async fn read_again(&self) {
        for key in self.unread() {
            let row = match self.load(&key, "save").await {
                Ok(row) => row,
                Err(Some(StoreError::Unreadable(_))) => None,
                Err(_) => return,
            };
            let mut state = self.state();
            let State { pages, save_queue, needs_fit, .. } = &mut *state;
            let pages = pages.values_mut().chain(save_queue.pages());
            pages.filter(|page| page.key == key).for_each(|page| page.read(row.clone()));
            *needs_fit = true;
        }
    }

    fn unread(&self) -> Vec<RecordKey> {
        let mut state = self.state();
        let State { pages, save_queue, .. } = &mut *state;
        let pages = pages.values_mut().chain(save_queue.pages());
        pages.filter(|page| page.is_unread).map(|page| page.key.clone()).collect()
    }

    /// The records to write, and their versions.
    fn changes(&self) -> (Vec<(RecordKey, Record)>, Vec<u64>) {
        let settings = &self.0.settings;
        let now = Instant::now();
        let mut state = self.state();
        let State { pages, save_queue, new_rows, .. } = &mut *state;
        let mut records = Vec::new();
        let changed_pages = pages.values_mut().chain(save_queue.pages()).filter(|page| {
            page.is_changed() && page.is_worth_storing(settings) && !page.is_refused
        });
        for page in changed_pages {
            page.has_row = page.has_row || new_rows.take(page.address, now);
            if page.has_row {
                records.push(((page.key.clone(), page.record.clone()), page.version));
            } else {
                page.is_refused = true;
                self.0.errors.with_label_values(&["limit"]).inc();
            }
        }
        save_queue.clean(settings);
        records.into_iter().unzip()
    }

    fn mark_saved(&self, records: &[(RecordKey, Record)], versions: &[u64]) {
        let versions: BTreeMap<&RecordKey, u64> =
            records.iter().map(|(key, _)| key).zip(versions.iter().copied()).collect();
        let mut state = self.state();
        let State { pages, save_queue, .. } = &mut *state;
        for page in pages.values_mut().chain(save_queue.pages()) {
            if let Some(version) = versions.get(&page.key) {
                page.saved_version = *version;
            }
        }
        save_queue.clean(&self.0.settings);
    }

    fn change(&self, node: NodeId, change: impl FnOnce(&Record, &Settings) -> Record) {
        let mut state = self.state();
        if let Some(page) = state.pages.get_mut(&node) {
            let after = change(&page.record, &self.0.settings);
            page.set(note_change(&page.record, after, self.0.clock.now()));
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
