//! Rounds kept for training, by consent of both: the operator's in the settings
//! (`export.consent`), the client's in the request (`store: true`). Without both nothing is kept.
//!
//! ```text
//! http: a finished round -> Agreed::keep -> a queue -> Keeping::run -> store      off the road
//! shoal-gateway export preferences:         store -> pairs -> JSON Lines
//! ```

pub mod round;
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

use crate::store::{Bounds, Sqlite, StoreError, StoredRound};
use crate::time::unix_now;
use round::KeptRound;
use shoal_api::chat::ChatRequest;
use shoal_consensus::Outcome;

/// Rounds that wait to be written: some seconds' worth for a busy gateway. At most this many times
/// `round_bytes_max` in memory; when full, a round is not kept.
const WAITING_MAX: usize = 64;

/// A database that takes longer than this is treated as broken.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often what is too old is looked for when no round comes: ages are days.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);

/// The section `[export]` of the gateway's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The operator agrees that rounds whose request says `store: true` are kept and exported.
    pub consent: bool,
    /// Rounds kept; the oldest go first.
    pub rounds_max: u64,
    /// Days after which a kept round is forgotten.
    pub days_max: u64,
    /// Bytes of a round; a longer one is not kept.
    pub round_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { consent: false, rounds_max: 10_000, days_max: 30, round_bytes_max: 262_144 }
    }
}

impl Config {
    fn bounds(&self) -> Bounds {
        let age_seconds_max = self.days_max.saturating_mul(86_400);
        Bounds { rounds_max: self.rounds_max, age_seconds_max }
    }
}

/// Who takes what is agreed to be kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keeper {
    /// None: the operator does not agree.
    queue: Option<mpsc::Sender<StoredRound>>,
    round_bytes_max: usize,
    rounds: IntCounterVec,
}

/// What writes kept rounds: [`Self::run`] must be awaited beside the HTTP side.
#[derive(Debug)]
pub struct Keeping {
    store: Sqlite,
    bounds: Bounds,
    /// None: the operator does not agree.
    waiting: Option<mpsc::Receiver<StoredRound>>,
    /// Taken from the queue, not yet written.
    taken: Vec<StoredRound>,
    rounds: IntCounterVec,
}

/// What became of a round that was agreed to be kept.
const OUTCOMES: [&str; 4] = ["kept", "too_long", "too_many", "failed"];

/// # Errors
/// When the metric's name is taken in this registry.
pub fn keeper(
    config: &Config,
    store: Sqlite,
    registry: &Registry,
) -> Result<(Keeper, Keeping), prometheus::Error> {
    let rounds = IntCounterVec::new(
        Opts::new("shoal_export_rounds_total", "Rounds agreed to be kept, by what became of them."),
        &["outcome"],
    )?;
    for outcome in OUTCOMES {
        rounds.with_label_values(&[outcome]);
    }
    registry.register(Box::new(rounds.clone()))?;
    let (queue, waiting) = config.consent.then(|| mpsc::channel(WAITING_MAX)).unzip();
    let keeper = Keeper { queue, round_bytes_max: config.round_bytes_max, rounds: rounds.clone() };
    Ok((keeper, Keeping { store, bounds: config.bounds(), waiting, taken: Vec::new(), rounds }))
}

impl Keeper {
    /// What is needed to keep this request's round; None unless operator and client agree.
    pub fn agreed(&self, request: &ChatRequest) -> Option<Agreed> {
        let queue = self.queue.clone().filter(|_| request.store)?;
        Some(Agreed { queue, keeper: self.clone(), messages: request.ask.messages.clone() })
    }

    fn count(&self, outcome: &str) {
        self.rounds.with_label_values(&[outcome]).inc();
    }
}

/// A request whose round is to be kept.
pub struct Agreed {
    queue: mpsc::Sender<StoredRound>,
    keeper: Keeper,
    messages: Vec<ChatMessage>,
}

impl std::fmt::Debug for Agreed {
    /// Without the messages, which are nobody's business but the store's.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agreed").finish_non_exhaustive()
    }
}

impl Agreed {
    /// Hands the finished round over; never waits. `model` is what was asked for.
    pub fn keep(self, model: &str, outcome: &Outcome) {
        let Some(round) = KeptRound::of(model, self.messages, outcome) else { return };
        let Ok(body) = serde_json::to_string(&round) else { return self.keeper.count("failed") };
        if body.len() > self.keeper.round_bytes_max {
            return self.keeper.count("too_long");
        }
        if self.queue.try_send(StoredRound { ended_seconds: unix_now(), body }).is_err() {
            self.keeper.count("too_many");
        }
    }
}

impl Keeping {
    /// Writes what comes, and forgets what is beyond the bounds, for as long as it is awaited.
    /// What was kept while the operator agreed grows old even when he does no more.
    pub async fn run(&mut self) -> Infallible {
        loop {
            self.forget().await;
            match &mut self.waiting {
                Some(waiting) => {
                    let came = timeout(TIDY_EVERY, waiting.recv_many(&mut self.taken, WAITING_MAX));
                    match came.await {
                        Ok(0) => std::future::pending().await,
                        Ok(_) => self.write().await,
                        Err(_) => {}
                    }
                }
                None => sleep(TIDY_EVERY).await,
            }
        }
    }

    /// Writes what still waits: the gateway ends.
    pub async fn finish(mut self) {
        while let Some(round) = self.waiting.as_mut().and_then(|waiting| waiting.try_recv().ok()) {
            self.taken.push(round);
        }
        self.write().await;
    }

    /// Writes what was taken from the queue; what cannot be written now is let go, not piled up.
    async fn write(&mut self) {
        if self.taken.is_empty() {
            return;
        }
        let written = self.store.keep_rounds(&self.taken);
        let outcome = if self.patiently("keep", written).await { "kept" } else { "failed" };
        self.rounds.with_label_values(&[outcome]).inc_by(self.taken.len() as u64);
        self.taken.clear();
    }

    async fn forget(&self) {
        let forgotten = self.store.forget_rounds(self.bounds, unix_now());
        self.patiently("forget", forgotten).await;
    }

    /// Whether it was done; a failure is told and the gateway goes on.
    async fn patiently(
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
