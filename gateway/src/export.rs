//! Rounds stored for training, with the consent of the operator (`export.consent` in the settings)
//! and of the client (`store: true` in the request). Without both, nothing is stored.
//!
//! ```text
//! http: a finished round -> Consent::record -> a queue -> RoundWriter::run -> store
//! shoal-gateway export preferences:              store -> pairs -> JSON Lines
//! ```

mod round;
pub mod command;
#[cfg(test)]
mod tests;

use std::{convert::Infallible, time::Duration};

use prometheus::{IntCounterVec, Opts, Registry};
use serde::{Deserialize, Serialize};
use shoal_proto::generate::ChatMessage;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use round::RoundRecord;
use shoal_api::chat::ChatRequest;
use shoal_consensus::Outcome;
use shoal_store::unix_now;
use shoal_store::{Bounds, Sqlite, StoreError, StoredRound};

/// Rounds in the queue at most: the rounds of some seconds on a busy gateway. They take up to this many
/// times `round_bytes_max` of memory; when the queue is full, a round is dropped and counted.
const QUEUE_MAX: usize = 64;

/// A database that takes longer than this is treated as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often old rounds are deleted when no new round comes: ages are in days.
const CLEANUP_EVERY: Duration = Duration::from_secs(3_600);

/// The section `[export]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ExportConfig {
    /// The operator's consent: rounds whose request has `store: true` are stored and exported.
    pub consent: bool,
    /// Rounds at most; the oldest are deleted first.
    pub rounds_max: u64,
    /// Days after which a round is deleted.
    pub days_max: u64,
    /// Bytes of a round at most; a longer round is not stored.
    pub round_bytes_max: usize,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { consent: false, rounds_max: 10_000, days_max: 30, round_bytes_max: 262_144 }
    }
}

impl ExportConfig {
    fn bounds(&self) -> Bounds {
        let age_seconds_max = self.days_max.saturating_mul(86_400);
        Bounds { rounds_max: self.rounds_max, age_seconds_max }
    }
}

/// Queues rounds to be stored. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Recorder {
    /// None: the operator does not consent.
    queue: Option<mpsc::Sender<StoredRound>>,
    round_bytes_max: usize,
    rounds: IntCounterVec,
}

/// Writes the queued rounds: [`Self::run`] must be awaited beside the HTTP server.
#[derive(Debug)]
pub struct RoundWriter {
    store: Sqlite,
    bounds: Bounds,
    /// None: the operator does not consent.
    queue: Option<mpsc::Receiver<StoredRound>>,
    /// Rounds from the queue that are not written yet.
    batch: Vec<StoredRound>,
    rounds: IntCounterVec,
}

/// The outcomes of a round with both consents.
const OUTCOMES: [&str; 4] = ["kept", "too_long", "too_many", "failed"];

/// The two ends of the queue of rounds.
///
/// # Errors
/// When the metric's name is taken in this registry.
pub fn recorder(
    config: &ExportConfig,
    store: Sqlite,
    registry: &Registry,
) -> Result<(Recorder, RoundWriter), prometheus::Error> {
    let rounds = IntCounterVec::new(
        Opts::new("shoal_export_rounds_total", "Rounds with both consents, by outcome."),
        &["outcome"],
    )?;
    for outcome in OUTCOMES {
        rounds.with_label_values(&[outcome]);
    }
    registry.register(Box::new(rounds.clone()))?;
    let (sender, queue) = config.consent.then(|| mpsc::channel(QUEUE_MAX)).unzip();
    let round_bytes_max = config.round_bytes_max;
    let recorder = Recorder { queue: sender, round_bytes_max, rounds: rounds.clone() };
    let bounds = config.bounds();
    Ok((recorder, RoundWriter { store, bounds, queue, batch: Vec::new(), rounds }))
}

impl Recorder {
    /// The permit to store the round of this request; None unless operator and client consent.
    pub fn consent(&self, request: &ChatRequest) -> Option<Consent> {
        let queue = self.queue.clone().filter(|_| request.store)?;
        Some(Consent { queue, recorder: self.clone(), messages: request.ask.messages.clone() })
    }

    fn count(&self, outcome: &str) {
        self.rounds.with_label_values(&[outcome]).inc();
    }
}

/// The permit to store one round, with the messages of its request.
pub struct Consent {
    queue: mpsc::Sender<StoredRound>,
    recorder: Recorder,
    messages: Vec<ChatMessage>,
}

impl std::fmt::Debug for Consent {
    /// Without the messages, which go to the store only.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Consent").finish_non_exhaustive()
    }
}

impl Consent {
    /// Queues the finished round; never waits. `model` is the model of the request.
    pub fn record(self, model: &str, outcome: &Outcome) {
        let Some(round) = RoundRecord::new(model, self.messages, outcome) else { return };
        let Ok(body) = serde_json::to_string(&round) else { return self.recorder.count("failed") };
        if body.len() > self.recorder.round_bytes_max {
            return self.recorder.count("too_long");
        }
        if self.queue.try_send(StoredRound { ended_seconds: unix_now(), body }).is_err() {
            self.recorder.count("too_many");
        }
    }
}

impl RoundWriter {
    /// Writes queued rounds, and deletes rounds beyond the bounds, for as long as it is awaited. Old
    /// rounds are deleted even when the operator has withdrawn the consent.
    pub async fn run(&mut self) -> Infallible {
        loop {
            self.delete_old().await;
            match &mut self.queue {
                Some(queue) => {
                    let batch = queue.recv_many(&mut self.batch, QUEUE_MAX);
                    match timeout(CLEANUP_EVERY, batch).await {
                        Ok(0) => std::future::pending().await,
                        Ok(_) => self.write().await,
                        Err(_) => {}
                    }
                }
                None => sleep(CLEANUP_EVERY).await,
            }
        }
    }

    /// Writes the rest of the queue at the end of the gateway.
    pub async fn finish(mut self) {
        while let Some(round) = self.queue.as_mut().and_then(|queue| queue.try_recv().ok()) {
            self.batch.push(round);
        }
        self.write().await;
    }

    /// Writes the batch. Rounds that cannot be written are dropped, so that they do not pile up.
    async fn write(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let write = self.store.keep_rounds(&self.batch);
        let outcome = if self.try_store("keep", write).await { "kept" } else { "failed" };
        self.rounds.with_label_values(&[outcome]).inc_by(self.batch.len() as u64);
        self.batch.clear();
    }

    async fn delete_old(&self) {
        let delete = self.store.forget_rounds(self.bounds, unix_now());
        self.try_store("forget", delete).await;
    }

    /// Runs a store operation; returns whether it succeeded. A failure is logged, and the gateway goes
    /// on.
    async fn try_store(
        &self,
        operation: &str,
        work: impl Future<Output = Result<(), StoreError>>,
    ) -> bool {
        match timeout(PATIENCE, work).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => tracing::warn!(operation, %error, "the store of rounds failed"),
            Err(_) => tracing::warn!(operation, "the store of rounds did not answer in time"),
        }
        false
    }
}
