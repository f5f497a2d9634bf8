//! An ask whose round runs. Dropping it stops the round and every engine that works for it.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, sleep_until, timeout_at},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument as _;

use super::{App, cache::CacheKey, error::ApiError};
use crate::round::Client;
use shoal_consensus::{Ask, Outcome, RoundError, outcome::RoundUpdate};

/// Updates between the round and the queue of its client.
const UPDATES_MAX: usize = 32;

/// Bytes in the queue for a slow client before its writer has to wait: a long answer. Members write it as
/// fast as they can, and are then free for others.
const UNREAD_BYTES_MAX: usize = 256 * 1024;

/// What an update takes beside its text.
const UPDATE_BYTES: usize = 128;

/// The time after the deadline of its round in which a writer may still wait for a slow client. A round
/// ends by itself at its deadline, but not while it waits. A busy machine may delay it by a second.
const UNREAD_GRACE: Duration = Duration::from_secs(3);

/// One ask of a request.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) ask: Ask,
    pub(super) client: Client,
    /// Where its answer is kept for repeated requests; `None`: nowhere.
    pub(super) cache: Option<CacheKey>,
}

/// The answer of one ask.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) outcome: Box<Outcome>,
    /// Members were not asked for it now.
    pub(super) is_kept: bool,
}

/// The task of one ask's round.
#[derive(Debug)]
pub(super) struct AskTask {
    /// Each update with its part of [`UNREAD_BYTES_MAX`]: the queue is bounded by these bytes.
    updates: mpsc::Receiver<(RoundUpdate, OwnedSemaphorePermit)>,
    /// The client wants to know how far the round is.
    wants_progress: bool,
    outcome: AbortOnDropHandle<Result<Outcome, ApiError>>,
    /// Whether its answer comes from the cache; `None` if it may not.
    is_kept: Option<bool>,
}

/// What happens next in a round.
#[derive(Debug)]
pub(super) enum RoundEvent {
    /// Text, or how far the round is.
    Update(RoundUpdate),
    /// Nothing for as long as the caller wants to wait.
    Silence,
    /// The end of the round, which is the last event.
    End(Result<Answer, ApiError>),
}

/// Runs work that has no updates on the gateway's own runtime. Dropping the future stops the work.
pub(super) async fn run_to_end<T: Send + 'static>(
    app: &App,
    work: impl Future<Output = Result<T, RoundError>> + Send + 'static,
) -> Result<T, ApiError> {
    match AbortOnDropHandle::new(app.runtime.spawn(work.in_current_span())).await {
        Ok(result) => Ok(result?),
        Err(error) => {
            tracing::error!(panicked = error.is_panic(), "the task of a request was stopped");
            Err(ApiError::Internal)
        }
    }
}

impl AskTask {
    /// Starts a round on the gateway's own runtime: an HTTP worker has one thread, which serves its
    /// connections. An answer that is kept is not asked for again.
    pub(super) fn start(app: &App, job: Job, wants_progress: bool) -> Self {
        let Job { ask, client, cache } = job;
        let Some(key) = cache else { return Self::ask(app, client, ask, wants_progress, None) };
        let Some(outcome) = app.cache.find(&key) else {
            return Self::ask(app, client, ask, wants_progress, Some(key));
        };
        let (_, updates) = mpsc::channel(1);
        let outcome = app.runtime.spawn(async move { Ok(Outcome::clone(&outcome)) });
        let outcome = AbortOnDropHandle::new(outcome);
        Self { updates, wants_progress, outcome, is_kept: Some(true) }
    }

    /// Asks members, and keeps the answer under the key.
    fn ask(
        app: &App,
        client: Client,
        ask: Ask,
        wants_progress: bool,
        key: Option<CacheKey>,
    ) -> Self {
        let is_kept = key.as_ref().map(|_| false);
        let (sender, mut round_updates) = mpsc::channel(UPDATES_MAX);
        let (queue, updates) = mpsc::channel(UNREAD_BYTES_MAX / UPDATE_BYTES);
        let (rounds, cache) = (app.rounds.clone(), app.cache.clone());
        let deadline = Instant::now() + ask.effort.deadline + UNREAD_GRACE;
        let round = async move { rounds.answer(&ask, client, &sender).await };
        let round = async move {
            match timeout_at(deadline, round).await {
                Ok(outcome) => {
                    let outcome = outcome?;
                    key.iter().for_each(|key| cache.keep(key, &outcome));
                    Ok(outcome)
                }
                Err(_) => Err(ApiError::Unread),
            }
        };
        let forward = async move {
            let room = Arc::new(Semaphore::new(UNREAD_BYTES_MAX));
            while let Some(update) = round_updates.recv().await {
                let bytes = u32::try_from(unread_bytes(&update)).unwrap_or(u32::MAX);
                let Ok(part) = Arc::clone(&room).acquire_many_owned(bytes).await else { return };
                if queue.send((update, part)).await.is_err() {
                    return;
                }
            }
        };
        let work = async move { tokio::join!(round, forward).0 };
        let outcome = AbortOnDropHandle::new(app.runtime.spawn(work.in_current_span()));
        Self { updates, wants_progress, outcome, is_kept }
    }

    /// Whether its answer comes from the cache; `None` if it may not.
    pub(super) fn is_kept(&self) -> Option<bool> {
        self.is_kept
    }

    /// Waits for the next event, at most for `patience`.
    pub(super) async fn next(&mut self, patience: Duration) -> RoundEvent {
        let deadline = sleep_until(Instant::now() + patience);
        tokio::select! {
            biased;
            event = self.event() => event,
            () = deadline => RoundEvent::Silence,
        }
    }

    /// Waits for the end.
    pub(super) async fn end(mut self) -> Result<Answer, ApiError> {
        loop {
            if let RoundEvent::End(end) = self.event().await {
                return end;
            }
        }
    }

    /// Waits for an event other than silence. The future can be dropped at any time without the
    /// loss of an event.
    async fn event(&mut self) -> RoundEvent {
        while let Some((update, _part)) = self.updates.recv().await {
            if self.wants_progress || !matches!(update, RoundUpdate::Progress(_)) {
                return RoundEvent::Update(update);
            }
        }
        // The round has closed the queue of updates, so that its outcome comes soon.
        RoundEvent::End(match (&mut self.outcome).await {
            Ok(Ok(outcome)) => {
                let is_kept = self.is_kept == Some(true);
                Ok(Answer { outcome: Box::new(outcome), is_kept })
            }
            Ok(Err(error)) => Err(error),
            Err(error) => {
                tracing::error!(panicked = error.is_panic(), "the task of a round was stopped");
                Err(ApiError::Internal)
            }
        })
    }
}

/// What an update takes in the queue. An update that is larger than the whole queue waits for all of it.
fn unread_bytes(update: &RoundUpdate) -> usize {
    let text = match update {
        RoundUpdate::Piece { text, .. } => text.len(),
        RoundUpdate::Progress(_) => 0,
    };
    (text + UPDATE_BYTES).min(UNREAD_BYTES_MAX)
}
